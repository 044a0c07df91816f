import { Op } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { AvroEnvelopes, avroSchemaId } from './avro-envelope.ts';
import {
  EnvelopeFields,
  EnvelopeKind,
  type EnvelopeReader,
  type KafkaMessage,
  MalformedEnvelope,
  type MessageSpans,
  spansOf,
} from './envelope.ts';
import { ContentReader, newKeyHeader, oldKeyHeader } from './envelope-content.ts';
import { JsonEnvelopes } from './json-envelope.ts';
import type { NextRecords } from './json-kernel.ts';
import { Layouts } from './layouts.ts';
import { MessageKeys } from './message-key.ts';
import { Placeholder } from './placeholder.ts';
import type { SchemaRegistry } from './schema-registry.ts';

const openingBrace = 123;

export interface EnvelopeOptions {
  /** The connector's `unavailable.value.placeholder`. */
  placeholder: string;
  /** Where the schemas of Avro messages are. */
  registry?: SchemaRegistry | undefined;
  /** Whether messages like the last ones are read the fast way (default); what comes out is the same. */
  predict?: boolean;
}

/** Reads the messages of a topic, each in the format that it has. */
export class TopicReader extends EnvelopeFields implements EnvelopeReader {
  readonly #registry: SchemaRegistry | undefined;
  readonly #keys: MessageKeys;
  readonly #content: ContentReader;
  readonly #json: JsonEnvelopes;
  readonly #avro: AvroEnvelopes;
  /** Key of the row that the message before deleted. */
  readonly #deletedKey = new ByteWriter(256);
  #afterDelete = false;

  constructor({ placeholder, registry, predict = true }: EnvelopeOptions) {
    super();
    const forms = new Placeholder(placeholder);
    this.#registry = registry;
    this.#keys = new MessageKeys(registry);
    this.#content = new ContentReader(forms, this.#keys, new Layouts(), this);
    this.#json = new JsonEnvelopes(forms, predict, this.#content, this.#keys, this);
    this.#avro = new AvroEnvelopes(this.#content, registry);
  }

  prepare(message: KafkaMessage): Promise<void> | undefined {
    // Keys and values are made when they are asked for.
    if (!this.#registry) return undefined;
    const { key, value, headers } = message;
    if (isNamedByGuid(headers)) return undefined;
    const oldKey = headers?.get(oldKeyHeader);
    if (!this.#lacks(value) && !this.#lacks(key) && !this.#lacks(oldKey)) return undefined;
    return this.#load([value, key, oldKey]);
  }

  #lacks(bytes: Buffer | null | undefined): boolean {
    const id = avroSchemaId(bytes);
    return id >= 0 && !this.#registry!.isLoaded(id);
  }

  async #load(parts: (Buffer | null | undefined)[]): Promise<void> {
    const lacking = parts.filter(bytes => this.#lacks(bytes));
    await Promise.all(lacking.map(bytes => this.#registry!.load(avroSchemaId(bytes))));
  }

  read(message: KafkaMessage, out: ByteWriter): number {
    const spans = spansOf(message);
    if (spans.valueStart < 0) return this.#readTombstone(message, out);
    this.#afterDelete = false;
    const kind = this.#readValue(message, spans, out);
    const isDelete =
      kind === EnvelopeKind.change
        ? this.op === Op.delete
        : kind === EnvelopeKind.ignored && message.headers?.has(newKeyHeader);
    const key = isDelete ? message.key : null;
    if (key !== null) {
      this.#afterDelete = true;
      this.#deletedKey.pos = 0;
      this.#deletedKey.writeBytes(key, 0, key.length);
    }
    return kind;
  }

  readAhead(next: NextRecords, mostBytes: number, out: ByteWriter): number {
    const count = this.#json.readAhead(next, mostBytes, out);
    if (count > 0) this.#afterDelete = false;
    return count;
  }

  change(i: number): boolean {
    return this.#json.change(i);
  }

  #readValue(message: KafkaMessage, spans: MessageSpans, out: ByteWriter): number {
    if (spans.valueStart < spans.valueEnd && spans.valueBytes[spans.valueStart] === openingBrace)
      return this.#json.read(message, spans, out);
    const { headers } = message;
    const value = message.value!;
    if (isNamedByGuid(headers) || value[0] === 1)
      throw new MalformedEnvelope(
        'its schema is named by a GUID, which is not supported: let the serializer put the id of the schema in front of the data',
      );
    return value[0] === 0 ? this.#avro.read(message, value, out) : this.#json.read(message, spans, out);
  }

  #readTombstone({ key, headers }: KafkaMessage, out: ByteWriter): number {
    const isDeleted = this.#afterDelete && key?.equals(this.#deletedKey.written()) === true;
    this.#afterDelete = false;
    // Flattening leaves of a key change's first half the tombstone only. Were the row deleted by it, the second half could not
    // look up the values that did not change.
    if (isDeleted || (this.isFlattened && headers?.has(newKeyHeader))) return EnvelopeKind.ignored;
    const deleted = this.#keys.read(key);
    // Of a table without a key, which has REPLICA IDENTITY FULL: the delete said what went.
    if (!deleted) return EnvelopeKind.ignored;
    this.#content.writeDeleteByKey(deleted, out);
    this.isSnapshot = false;
    this.lsnHi = this.lsnLo = this.lastCommitHi = this.lastCommitLo = 0;
    this.committedAtUs = Number.NaN;
    return EnvelopeKind.tombstone;
  }
}

/** Confluent's serializers may name a schema in a header instead of in front of the data. */
function isNamedByGuid(headers: KafkaMessage['headers']): boolean {
  return headers !== undefined && (headers.has('__value_schema_id') || headers.has('__key_schema_id'));
}
