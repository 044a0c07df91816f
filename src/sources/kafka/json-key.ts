import { isUtf8 } from 'node:buffer';
import type { Wire } from '../../core/relation.ts';
import { ConnectSchemas, type Fields } from './connect-schema.ts';
import { MalformedEnvelope } from './envelope.ts';
import { read } from './json-kernel.ts';
import { type JsonObject, parseObject } from './json-object.ts';
import { Plan, Role } from './json-plan.ts';
import type { KeyFields, MessageKey } from './message-key.ts';

const maxPredictions = 4;

/** Reads the JSON keys of a topic's messages. */
export class JsonKeys {
  readonly #schemas = new ConnectSchemas();
  readonly #shapes = new Map<string, KeyFields>();
  /** Those of the last shapes, the latest first. */
  readonly #predictions: { plan: Plan; fields: KeyFields }[] = [];

  /** The fields of the key `bytes[start..end)` if it looks like one of the last keys; `undefined` when it does not. */
  predict(bytes: Buffer, stamp: number, start: number, end: number): KeyFields | undefined {
    const predictions = this.#predictions;
    for (let i = 0; i < predictions.length; i++) {
      const prediction = predictions[i]!;
      if (read(prediction.plan.address, bytes, stamp, start, end, 0) < 0) continue;
      if (i > 0) [predictions[0], predictions[i]] = [prediction, predictions[0]!];
      return prediction.fields;
    }
    return undefined;
  }

  /** How keys with these fields are read, as the last of them was. */
  planOf(fields: KeyFields): Plan | undefined {
    return this.#predictions.find(prediction => prediction.fields === fields)?.plan;
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
    const { depth } = row;
    const values = row.names.map((_, i) => ({
      start: row.start(i),
      end: row.valueEnd(i),
      role: Role.none,
      depth,
    }));
    const plan = new Plan(key, values, { columns: 0, placeholder: undefined });
    this.#predictions.unshift({ plan, fields });
    if (this.#predictions.length > maxPredictions) this.#predictions.pop()!.plan.release();
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

function escapeControls(text: string): string {
  return Array.from(text, char => (char < ' ' ? JSON.stringify(char).slice(1, -1) : char)).join('');
}
