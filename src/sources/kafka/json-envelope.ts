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
import {
  found,
  mostPlans,
  mostRecords,
  type NextRecords,
  readRun,
  recordAt,
  takeTuples,
} from './json-kernel.ts';
import { isWrapper } from './json-key.ts';
import { type JsonObject, parseObject } from './json-object.ts';
import type { KeyFields, MessageKeys } from './message-key.ts';
import type { Placeholder } from './placeholder.ts';
import { predictableShape } from './predictable-shape.ts';
import { PredictedEnvelope } from './predicted-envelope.ts';

/** Shapes that are remembered: of each table in the topic those of inserts, updates and deletes. */
const maxPredictions = mostPlans;
/** A larger message teaches nothing: what is between its values may be large as well. */
const mostLearnedBytes = 1 << 20;
/** When so many messages were learned for nothing, only few more are: they have more shapes than are remembered. */
const patience = 64;

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
  #aheadCount = 0;
  #aheadTaken = 0;
  /** Records that are read ahead: fewer when those before had to be read by themselves. */
  #most = mostRecords;
  /** Since a message was as predicted. */
  #learnedInVain = 0;

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
    if (!this.#predict || hasKeyHeader(message)) return this.#readExactly(message, spans, false, out);
    const key = this.#keys.predict(spans);
    const isRead = key === undefined ? false : this.#readPredicted(key, spans, out);
    return isRead ? EnvelopeKind.change : this.#readExactly(message, spans, isRead === false, out);
  }

  /** Returns as `PredictedEnvelope.read` does. */
  #readPredicted(key: KeyFields | null, spans: MessageSpans, out: ByteWriter): boolean | undefined {
    const predictions = this.#predictions;
    let result: false | undefined = false;
    for (let i = 0; i < predictions.length; i++) {
      const prediction = predictions[i]!;
      if (prediction.key !== key) continue;
      const isRead = prediction.read(spans, out, this.#fields);
      if (isRead === undefined) result = undefined;
      if (!isRead) continue;
      this.#learnedInVain = 0;
      if (i > 0) {
        predictions[i] = predictions[0]!;
        predictions[0] = prediction;
      }
      return true;
    }
    return result;
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
    if (this.#aheadTaken < this.#aheadCount) this.#most = Math.max(1, this.#aheadTaken);
    else this.#most = Math.min(mostRecords, this.#most * 2);
    const count = readRun(keyPlan?.address ?? 0, this.#plans, next, this.#most, mostBytes);
    this.#ahead = next;
    this.#aheadStart = next.recordsStart;
    this.#aheadCount = count;
    this.#aheadTaken = 0;
    if (count === 0) return 0;
    takeTuples(found.tuplesEnd(recordAt(count - 1)), out);
    this.#learnedInVain = 0;
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
    if (!this.#alike[found.plan(at)]!.describe(at, this.#fields)) return false;
    this.#aheadTaken = i + 1;
    return true;
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
    if (value.length > mostLearnedBytes) return;
    if (this.#learnedInVain++ > patience && this.#learnedInVain % patience !== 0) return;
    const key = this.#keys.predict(spans);
    if (key === undefined) return;
    const shape = predictableShape(document, content, key, this.#fields);
    if (!shape) return;
    const predictions = this.#predictions;
    if (predictions.length === maxPredictions) predictions.pop()!.plan.release();
    predictions.unshift(new PredictedEnvelope(value, shape, this.#placeholder));
    this.#alikeTo = undefined;
  }
}

function hasKeyHeader({ headers }: KafkaMessage): boolean {
  return headers !== undefined && (headers.has(newKeyHeader) || headers.has(oldKeyHeader));
}
