import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Pipeline } from '../pipeline.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import type { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import type { PartitionPosition } from '../sources/kafka/assigned-partition.ts';
import type { PartitionId } from '../sources/kafka/consumer.ts';
import type { EndOffsets, PartitionLag } from '../sources/kafka/delivery-marks.ts';
import { KafkaSource } from '../sources/kafka/kafka-source.ts';
import { TopicReader } from '../sources/kafka/read-envelope.ts';
import { SchemaRegistry } from '../sources/kafka/schema-registry.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';
import { LetterUpkeep } from './letter-upkeep.ts';
import { requireSameMode } from './pipeline-claims.ts';
import type { PipelineSession } from './pipeline-service.ts';
import { TopicOffsets } from './topic-offsets.ts';
import { buildRelations } from './topic-relations.ts';
import { TopicSink } from './topic-sink.ts';

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

const monitorIntervalMs = 1000;

/** One membership in the consumer group and what hangs on it, from the checks at the start to the last checkpoint. */
export class CdcSession implements PipelineSession {
  readonly #options: CdcOptions;
  readonly #clickhouse: Sink;
  readonly #control: ControlTables;
  readonly #offsets: TopicOffsets;
  readonly #topics: TopicSink;
  readonly #upkeep: LetterUpkeep;
  readonly #source: KafkaSource;
  readonly #pipeline: Pipeline;
  #checkpoint: Checkpoint;
  #end: EndOffsets | undefined;
  #stopped = false;

  private constructor(options: CdcOptions, clickhouse: Sink, control: ControlTables, checkpoint: Checkpoint) {
    const { config, metrics, log, keepRows } = options;
    const { kafka, batch } = config;
    this.#options = options;
    this.#clickhouse = clickhouse;
    this.#control = control;
    this.#checkpoint = checkpoint;
    this.#offsets = new TopicOffsets(control);
    this.#topics = new TopicSink({ config, clickhouse, control, checkpoint, metrics, log, keepRows });
    this.#upkeep = new LetterUpkeep(this.letters, clickhouse.clickhouse, config);
    const registry = kafka.registry === undefined ? undefined : new SchemaRegistry(kafka.registry);
    this.#source = new KafkaSource({
      brokers: kafka.brokers,
      tls: kafka.tls,
      sasl: kafka.sasl,
      topics: kafka.topics,
      group: kafka.group,
      position: 0n,
      // Fetched messages need room beside the batches, and larger batches make nothing faster.
      maxBatchBytes: batch.maxBytes / 2,
      delayMs: batch.maxDelayMs,
      readerOf: () => new TopicReader({ placeholder: kafka.connector.placeholder, registry }),
      relationOf: buildRelations(),
      savedPositions: async partitions => {
        await this.#pipeline.between(async () => this.#topics.sink.forgetValues());
        await this.#topics.tables.removeTruncated();
        return this.#offsets.load(partitions);
      },
      recreated: partition => this.#restartTopic(partition),
      deleted: topic => log.warn({ topic }, 'a topic that was read is gone'),
    });
    this.#pipeline = new Pipeline({
      source: this.#source,
      sink: this.#topics.sink,
      metrics,
      position: 0n,
      maxDelayMs: batch.maxDelayMs,
      saveCheckpoint: async position => {
        await this.#topics.tables.requireStopped();
        await this.#offsets.save(this.#source.offsetsAt(position));
      },
    });
  }

  /** Connects both sides, checks them, creates what is missing. Reads nothing yet. */
  static async open(options: CdcOptions, isRunning: boolean): Promise<CdcSession> {
    const { config } = options;
    const clickhouse = await connectClickHouse(options.clickhouse);
    try {
      const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
      await control.create();
      const checkpoint = await control.loadCheckpoint();
      requireSameMode(config, checkpoint, isRunning);
      const session = new CdcSession(options, clickhouse, control, checkpoint ?? firstCheckpoint);
      await session.#topics.load();
      return session;
    } catch (error) {
      await clickhouse.clickhouse.close();
      throw error;
    }
  }

  async run(started: () => void): Promise<void> {
    try {
      await this.#source.start();
      // Not before a broker has answered: the checkpoint is what keeps other modes from the pipeline.
      if (!(await this.#control.loadCheckpoint())) await this.#control.saveCheckpoint(this.#checkpoint);
      started();
      if (this.#options.until === 'current') this.#end = await this.#source.until();
      if (this.#stopped) return;
      void this.#monitor();
      await this.#pipeline.run(written => this.#end !== undefined && this.#source.passed(this.#end, written));
    } finally {
      this.#stopped = true;
      this.#topics.sink.stop();
      await this.#source.close();
      await this.#topics.close();
      await this.#clickhouse.clickhouse.close();
    }
  }

  /** Finishes the insert in flight, saves and acks; `run` then resolves. */
  stop(): void {
    this.#stopped = true;
    this.#topics.sink.stop();
    this.#pipeline.stop();
  }

  get tables(): readonly SinkTable[] {
    return [...this.#topics.sink.tables.values()];
  }

  get letters(): DeadLetters {
    return this.#topics.letters;
  }

  get written(): Lsn {
    return this.#pipeline.written;
  }

  get writingSince(): number | undefined {
    return this.#pipeline.writingSince;
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
        metrics.setKafkaLags(this.lags);
        await this.#topics.tables.load();
        await this.#pipeline.between(() => this.#topics.tables.learn());
        await this.#upkeep.tend();
        const saved = await this.#control.loadCheckpoint();
        requireSameMode(this.#options.config, saved, true);
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

/** Of a pipeline that has read nothing yet. */
export const firstCheckpoint: Checkpoint = {
  mode: 'cdc',
  epoch: 1,
  position: '',
  systemId: '',
  timeline: 0,
  slot: '',
  publication: '',
  publicationOid: 0,
};
