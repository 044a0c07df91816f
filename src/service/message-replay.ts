import type { Config } from '../config.ts';
import type { Batch, PoisonMessage } from '../core/batch.ts';
import { CdcError } from '../core/errors.ts';
import type { Log } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { AssignedPartition } from '../sources/kafka/assigned-partition.ts';
import { BatchFiller, type FoundMessage } from '../sources/kafka/batch-filler.ts';
import { NotReady } from '../sources/kafka/not-ready.ts';
import { TopicReader } from '../sources/kafka/read-envelope.ts';
import { Found } from '../sources/kafka/record-cursor.ts';
import { SchemaRegistry } from '../sources/kafka/schema-registry.ts';
import { firstCheckpoint } from './cdc-session.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';
import { TopicOffsets } from './topic-offsets.ts';
import { buildRelations } from './topic-relations.ts';
import { TopicSink } from './topic-sink.ts';

/** Reads messages of topics once more that could not be read, and writes what they say at the versions that they had. */
export class MessageReplay {
  readonly #config: Config;
  readonly #clickhouse: ClickHouse;
  readonly #offsets: TopicOffsets;
  readonly #topics: TopicSink;
  readonly #registry: SchemaRegistry | undefined;
  readonly #relationOf = buildRelations();

  private constructor(config: Config, clickhouse: ClickHouse, offsets: TopicOffsets, topics: TopicSink) {
    this.#config = config;
    this.#clickhouse = clickhouse;
    this.#offsets = offsets;
    this.#topics = topics;
    const { registry } = config.kafka;
    this.#registry = registry === undefined ? undefined : new SchemaRegistry(registry);
  }

  static async open(config: Config, address: ClickHouseAddress, log: Log): Promise<MessageReplay> {
    const clickhouse = await connectClickHouse(address);
    try {
      const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
      const checkpoint = (await control.loadCheckpoint()) ?? firstCheckpoint;
      const metrics = new Metrics();
      const topics = new TopicSink({
        config,
        clickhouse,
        control,
        checkpoint,
        metrics,
        log,
        keepRows: false,
      });
      await topics.load();
      return new MessageReplay(config, clickhouse.clickhouse, new TopicOffsets(control), topics);
    } catch (error) {
      await clickhouse.clickhouse.close();
      throw error;
    }
  }

  /** Resolves when what the message says is durable. Throws why it still cannot be read, or not be written. */
  async replay(message: PoisonMessage): Promise<void> {
    const { topic, partition, offset } = message;
    if (message.key === null && message.value === null)
      throw new CdcError(
        'LETTER_OUTDATED',
        `the bytes of message ${topic}/${partition}/${offset} were not kept: ${message.reason}`,
        {
          hint: 'Let the connector write the row again, with an update at the source, and discard the letter.',
        },
      );
    for (const batch of await this.#read(message)) {
      if (batch.poison?.[0]) throw new CdcError('MESSAGE_INVALID', batch.poison[0].reason);
      await this.#topics.sink.write(batch);
      for (const { relation } of batch.groups) this.#requireWritten(relation.id);
    }
  }

  async close(): Promise<void> {
    await this.#topics.close();
    await this.#clickhouse.close();
  }

  async #read(message: PoisonMessage): Promise<Batch[]> {
    const batches: Batch[] = [];
    const { batch, kafka } = this.#config;
    const filler = new BatchFiller({
      maxBatchBytes: batch.maxBytes,
      maxMessageBytes: Number.POSITIVE_INFINITY,
      readerOf: () => new TopicReader({ placeholder: kafka.connector.placeholder, registry: this.#registry }),
      relationOf: this.#relationOf,
      finish: (builder, poison) => batches.push({ ...builder.build(0n), poison }),
    });
    const partition = await this.#partitionOf(message);
    for (;;) {
      try {
        filler.take(Found.record, foundMessage(message), partition);
        break;
      } catch (error) {
        if (!(error instanceof NotReady)) throw error;
        await error.ready;
      }
    }
    filler.finish();
    return batches;
  }

  /** As the partition was when the message came: its snapshots decide about versions. */
  async #partitionOf({ topic, partition, offset }: PoisonMessage): Promise<AssignedPartition> {
    const [saved] = await this.#offsets.load([{ topic, topicId: undefined, partition }]);
    const assigned = new AssignedPartition(topic, partition);
    assigned.locate({
      offset,
      leaderEpoch: -1,
      snapshots: saved?.snapshots ?? [],
      lastCommit: 0n,
      lastLsn: 0n,
    });
    return assigned;
  }

  #requireWritten(id: number): void {
    const stopped = this.#topics.sink.tables.get(id)?.state.stopped;
    if (stopped)
      throw new CdcError(stopped.code as CdcError['code'], stopped.message, { hint: stopped.hint });
  }
}

function foundMessage({ key, value, headers, offset, lastOffset, reason }: PoisonMessage): FoundMessage {
  return {
    key,
    value,
    headers: new Map(headers.flatMap(([name, bytes]) => (bytes ? [[name, bytes] as const] : []))),
    offset,
    position: lastOffset + 1,
    size: 0,
    reason,
    allHeaders: () => headers,
  };
}
