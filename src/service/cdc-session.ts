import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Relation } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Pipeline } from '../pipeline.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import type { PartitionPosition } from '../sources/kafka/assigned-partition.ts';
import type { TopicRelation } from '../sources/kafka/batch-filler.ts';
import type { PartitionId } from '../sources/kafka/consumer.ts';
import type { EndOffsets, PartitionLag } from '../sources/kafka/delivery-marks.ts';
import type { Layout } from '../sources/kafka/envelope.ts';
import { KafkaSource } from '../sources/kafka/kafka-source.ts';
import { TopicReader } from '../sources/kafka/read-envelope.ts';
import { SchemaRegistry } from '../sources/kafka/schema-registry.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';
import { requireSameMode } from './pipeline-claims.ts';
import type { PipelineSession } from './pipeline-service.ts';
import { SourceCatalog } from './source-catalog.ts';
import { SourceRows } from './source-rows.ts';
import { TopicOffsets } from './topic-offsets.ts';
import { TopicTables } from './topic-tables.ts';

export interface CdcOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  metrics: Metrics;
  log: Log;
  keepRows: boolean;
  /** Ends `run` once everything is queryable that the topics have when it starts. */
  until: 'current' | undefined;
}

type Sink = Awaited<ReturnType<typeof connectClickHouse>>;

const sinkPatienceMs = 60_000;
const monitorIntervalMs = 1000;

/** One membership in the consumer group and what hangs on it, from the checks at the start to the last checkpoint. */
export class CdcSession implements PipelineSession {
  readonly #options: CdcOptions;
  readonly #clickhouse: Sink;
  readonly #control: ControlTables;
  readonly #offsets: TopicOffsets;
  readonly #sink: ClickHouseSink;
  readonly #tables: TopicTables;
  readonly letters: DeadLetters;
  readonly #catalog: SourceCatalog | undefined;
  readonly #rows: SourceRows | undefined;
  readonly #source: KafkaSource;
  readonly #pipeline: Pipeline;
  #checkpoint: Checkpoint;
  #end: EndOffsets | undefined;
  #stopped = false;

