import type { ByteWriter } from '../../core/byte-writer.ts';
import { AvroInput } from './avro-input.ts';
import { AvroStruct } from './avro-struct.ts';
import { type KafkaMessage, MalformedEnvelope } from './envelope.ts';
import type { ContentReader } from './envelope-content.ts';
import type { MessageKey } from './message-key.ts';
import type { RegisteredSchema, SchemaRegistry } from './schema-registry.ts';

/** Confluent's wire format: a zero byte, the id of the schema in four bytes, the data. */
const headerBytes = 5;

/** The schema id of an Avro message, key or header; -1 for what is none. JSON never starts with a zero byte. */
export function avroSchemaId(bytes: Buffer | null | undefined): number {
  return bytes && bytes.length >= headerBytes && bytes[0] === 0 ? bytes.readUInt32BE(1) : -1;
}

/** Takes Avro apart by the schemas that it names; what it gives is valid until it is used again. */
export class AvroDecoder {
  readonly #registry: SchemaRegistry | undefined;
  readonly #input = new AvroInput();
  readonly #structs = new Map<RegisteredSchema, AvroStruct>();

  constructor(registry: SchemaRegistry | undefined) {
    this.#registry = registry;
  }

  /** The schema that `bytes` name, or the reason why there is none. */
  find(bytes: Buffer): RegisteredSchema | string {
    const id = avroSchemaId(bytes);
    if (id < 0) return 'less than the five bytes that Avro starts with';
    if (!this.#registry) return 'Avro, but kafka.registry is not set';
    return this.#registry.get(id) ?? `schema ${id} was not loaded`;
  }

  /** @throws MalformedEnvelope when there is no schema that can be used */
  schemaOf(bytes: Buffer): RegisteredSchema {
    const schema = this.find(bytes);
    if (typeof schema === 'string') throw new MalformedEnvelope(schema);
    return schema;
  }

  /** @throws MalformedEnvelope when `bytes` are not exactly one record of that schema */
  decode(bytes: Buffer, schema: RegisteredSchema): AvroStruct {
    let struct = this.#structs.get(schema);
    if (!struct) {
      struct = new AvroStruct(schema.type, this.#input);
      this.#structs.set(schema, struct);
    }
    this.#input.open(bytes, headerBytes);
    struct.locate();
    if (this.#input.pos !== bytes.length)
      throw new MalformedEnvelope('bytes behind the end of the Avro data');
    return struct;
  }
}

/** Reads the Avro envelopes of a topic. */
export class AvroEnvelopes {
  readonly #content: ContentReader;
  readonly #decoder: AvroDecoder;

  constructor(content: ContentReader, registry: SchemaRegistry | undefined) {
    this.#content = content;
    this.#decoder = new AvroDecoder(registry);
  }

  /** Returns an `EnvelopeKind`. @throws MalformedEnvelope; `out` is then as it was */
  read(message: KafkaMessage, value: Buffer, out: ByteWriter): number {
    const schema = this.#decoder.schemaOf(value);
    return this.#content.read(this.#decoder.decode(value, schema), schema.content, message, out);
  }
}

/** Reads the Avro keys of a topic's messages. */
export class AvroKeys {
  readonly #keys: AvroDecoder;
  readonly #headers: AvroDecoder;

  constructor(registry: SchemaRegistry | undefined) {
    this.#keys = new AvroDecoder(registry);
    this.#headers = new AvroDecoder(registry);
  }

  fieldsOf(key: Buffer): MessageKey['fields'] | undefined {
    const schema = this.#keys.find(key);
    return typeof schema === 'string' ? undefined : schema.key;
  }

  read(key: Buffer): MessageKey {
    const schema = this.#keys.schemaOf(key);
    return { fields: schema.key, row: this.#keys.decode(key, schema) };
  }

  readHeader(value: Buffer): AvroStruct {
    return this.#headers.decode(value, this.#headers.schemaOf(value));
  }
}
