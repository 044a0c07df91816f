import { isUtf8 } from 'node:buffer';
import type { Wire } from '../../core/relation.ts';
import { ByteView } from './byte-view.ts';
import { ConnectSchemas, type Fields } from './connect-schema.ts';
import { MalformedEnvelope } from './envelope.ts';
import { type JsonObject, parseObject } from './json-object.ts';
import { skipValue } from './json-scan.ts';
import { skipNumberByWords } from './json-words.ts';
import { Literals, type Span } from './literals.ts';
import type { KeyFields, MessageKey } from './message-key.ts';

/** Reads the JSON keys of a topic's messages. */
export class JsonKeys {
  readonly #src = new ByteView();
  readonly #schemas = new ConnectSchemas();
  readonly #shapes = new Map<string, KeyFields>();
  /** Those of the last shapes, the latest first. */
  #predictions: PredictedKey[] = [];

  /** The fields of the key `bytes[start..end)` if it looks like one of the last keys; `undefined` when it does not. */
  predict(bytes: Buffer, start: number, end: number): KeyFields | undefined {
    const predictions = this.#predictions;
    this.#src.lookAt(bytes);
    const from = bytes.byteOffset;
    for (let i = 0; i < predictions.length; i++) {
      const prediction = predictions[i]!;
      if (!prediction.match(this.#src, from + start, from + end)) continue;
      if (i > 0) [predictions[0], predictions[i]] = [prediction, predictions[0]!];
      return prediction.fields;
    }
    return undefined;
  }

  /** `null` for JSON's null, which is no key. @throws MalformedEnvelope for what is neither */
  read(key: Buffer): MessageKey | null {
    if (!isUtf8(key)) throw new MalformedEnvelope('the key is no valid UTF-8');
    if (key.length < 10 && key.toString('latin1').trim() === 'null') return null;
    const document = parseObject(key, 'the key');
    const wrapped = isWrapper(document);
    const row = wrapped ? document.struct('payload') : document;
    if (!row) return null;
    const schema =
      wrapped && document.struct('schema') ? this.#schemas.get(document.json('schema')!) : undefined;
    const wires = schema && row.names.map(name => wireOf(schema.columns, name));
    const fields = this.#fields(row.names, wires);
    this.#learn(key, document, row, fields);
    return { fields, row };
  }

  /**
   * A key in a header. Connect's `SimpleHeaderConverter`, the default, writes JSON but for control characters in strings, which it
   * leaves as they are.
   */
  readHeader(value: Buffer): JsonObject {
    const what = 'the header with the old key';
    if (!isUtf8(value)) throw new MalformedEnvelope(`${what} is no valid UTF-8`);
    let document: JsonObject;
    try {
      document = parseObject(value, what);
    } catch {
      document = parseObject(Buffer.from(escapeControls(value.toString())), what);
    }
    const row = isWrapper(document) ? document.struct('payload') : document;
    if (!row) throw new MalformedEnvelope(`${what} has none`);
    return row;
  }

  #fields(names: Fields['names'], wires: Fields['wires'] | undefined): KeyFields {
    const text = JSON.stringify([names, wires]);
    let fields = this.#shapes.get(text);
    if (!fields) this.#shapes.set(text, (fields = { names, wires }));
    return fields;
  }

  #learn(key: Buffer, document: JsonObject, row: JsonObject, fields: KeyFields): void {
    if (document.hasDuplicates || row.hasDuplicates) return;
    // A row of columns "schema" and "payload": with other values it would be a wrapper.
    if (row === document && row.names.length === 2 && row.indexOf('schema') >= 0) return;
    const spans = row.names.map((_, i) => ({ start: row.start(i), end: row.valueEnd(i) }));
    this.#predictions = [new PredictedKey(key, spans, row.depth, fields), ...this.#predictions.slice(0, 3)];
  }
}

function wireOf(fields: Fields, name: string): Wire {
  const i = fields.names.indexOf(name);
  if (i < 0) throw new MalformedEnvelope(`the key has the field "${name}", which is not in its schema`);
  return fields.wires[i]!;
}

/** Whether a document is `{"schema":…,"payload":…}` of `JsonConverter`, rather than a row with such columns. */
export function isWrapper(document: JsonObject): boolean {
  if (document.names.length !== 2) return false;
  return document.struct('schema') !== undefined && document.struct('payload') !== undefined;
}

class PredictedKey {
  readonly fields: KeyFields;
  readonly #literals: Literals;
  readonly #values: number;
  readonly #depth: number;

  constructor(key: Buffer, values: readonly Span[], depth: number, fields: KeyFields) {
    this.fields = fields;
    this.#literals = new Literals(key, values);
    this.#values = values.length;
    this.#depth = depth;
  }

  match(src: ByteView, start: number, end: number): boolean {
    let pos = start;
    let mayHaveText = false;
    for (let i = 0; i < this.#values; i++) {
      pos = this.#literals.match(i, src, pos, end);
      if (pos < 0) return false;
      const byte = pos < end ? src.bytes[pos]! : 0;
      if (byte >= 49 && byte <= 57) pos = skipNumberByWords(src, pos, end);
      else {
        mayHaveText = true;
        pos = skipValue(src.bytes, pos, end, this.#depth);
      }
      if (pos < 0) return false;
    }
    return (
      this.#literals.match(this.#values, src, pos, end) === end &&
      (!mayHaveText || isUtf8(src.bytes.subarray(start, end)))
    );
  }
}

function escapeControls(text: string): string {
  return Array.from(text, char => (char < ' ' ? JSON.stringify(char).slice(1, -1) : char)).join('');
}