  private constructor(options: CdcOptions, clickhouse: Sink, control: ControlTables, checkpoint: Checkpoint) {
    const { config, metrics, log, keepRows } = options;
    const { kafka, postgres, batch } = config;
    this.#options = options;
    this.#clickhouse = clickhouse;
    this.#control = control;
    this.#checkpoint = checkpoint;
    this.#offsets = new TopicOffsets(control);
    this.letters = new DeadLetters(clickhouse.clickhouse, config.pipeline);
    this.#catalog = postgres.address && new SourceCatalog(postgres.address);
    this.#rows = postgres.address && new SourceRows(postgres.address);
    this.#sink = new ClickHouseSink({
      clickhouse: clickhouse.clickhouse,
      control,
      mode: 'cdc',
      letters: this.letters,
      epoch: checkpoint.epoch,
      metaColumns: config.metaColumns,
      metrics,
      log,
      patienceMs: sinkPatienceMs,
      fetchSourceRow: async (relation, key, columns) => this.#rows?.fetch(relation, key, columns),
      settleSource: async () => (this.#rows ? this.#rows.settle() : 0n),
      adopt: relation => this.#tables.adopt(relation),
      addColumns: (table, relation) => this.#tables.addColumns(table, relation),
      // The connector copies: nothing is copied here.
      abandonCopy: async () => {},
    });
    this.#tables = new TopicTables({
      config,
      log,
      metrics,
      keepRows,
      clickhouse,
      control,
      sink: this.#sink,
      epoch: checkpoint.epoch,
      catalog: this.#catalog,
    });
    const registry = kafka.registry === undefined ? undefined : new SchemaRegistry(kafka.registry);
    this.#source = new KafkaSource({
      brokers: kafka.brokers,
      tls: kafka.tls,
      sasl: kafka.sasl,
      topics: kafka.topics,
      group: kafka.group,
      position: 0n,
      maxBatchBytes: batch.maxBytes,
      delayMs: batch.maxDelayMs,
      readerOf: () => new TopicReader({ placeholder: kafka.connector.placeholder, registry }),
      relationOf: buildRelations(),
      savedPositions: async partitions => {
        await this.#tables.removeTruncated();
        return this.#offsets.load(partitions);
      },
      recreated: partition => this.#restartTopic(partition),
      deleted: topic => log.warn({ topic }, 'a topic that was read is gone'),
    });
    this.#pipeline = new Pipeline({
      source: this.#source,
      sink: this.#sink,
      metrics,
      position: 0n,
      maxDelayMs: batch.maxDelayMs,
      saveCheckpoint: position => this.#offsets.save(this.#source.offsetsAt(position)),
    });
  }

  /** Connects both sides, checks them, creates what is missing. Reads nothing yet. */
  static async open(options: CdcOptions): Promise<CdcSession> {
    const { config } = options;
    const clickhouse = await connectClickHouse(options.clickhouse);
    try {
      const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
      await control.create();
      let checkpoint = await control.loadCheckpoint();
      requireSameMode(config, checkpoint);
      if (!checkpoint) {
        checkpoint = firstCheckpoint;
        await control.saveCheckpoint(checkpoint);
      }
      const session = new CdcSession(options, clickhouse, control, checkpoint);
      await session.#tables.load();
      await session.letters.loadKeys();
      await session.letters.countOpen();
      return session;
    } catch (error) {
      await clickhouse.clickhouse.close();
      throw error;
    }
  }

  async run(started: () => void): Promise<void> {
    try {
      await this.#source.start();
      started();
      if (this.#options.until === 'current') this.#end = await this.#source.until();
      if (this.#stopped) return;
      void this.#monitor();
      await this.#pipeline.run(written => this.#end !== undefined && this.#source.passed(this.#end, written));
    } finally {
      this.#stopped = true;
      this.#sink.stop();
      await this.#source.close();
      await this.#catalog?.close();
      await this.#rows?.close();
      await this.#clickhouse.clickhouse.close();
    }
  }

  /** Finishes the insert in flight, saves and acks; `run` then resolves. */
  stop(): void {
    this.#stopped = true;
    this.#sink.stop();
    this.#pipeline.stop();
  }

  get tables(): readonly SinkTable[] {
    return [...this.#sink.tables.values()];
  }

  get written(): Lsn {
    return this.#pipeline.written;
  }

  get checkpointed(): Lsn {
    return this.#pipeline.saved;
  }

  get copying(): boolean {
    return false;
  }

  expect(position: Lsn): void {
    this.#source.expect(position);
  }

  /** Where the partitions of this member stand: everything before is queryable. */
  get offsets(): PartitionPosition[] {
    return this.#source.offsetsAt(this.written);
  }

  get lags(): PartitionLag[] {
    return this.#source.lags();
  }

  /** Rows of the new topic must go before those of the old one, whatever their LSNs. */
  async #restartTopic(partition: PartitionId): Promise<void> {
    const { topic } = partition;
    // The epoch first: after a crash in between the topic is found anew, and only the epoch rises once more.
    const saved = (await this.#control.loadCheckpoint()) ?? this.#checkpoint;
    await this.#control.saveCheckpoint({ ...saved, epoch: saved.epoch + 1 });
    await this.#offsets.restart(partition);
    throw new CdcError('TOPIC_RECREATED', `topic "${topic}" was deleted and created again`);
  }

  /** Looks after what other instances and commands have to say while the pipeline runs. */
  async #monitor(): Promise<void> {
    const { metrics } = this.#options;
    while (!this.#stopped) {
      try {
        for (const { topic, partition, lag } of this.lags) metrics.setKafkaLag(topic, partition, lag);
        await this.#tables.load();
        await this.#pipeline.between(() => this.#tables.learn());
        if (this.letters.mayHaveChanged) await this.letters.countOpen();
        const saved = await this.#control.loadCheckpoint();
        if (saved && saved.epoch !== this.#checkpoint.epoch)
          this.#pipeline.fail(
            new CdcError('TOPIC_RECREATED', 'another instance found that a topic was created again'),
          );
      } catch (error) {
        // An outage of ClickHouse shows up in the pipeline itself.
        if (asCdcError(error).action === 'stop') this.#pipeline.fail(error);
      }
      for (let waited = 0; waited < monitorIntervalMs && !this.#stopped; waited += 100) await sleep(100);
    }
  }
}

const firstCheckpoint: Checkpoint = {
  mode: 'cdc',
  epoch: 1,
  position: '',
  systemId: '',
  timeline: 0,
  slot: '',
  publication: '',
  publicationOid: 0,
};

/** Numbers tables as they come up, and makes one relation for each shape of their rows. */
function buildRelations(): (topic: string, layout: Layout, schema: string, table: string) => TopicRelation {
  const ids = new Map<string, number>();
  const relations = new Map<Layout, Map<string, TopicRelation>>();
  return (topic, layout, saidSchema, saidName) => {
    // Flattened rows need not say it; topics are named PREFIX.SCHEMA.TABLE.
    const [ofTopic = topic, schemaOfTopic = 'public'] = topic.split('.').reverse();
    const [schema, name] = saidName === '' ? [schemaOfTopic, ofTopic] : [saidSchema, saidName];
    const table = JSON.stringify([schema, name]);
    let ofLayout = relations.get(layout);
    if (!ofLayout) relations.set(layout, (ofLayout = new Map()));
    let relation = ofLayout.get(table);
    if (!relation) {
      const id = ids.get(table) ?? ids.size + 1;
      ids.set(table, id);
      const described: Relation = {
        id,
        schema,
        name,
        replicaIdentity: 'd',
        columns: layout.names.map((column, i) => ({
          name: column,
          type: unresolved,
          typmod: -1,
          notNull: false,
          wire: layout.wires[i]!,
        })),
        messageKey: layout.key,
      };
      relation = { relation: described, keyless: layout.key === undefined };
      ofLayout.set(table, relation);
    }
    return relation;
  };
}

/** The table knows the types of its columns. */
const unresolved = { oid: 0, name: 'unknown', schema: 'pg_catalog', kind: 'pseudo' } as const;
