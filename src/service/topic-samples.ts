import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import { Op } from '../core/batch.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import { asCdcError, type CdcError } from '../core/errors.ts';
import { qualifiedName, type Relation } from '../core/relation.ts';
import { avroSchemaId } from '../sources/kafka/avro-envelope.ts';
import type { Cluster, TopicInfo } from '../sources/kafka/cluster.ts';
import { EnvelopeKind, MalformedEnvelope } from '../sources/kafka/envelope.ts';
import { TopicReader } from '../sources/kafka/read-envelope.ts';
import { Found, type RecordCursor } from '../sources/kafka/record-cursor.ts';
import { type PartitionRange, type SampleOptions, sampleTopics } from '../sources/kafka/sample-topics.ts';
import { SchemaRegistry } from '../sources/kafka/schema-registry.ts';
import { buildRelations } from './topic-relations.ts';

export interface UnreadableMessage {
  partition: number;
  offset: number;
  reason: string;
}

/** What the converter of the connector does with a NULL in a column that has a default. */
export type NullHandling = 'kept' | 'replaced' | 'unknown';

/** A table as the messages of a topic show it. */
export interface SampledTable {
  topic: string;
  /** In the shape of the rows that were written; of deletes alone, what they have. */
  relation: Relation;
  changes: number;
  withoutKey: number;
  flattened: boolean;
  /** Whether messages do not say of what types their fields are. */
  schemaless: boolean;
  /** What flattened rows were not given by `add.fields`. */
  lacking: Set<string>;
  nulls: NullHandling;
}

export interface TopicSample {
  topic: TopicInfo;
  ranges: PartitionRange[];
  /** Messages that were looked at. */
  messages: number;
  /** In words, as in `JSON without schemas`. */
  formats: Set<string>;
  unreadable: UnreadableMessage[];
  /** By `schema.table`. */
  tables: Map<string, SampledTable>;
  /** A key of which messages are in more than one partition: these. */
  spread: { partitions: number[] } | undefined;
  /** Why messages could not be looked at: the registry. */
  failure: CdcError | undefined;
}

export interface TopicSamplesOptions {
  cluster: Cluster;
  topics: readonly TopicInfo[];
  ranges: readonly PartitionRange[];
  which: SampleOptions['which'];
  /** The connector's `unavailable.value.placeholder`. */
  placeholder: string;
  registry: string | undefined;
}

const perPartition = 20;
/** A larger message is not looked into for what only JSON shows. */
const maxJsonBytes = 1 << 20;

/** Looks at a few messages of every partition, read as `run` reads them. */
export async function readTopicSamples(options: TopicSamplesOptions): Promise<TopicSample[]> {
  const { cluster, topics, ranges, which } = options;
  const registry = options.registry === undefined ? undefined : new SchemaRegistry(options.registry);
  const relationOf = buildRelations();
  const samplers = new Map(
    topics.map(topic => {
      const own = ranges.filter(range => range.topic === topic.name);
      const reader = new TopicReader({ placeholder: options.placeholder, registry });
      return [topic.name, new TopicSampler(topic, own, reader, registry, relationOf)];
    }),
  );
  await sampleTopics({
    cluster,
    topics,
    ranges,
    which,
    perPartition,
    take: (range, found, cursor) => samplers.get(range.topic)!.take(range, found, cursor),
  });
  return [...samplers.values()].map(({ sample }) => sample);
}

/** Tables of the samples that are wanted: by name, each as one of its topics shows it. */
export function wantedTables(config: Config, samples: readonly TopicSample[]): Map<string, SampledTable> {
  const tables = new Map<string, SampledTable>();
  for (const sample of samples)
    for (const [name, table] of sample.tables) {
      const { schema, name: ofTable } = table.relation;
      if (matchesPattern(config.tables, config.exclude, schema, ofTable)) tables.set(name, table);
    }
  return tables;
}

class TopicSampler {
  readonly sample: TopicSample;
  readonly #reader: TopicReader;
  readonly #registry: SchemaRegistry | undefined;
  readonly #relationOf: ReturnType<typeof buildRelations>;
  readonly #out = new ByteWriter(1 << 16);
  readonly #partitionOfKey = new Map<string, number>();

  constructor(
    topic: TopicInfo,
    ranges: PartitionRange[],
    reader: TopicReader,
    registry: SchemaRegistry | undefined,
    relationOf: ReturnType<typeof buildRelations>,
  ) {
    this.#reader = reader;
    this.#registry = registry;
    this.#relationOf = relationOf;
    this.sample = {
      topic,
      ranges,
      messages: 0,
      formats: new Set(),
      unreadable: [],
      tables: new Map(),
      spread: undefined,
      failure: undefined,
    };
  }

