import { isUtf8 } from 'node:buffer';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { ByteView } from './byte-view.ts';
import { ConnectSchemas } from './connect-schema.ts';
import {
  type EnvelopeFields,
  EnvelopeKind,
  type KafkaMessage,
  MalformedEnvelope,
  type MessageSpans,
} from './envelope.ts';
import { type ContentReader, newKeyHeader, oldKeyHeader } from './envelope-content.ts';
import { isWrapper } from './json-key.ts';
import { type JsonObject, parseObject } from './json-object.ts';
import { JsonValues } from './json-values.ts';
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
  readonly #values: JsonValues;
  readonly #schemas = new ConnectSchemas();
  /** Like the last messages; the one that was right last comes first. */
  readonly #predictions: PredictedEnvelope[] = [];

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
    this.#values = new JsonValues(new ByteView(), new ByteView(), placeholder);
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
      if (prediction.key !== key || !prediction.read(spans, this.#values, out, this.#fields)) continue;
      if (i > 0) {
        predictions[i] = predictions[0]!;
        predictions[0] = prediction;
      }
      return true;
    }
    return false;
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
    predictions.unshift(new PredictedEnvelope(value, shape));
  }
}

function hasKeyHeader({ headers }: KafkaMessage): boolean {
  return headers !== undefined && (headers.has(newKeyHeader) || headers.has(oldKeyHeader));
}
