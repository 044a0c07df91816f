import { randomUUID } from 'node:crypto';
import { type Batch, Op, RowGroup } from '../../../src/core/batch.ts';
import type { ByteWriter } from '../../../src/core/byte-writer.ts';
import type { Relation } from '../../../src/core/relation.ts';
import type { PartitionPosition } from '../../../src/sources/kafka/assigned-partition.ts';
import type { SavedPosition } from '../../../src/sources/kafka/consumer.ts';
import {
  EnvelopeKind,
  type EnvelopeReader,
  type KafkaMessage,
  type Layout,
  MalformedEnvelope,
} from '../../../src/sources/kafka/envelope.ts';
import { KafkaSource, type KafkaSourceOptions } from '../../../src/sources/kafka/kafka-source.ts';
import { waitFor } from '../wait-for.ts';
import type { KafkaBroker } from './broker.ts';

const layout: Layout = { names: ['text'], wires: [{}], key: ['text'] };

/**
 * Reads messages without an envelope: the value is a row of one column, `truncate` a truncate, `ignore…` nothing and `bad…` is
 * malformed. `lsn=N` within a value is its LSN, which is 1 otherwise, and `snapshot` makes a snapshot row of it.
 */
export class TextReader implements EnvelopeReader {
  op: number = Op.insert;
  isSnapshot = false;
  isFlattened = false;
  lsnHi = 0;
  lsnLo = 0;
  lastCommitHi = 0;
  lastCommitLo = 0;
  committedAtUs = 0;
  schema = 'public';
  table = 't';
  layout = layout;

  prepare(): undefined {}

  read({ value }: KafkaMessage, out: ByteWriter): number {
    const text = value?.toString() ?? 'ignored, since it is a tombstone';
    if (text.startsWith('bad')) throw new MalformedEnvelope('it says so');
    if (text.startsWith('ignore')) return EnvelopeKind.ignored;
    this.lsnLo = Number(/lsn=(\d+)/.exec(text)?.[1] ?? 1);
    this.isSnapshot = text.includes('snapshot');
    if (text === 'truncate') return EnvelopeKind.truncate;
    out.reserve(8);
    out.buf.write('N\0\x01t', out.pos, 'latin1');
    out.buf.writeInt32BE(value!.length, out.pos + 4);
    out.pos += 8;
    out.writeBytes(value!, 0, value!.length);
    return EnvelopeKind.change;
  }
}

/** The values of a batch, group after group. */
export function textsOf(batch: Batch): string[] {
  const texts: string[] = [];
  for (const { count, index } of batch.groups) {
    for (let at = 0; at < count * RowGroup.stride; at += RowGroup.stride) {
      const start = index[at + RowGroup.offset]! + 8;
      const end = index[at + RowGroup.offset]! + index[at + RowGroup.length]!;
      texts.push(batch.data.buf.toString('utf8', start, end));
    }
  }
  return texts;
}

/** What members write to: rows, and the checkpoint that they share. */
export class MemberStore {
  readonly texts: string[] = [];
  readonly positions = new Map<string, SavedPosition>();
  /** Topics that members took for others than the saved ones. */
  readonly recreated: string[] = [];
  readonly deleted: string[] = [];

  save(positions: PartitionPosition[]): void {
    for (const position of positions) this.positions.set(`${position.topic}/${position.partition}`, position);
  }

  offset(name: string): number | undefined {
    return this.positions.get(name)?.offset;
  }
}

export type MemberOptions = Partial<KafkaSourceOptions> & {
  /** Before a batch is written. */
  beforeWrite?(batch: Batch): Promise<void> | void;
};

const relation: Relation = { id: 1, schema: 'public', name: 't', replicaIdentity: 'd', columns: [] };

/** A source whose batches go to `store`: `await using`. Not started. */
export function sourceOf(broker: KafkaBroker, store: MemberStore, options: MemberOptions): KafkaSource {
  return new KafkaSource({
    brokers: [broker.address()],
    topics: [],
    group: randomUUID(),
    position: 0n,
    maxBatchBytes: 1 << 20,
    delayMs: 5,
    refreshIntervalMs: 200,
    heartbeatIntervalMs: 100,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    readerOf: () => new TextReader(),
    relationOf: () => ({ relation, keyless: false }),
    savedPositions: async partitions =>
      partitions.flatMap(({ topic, partition }) => store.positions.get(`${topic}/${partition}`) ?? []),
    recreated: async ({ topic }) => {
      store.recreated.push(topic);
    },
    deleted: topic => store.deleted.push(topic),
    ...options,
  });
}

/** Runs a source as the pipeline does: read, write, save, ack. */
export class SourceMember implements AsyncDisposable {
  readonly source: KafkaSource;
  readonly batches: { texts: string[]; batch: Batch }[] = [];
  /** Rejects when the source fails; resolves after `stop`. */
  readonly ended: Promise<void>;
  readonly #store: MemberStore;
  readonly #beforeWrite: MemberOptions['beforeWrite'];
  #stopping = false;
  #failure: unknown;

  static async start(broker: KafkaBroker, store: MemberStore, options: MemberOptions): Promise<SourceMember> {
    const source = sourceOf(broker, store, options);
    try {
      await source.start();
    } catch (error) {
      await source.close();
      throw error;
    }
    return new SourceMember(source, store, options.beforeWrite);
  }

  private constructor(source: KafkaSource, store: MemberStore, beforeWrite: MemberOptions['beforeWrite']) {
    this.source = source;
    this.#store = store;
    this.#beforeWrite = beforeWrite;
    this.ended = this.#run();
    this.ended.catch(error => {
      this.#failure = error;
    });
  }

  /** Waits for a condition; what the source fails with ends the wait. */
  async waitFor(condition: () => unknown, what: string): Promise<void> {
    const checked = () => {
      if (this.#failure) throw this.#failure;
      return condition();
    };
    await waitFor(checked, { what });
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const batch = await this.source.read();
      await this.#beforeWrite?.(batch);
      const texts = textsOf(batch);
      this.#store.texts.push(...texts);
      this.batches.push({ texts, batch });
      this.#store.save(this.source.offsetsAt(batch.position));
      this.source.ack(batch.position);
    }
  }

  /** Ends after the batch in flight. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.source.wake();
    await this.ended.catch(() => {});
    await this.source.close();
  }

  /** As when the process is killed, but for the connections: nothing that is in flight is saved. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    await this.source.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