  async take({ partition }: PartitionRange, found: number, cursor: RecordCursor): Promise<void> {
    const { sample } = this;
    sample.messages++;
    if (found === Found.unreadable) {
      sample.unreadable.push({ partition, offset: cursor.offset, reason: cursor.reason });
      return;
    }
    try {
      await this.#reader.prepare(cursor);
    } catch (error) {
      sample.failure = asCdcError(error);
      return;
    }
    this.#out.pos = 0;
    try {
      const kind = this.#reader.read(cursor, this.#out);
      if (kind === EnvelopeKind.change) this.#addChange(partition, cursor);
    } catch (error) {
      if (!(error instanceof MalformedEnvelope)) throw error;
      sample.unreadable.push({ partition, offset: cursor.offset, reason: error.message });
    }
  }

  #addChange(partition: number, cursor: RecordCursor): void {
    const { sample } = this;
    const reader = this.#reader;
    const { key, value } = cursor;
    const { relation } = this.#relationOf(sample.topic.name, reader.layout, reader.schema, reader.table);
    const isAvro = avroSchemaId(value) >= 0;
    const schemaless = relation.columns.every(({ wire }) => wire?.type === undefined);
    sample.formats.add(describeFormat(isAvro, schemaless, reader.isFlattened));
    const name = qualifiedName(relation);
    let table = sample.tables.get(name);
    if (!table) {
      table = {
        topic: sample.topic.name,
        relation,
        changes: 0,
        withoutKey: 0,
        flattened: false,
        schemaless: false,
        lacking: new Set(),
        nulls: 'unknown',
      };
      sample.tables.set(name, table);
    }
    // A delete may have the key only.
    if (reader.op !== Op.delete || table.relation.columns.length < relation.columns.length)
      table.relation = relation;
    table.changes++;
    table.flattened ||= reader.isFlattened;
    table.schemaless ||= schemaless;
    if (key === null) table.withoutKey++;
    else this.#noteKey(key, partition);
    const document = isAvro ? undefined : parseJson(value!);
    if (reader.isFlattened) this.#noteLacking(table, value!, document);
    else if (document) {
      const nulls = nullHandling(document);
      if (nulls !== 'unknown') table.nulls = nulls;
    }
  }

  #noteKey(key: Buffer, partition: number): void {
    const text = key.toString('latin1');
    const before = this.#partitionOfKey.get(text);
    if (before === undefined) this.#partitionOfKey.set(text, partition);
    else if (before !== partition)
      this.sample.spread ??= { partitions: [before, partition].sort((a, b) => a - b) };
  }

  #noteLacking(table: SampledTable, value: Buffer, document: object | undefined): void {
    const schema = document ? undefined : this.#registry?.get(avroSchemaId(value));
    const names = document
      ? Object.keys(document)
      : typeof schema === 'object'
        ? schema.key.names
        : undefined;
    if (!names) return;
    for (const field of ['sequence', 'schema', 'table'])
      if (!names.includes(`__${field}`) && !names.includes(`__source_${field}`)) table.lacking.add(field);
    if (!names.includes('__source_ts_us') && !names.includes('__source_ts_ms'))
      table.lacking.add('source.ts_us');
  }
}

function describeFormat(isAvro: boolean, schemaless: boolean, isFlattened: boolean): string {
  const format = isAvro ? 'Avro' : schemaless ? 'JSON without schemas' : 'JSON with schemas';
  return isFlattened ? `${format}, flattened` : format;
}

/** The payload of a message. */
function parseJson(value: Buffer): Record<string, unknown> | undefined {
  if (value.length > maxJsonBytes) return undefined;
  try {
    const document = JSON.parse(value.toString()) as Record<string, unknown>;
    return 'payload' in document && 'schema' in document
      ? (document.payload as Record<string, unknown>)
      : document;
  } catch {
    return undefined;
  }
}

/**
 * `source.snapshot` is null in what was not read by a snapshot, and has "false" as its default: whether that was put in its
 * place shows what is done with every NULL.
 */
function nullHandling({ source }: Record<string, unknown>): NullHandling {
  if (typeof source !== 'object' || source === null || !('snapshot' in source)) return 'unknown';
  const { snapshot } = source;
  return snapshot === null ? 'kept' : snapshot === 'false' ? 'replaced' : 'unknown';
}
