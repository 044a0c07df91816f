import { isUtf8 } from 'node:buffer';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { ConnectSchemas } from './connect-schema.ts';
import {
  type EnvelopeFields,
  EnvelopeKind,
  type KafkaMessage,
  MalformedEnvelope,
  type MessageSpans,
} from './envelope.ts';
import { type ContentReader, newKeyHeader, oldKeyHeader } from './envelope-content.ts';
import { found, type NextRecords, readRun, recordAt, takeTuples } from './json-kernel.ts';
import { isWrapper } from './json-key.ts';
import { type JsonObject, parseObject } from './json-object.ts';
import type { KeyFields, MessageKeys } from './message-key.ts';
import type { Placeholder } from './placeholder.ts';
import { predictableShape } from './predictable-shape.ts';
import { PredictedEnvelope } from './predicted-envelope.ts';

/** Shapes that are remembered: of each table in the topic those of inserts, updates and deletes. */
const maxPredictions = 16;

/** Reads the JSON envelopes of a topic: like an earlier one, or else the exact way. */
export class JsonEnvelopes {
  readonly #predict: boolean;
  readonly #content: ContentReader;
  readonly #keys: MessageKeys;
  readonly #fields: EnvelopeFields;
  readonly #placeholder: Placeholder;
  readonly #schemas = new ConnectSchemas();
  /** Like the last messages; the one that was right last comes first. */
  readonly #predictions: PredictedEnvelope[] = [];
  /** Those with the same key as `#alikeTo`, and their plans. */
  #alikeTo: PredictedEnvelope | undefined;
  #alike: PredictedEnvelope[] = [];
  #plans: number[] = [];
  /** What `readAhead` read. */
  #ahead: NextRecords | undefined;
  #aheadStart = 0;

  constructor(
    placeholder: Placeholder,
    predict: boolean,
    content: ContentReader,
    keys: MessageKeys,
    fields: EnvelopeFields,
  ) {
    this.#predict = predict;
    this.#content = content;
    this.#keys = keys;
    this.#fields = fields;
    this.#placeholder = placeholder;
  }

  /** `spans`: of `message`. Returns an `EnvelopeKind`. @throws MalformedEnvelope; `out` is then as it was */
  read(message: KafkaMessage, spans: MessageSpans, out: ByteWriter): number {
    const predictable = this.#predict && !hasKeyHeader(message);
    if (predictable) {
      const key = this.#keys.predict(spans);
      if (key !== undefined && this.#readPredicted(key, spans, out)) return EnvelopeKind.change;
    }
    return this.#readExactly(message, spans, predictable, out);
  }

  #readPredicted(key: KeyFields | null, spans: MessageSpans, out: ByteWriter): boolean {
    const predictions = this.#predictions;
    for (let i = 0; i < predictions.length; i++) {
      const prediction = predictions[i]!;
      if (prediction.key !== key || !prediction.read(spans, out, this.#fields)) continue;
      if (i > 0) {
        predictions[i] = predictions[0]!;
        predictions[0] = prediction;
      }
      return true;
    }
    return false;
  }

  /** Reads records that are like the last message, or like one of the others with such a key. Returns how many; `change` says what. */
  readAhead(next: NextRecords, mostBytes: number, out: ByteWriter): number {
    const [last] = this.#predictions;
    if (!last) return 0;
    const keyPlan = last.key && this.#keys.planOf(last.key);
    if (keyPlan === undefined) return 0;
    if (this.#alikeTo !== last) {
      this.#alikeTo = last;
      this.#alike = this.#predictions.filter(({ key, isDelete }) => key === last.key && !isDelete);
      this.#plans = this.#alike.map(({ plan }) => plan.address);
    }
    if (this.#plans.length === 0) return 0;
    const count = readRun(keyPlan?.address ?? 0, this.#plans, next, mostBytes);
    if (count > 0) takeTuples(found.tuplesEnd(recordAt(count - 1)), out);
    this.#ahead = next;
    this.#aheadStart = next.recordsStart;
    return count;
  }

  /** Sets the fields to those of record `i` of `readAhead`; false when it must be read by itself. */
  change(i: number): boolean {
    const at = recordAt(i);
    if (found.isText(at)) {
      const start = this.#aheadStart;
      const { bytes } = this.#ahead!;
      if (!isUtf8(bytes.subarray(start + found.valueStart(at), start + found.valueEnd(at)))) return false;
    }
    return this.#alike[found.plan(at)]!.describe(at, this.#fields);
  }

  #readExactly(message: KafkaMessage, spans: MessageSpans, learn: boolean, out: ByteWriter): number {
    const value = message.value!;
    if (!isUtf8(value)) throw new MalformedEnvelope('the value is no valid UTF-8');
    const document = parseObject(value, 'the value');
    const wrapped = isWrapper(document);
    const content = wrapped ? document.struct('payload') : document;
    if (!content) throw new MalformedEnvelope('the payload is null');
    const schema =
      wrapped && document.struct('schema') ? this.#schemas.get(document.json('schema')!) : undefined;
    const kind = this.#content.read(content, schema, message, out);
    if (learn && kind === EnvelopeKind.change) this.#learn(document, content, spans, value);
    return kind;
  }

  #learn(document: JsonObject, content: JsonObject, spans: MessageSpans, value: Buffer): void {
    const key = this.#keys.predict(spans);
    if (key === undefined) return;
    const shape = predictableShape(document, content, key, this.#fields);
    if (!shape) return;
    const predictions = this.#predictions;
    if (predictions.length === maxPredictions) predictions.pop();
    predictions.unshift(new PredictedEnvelope(value, shape, this.#placeholder));
    this.#alikeTo = undefined;
  }
}

function hasKeyHeader({ headers }: KafkaMessage): boolean {
  return headers !== undefined && (headers.has(newKeyHeader) || headers.has(oldKeyHeader));
}
