import { AvroKeys } from './avro-envelope.ts';
import type { Row } from './change-writer.ts';
import type { Fields } from './connect-schema.ts';
import { type KafkaMessage, type MessageSpans, spansOf } from './envelope.ts';
import { JsonKeys } from './json-key.ts';
import type { Plan } from './json-plan.ts';
import type { SchemaRegistry } from './schema-registry.ts';

/** What keys of one shape have in common; one object per shape. */
export interface KeyFields {
  readonly names: Fields['names'];
  /** `undefined` where keys carry no schema. */
  readonly wires: Fields['wires'] | undefined;
}

/** A message key, taken apart. */
export interface MessageKey {
  fields: KeyFields;
  row: Row;
}

/** Reads the keys of a topic's messages, each in the format that it has. */
export class MessageKeys {
  readonly #json = new JsonKeys();
  readonly #avro: AvroKeys;

  constructor(registry: SchemaRegistry | undefined) {
    this.#avro = new AvroKeys(registry);
  }

  /** The fields of a key if they can be told without taking it apart; else `undefined`. Null for no key. */
  predict({ keyBytes, keyStamp, keyStart, keyEnd }: MessageSpans): KeyFields | null | undefined {
    if (keyStart < 0) return null;
    if (keyStart < keyEnd && keyBytes[keyStart] === 0)
      return this.#avro.fieldsOf(keyBytes.subarray(keyStart, keyEnd));
    return this.#json.predict(keyBytes, keyStamp, keyStart, keyEnd);
  }

  /** How JSON keys with these fields are read; `undefined` for others. */
  planOf(fields: KeyFields): Plan | undefined {
    return this.#json.planOf(fields);
  }

  /** @throws MalformedEnvelope */
  fields(message: KafkaMessage): KeyFields | null {
    const fields = this.predict(spansOf(message));
    return fields === undefined ? (this.read(message.key)?.fields ?? null) : fields;
  }

  /** @throws MalformedEnvelope */
  read(key: Buffer | null): MessageKey | null {
    if (key === null) return null;
    return isAvro(key) ? this.#avro.read(key) : this.#json.read(key);
  }

  /** The key in a header that Debezium adds when a key changes. @throws MalformedEnvelope */
  readHeader(value: Buffer): Row {
    return isAvro(value) ? this.#avro.readHeader(value) : this.#json.readHeader(value);
  }
}

function isAvro(bytes: Buffer): boolean {
  return bytes.length > 0 && bytes[0] === 0;
}
