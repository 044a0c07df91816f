import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, PoisonMessage } from '../../core/batch.ts';
import { CdcError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import { postgresEpochMs } from '../../core/postgres-epoch.ts';
import type { Source } from '../../core/source.ts';
import type { BatchBuilder } from '../batch-builder.ts';
import type { AssignedPartition, PartitionPosition } from './assigned-partition.ts';
import { BatchFiller, type BatchFillerOptions } from './batch-filler.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import { DeliveryMarks, type EndOffsets, type PartitionLag } from './delivery-marks.ts';
import type { Stretch } from './fetcher.ts';
import { GroupCommits } from './group-commits.ts';
import { NotReady } from './not-ready.ts';
import { Found, RecordCursor } from './record-cursor.ts';

export interface KafkaSourceOptions
  extends Omit<ConsumerOptions, 'fetchBytes'>,
    Pick<BatchFillerOptions, 'readerOf' | 'relationOf'> {
  /** The delivery number to begin behind. */
  position: Lsn;
  maxBatchBytes: number;
  delayMs: number;
  /** A larger message goes to the poison of its batch, without its bytes. */
  maxMessageBytes?: number;
  /** How long a rebalance waits for what was delivered to be acked. */
  revokeTimeoutMs?: number;
}

/** Messages without changes are worth a checkpoint this often. */
const idlePositionIntervalMs = 10_000;
/** For the last commit. */
const closeMs = 2000;
const largestFetchBytes = 4 << 20;
const defaultMaxMessageBytes = 64 << 20;
/** Decompressed: more than any producer puts into one. */
const maxRecordBatchBytes = 256 << 20;
/** Messages are read in slices, so that heartbeats are not kept waiting, and brokers not by a socket that is full. */
const sliceBytes = 128 << 10;
const sliceMessages = 20_000;

/**
 * Debezium's topics as a source: reads messages of a consumer group's member into batches. Positions are delivery numbers, one
 * for each batch; `offsetsAt` says what they mean.
 */
export class KafkaSource implements Source {
  delayMs: number;
  backlogDelayMs: number;
  readonly #options: KafkaSourceOptions;
  readonly #consumer: Consumer;
  readonly #filler: BatchFiller;
  readonly #cursor = new RecordCursor(maxRecordBatchBytes);
  readonly #marks: DeliveryMarks;
  readonly #commits: GroupCommits;
  /** That moved since the last batch ended. */
  readonly #moved = new Set<AssignedPartition>();
  #finished: Batch[] = [];
  #finishedBytes = 0;
  #previous: Batch | undefined;

  /** What the cursor walks. */
  #stretch: Stretch | undefined;
  /** The reader was not ready for the message that the cursor is at. */
  #again = false;
  #loading = false;
  #filling = false;

  /** Of the batch that ended last, and of the one that was delivered last. */
  #number: Lsn;
  #delivered: Lsn;
  #deliveredAtMs = performance.now();
  #acked: Lsn;
  #expected: Lsn | undefined;
  #target: EndOffsets | undefined;
  #isAssigned = false;

  #reader: { resolve(batch: Batch): void; reject(error: unknown): void } | undefined;
  #woken = false;
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;
  #closed = false;
  #settled: (() => void) | undefined;

  constructor(options: KafkaSourceOptions) {
    this.#options = options;
    const { maxBatchBytes, maxMessageBytes = defaultMaxMessageBytes, readerOf, relationOf } = options;
    this.delayMs = this.backlogDelayMs = options.delayMs;
    this.#number = this.#delivered = this.#acked = options.position;
    this.#filler = new BatchFiller({
      maxBatchBytes,
      maxMessageBytes,
      readerOf,
      relationOf,
      finish: (builder, poison) => this.#finished.push(this.#build(builder, poison)),
    });
    this.#consumer = new Consumer(
      { ...options, fetchBytes: Math.min(largestFetchBytes, Math.max(1 << 20, maxBatchBytes >> 2)) },
      {
        arrived: () => this.#fillSoon(),
        revoked: lost => this.#revoked(lost),
        assigned: () => this.#assigned(),
        failed: error => this.#fail(error),
      },
    );
    this.#marks = new DeliveryMarks(() => this.#consumer.partitions.values());
    this.#commits = new GroupCommits(offsets => this.#consumer.commit(offsets));
  }

  /** Connects and joins the group; partitions come later. */
  async start(): Promise<void> {
    await this.#consumer.start();
  }

  get oldestPendingMs(): number | undefined {
    const transactions = this.#finished[0]?.transactions ?? this.#filler.builder.transactions;
    return transactions.count === 0 ? undefined : transactions.committedAtUs[0]! / 1000 + postgresEpochMs;
  }

  /** Partitions that are read at the moment, and how far what is acked is behind. */
  lags(): PartitionLag[] {
    return this.#marks.lagsAt(this.#acked);
  }

  /** What a checkpoint at `position` holds: the partitions that this member has, where it knows where they are. */
  offsetsAt(position: Lsn): PartitionPosition[] {
    return [...this.#marks.at(position).values()];
  }

  /** Where the topics end now. `passed` says when that was reached; batches are due at once then. */
  async until(): Promise<EndOffsets> {
    const end = await this.#consumer.endOffsets();
    this.#target = end;
    this.#offer();
    return end;
  }

  /** Whether everything before `end` in the partitions of this member is in batches up to `position`. */
  passed(end: EndOffsets, position: Lsn): boolean {
    return this.#isAssigned && this.#marks.passed(end, position);
  }

  read(): Promise<Batch> {
    // The batch that was read before is written by now.
    if (this.#previous) this.#filler.giveBack(this.#previous);
    this.#previous = undefined;
    return new Promise<Batch>((resolve, reject) => {
      this.#reader = { resolve, reject };
      if (this.#failure) this.#reject();
      else {
        this.#offer();
        this.#fillSoon();
      }
    });
  }

  wake(): void {
    this.#woken = true;
    this.#offer();
  }

  expect(position: Lsn): void {
    this.#expected = position;
    this.#offer();
  }

  ack(position: Lsn): void {
    if (position <= this.#acked) return;
    this.#acked = position;
    this.#commits.add(this.#marks.settle(position));
    if (this.#acked >= this.#delivered) this.#settled?.();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#failure ??= new CdcError('BROKER_UNREACHABLE', 'the Kafka consumer was closed');
    this.#settled?.();
    this.#reject();
    await Promise.race([this.#commits.flush(), sleep(closeMs, undefined, { ref: false })]);
    this.#commits.clear();
    await this.#consumer.close();
  }

  get #full(): boolean {
    return this.#finishedBytes + this.#filler.bytes >= this.#options.maxBatchBytes;
  }

  #fillSoon(): void {
    if (this.#filling || this.#loading || this.#failure) return;
    this.#filling = true;
    setImmediate(() => {
      this.#filling = false;
      if (this.#loading || this.#failure) return;
      try {
        if (this.#fill()) this.#fillSoon();
      } catch (error) {
        this.#fail(error);
        return;
      }
      this.#offer();
    });
  }

  /** Reads a slice of what was fetched; true when there is more of it. */
  #fill(): boolean {
    const { fetcher } = this.#consumer;
    const filler = this.#filler;
    const cursor = this.#cursor;
    const endBytes = this.#finishedBytes + filler.bytes + sliceBytes;
    let left = sliceMessages;
    while (!this.#full) {
      const stretch = fetcher.peek();
      if (!stretch) return false;
      const { partition } = stretch;
      if (stretch !== this.#stretch) {
        cursor.open(stretch.bytes, stretch.start, stretch.end, stretch.offset, stretch.aborted);
        this.#stretch = stretch;
        this.#again = false;
      }
      this.#moved.add(partition);
      for (;;) {
        const found = this.#again ? Found.record : cursor.next();
        this.#again = false;
        if (found !== Found.nothing) {
          const { builder } = filler;
          if (!this.#take(found, partition)) return false;
          // A barrier ended the batch before this message.
          if (filler.builder !== builder) this.#moved.add(partition);
          if (found === Found.record) filler.takeAhead(cursor, partition);
        }
        partition.offset = cursor.position;
        partition.epoch = cursor.leaderEpoch;
        if (found === Found.nothing) {
          this.#stretch = undefined;
          fetcher.done(stretch);
          break;
        }
        if (this.#finishedBytes + filler.bytes >= endBytes || --left === 0) return !this.#full;
        if (this.#full) return false;
      }
    }
    return false;
  }

  /** False when the message must be taken again later. */
  #take(found: number, partition: AssignedPartition): boolean {
    try {
      this.#filler.take(found, this.#cursor, partition);
      return true;
    } catch (error) {
      if (!(error instanceof NotReady)) throw error;
      this.#again = this.#loading = true;
      error.ready
        .finally(() => {
          this.#loading = false;
        })
        .then(
          () => this.#fillSoon(),
          failure => this.#fail(failure),
        );
      return false;
    }
  }

  /** Gives a number to a batch that ended. */
  #build(builder: BatchBuilder, poison: PoisonMessage[]): Batch {
    this.#number++;
    this.#marks.add(this.#number, this.#moved);
    this.#moved.clear();
    const batch = builder.build(this.#number);
    if (poison.length > 0) batch.poison = poison;
    this.#finishedBytes += batch.data.pos;
    return batch;
  }

  /** Hands the batch to a waiting reader when it is due; else sets the clock for it. */
  #offer(): void {
    if (!this.#reader || this.#failure) return;
    if (this.#finished.length === 0) {
      const dueInMs = this.#dueInMs();
      if (dueInMs > 0) {
        this.#setTimer(dueInMs);
        return;
      }
      this.#filler.finish();
    }
    this.#deliver();
  }

  #setTimer(dueInMs: number): void {
    clearTimeout(this.#timer);
    if (Number.isFinite(dueInMs)) this.#timer = setTimeout(() => this.#offer(), dueInMs);
  }

  #dueInMs(): number {
    const filler = this.#filler;
    if (this.#woken || this.#full || filler.builder.truncates.length > 0) return 0;
    if (this.#expected !== undefined) return 0;
    if (this.#target && this.#isAssigned && this.#marks.reached(this.#target)) return 0;
    const now = performance.now();
    if (!filler.empty) {
      const delayMs = this.#caughtUp ? this.delayMs : this.backlogDelayMs;
      return Math.ceil(filler.builder.startedAtMs + delayMs - now);
    }
    if (this.#moved.size === 0) return Number.POSITIVE_INFINITY;
    return Math.ceil(this.#deliveredAtMs + idlePositionIntervalMs - now);
  }

  /** The brokers have nothing more at the moment. */
  get #caughtUp(): boolean {
    if (!this.#consumer.fetcher.idle) return false;
    for (const { offset, lastStableOffset } of this.#consumer.partitions.values())
      if (offset < lastStableOffset) return false;
    return true;
  }

  #deliver(): void {
    const reader = this.#reader!;
    const batch = this.#finished.shift()!;
    this.#finishedBytes -= batch.data.pos;
    this.#reader = undefined;
    this.#woken = false;
    clearTimeout(this.#timer);
    if (this.#expected !== undefined && batch.position >= this.#expected) this.#expected = undefined;
    this.#delivered = batch.position;
    this.#deliveredAtMs = performance.now();
    if (this.#target && this.passed(this.#target, batch.position)) this.#target = undefined;
    this.#marks.deliver(batch.position);
    this.#previous = batch;
    reader.resolve(batch);
    this.#fillSoon();
  }

  /**
   * What was not delivered is thrown away: whoever gets the partitions reads it again. What was delivered is waited for, so
   * that its checkpoint is there when the next owner asks for it; if that takes too long, its rows come twice, which versions
   * absorb.
   */
  async #revoked(lost: boolean): Promise<void> {
    for (const batch of this.#finished) this.#filler.giveBack(batch);
    this.#finished = [];
    this.#finishedBytes = 0;
    this.#filler.discard();
    this.#moved.clear();
    this.#stretch = undefined;
    this.#again = false;
    this.#marks.cutBehind(this.#delivered);
    if (lost) {
      // Offsets of theirs are for the new owners to save and commit.
      this.#marks.forgetRest();
      this.#commits.clear();
      return;
    }
    await this.#acknowledged();
    await this.#commits.flush();
  }

  async #acknowledged(): Promise<void> {
    if (this.#acked >= this.#delivered || this.#failure) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>(resolve => {
      this.#settled = resolve;
      timer = setTimeout(resolve, this.#options.revokeTimeoutMs ?? 20_000);
    });
    clearTimeout(timer);
    this.#settled = undefined;
  }

  #assigned(): void {
    this.#marks.forgetRest();
    this.#isAssigned = true;
    this.#commits.clear();
    this.#offer();
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    this.#failure = error;
    clearTimeout(this.#timer);
    this.#settled?.();
    this.#reject();
  }

  #reject(): void {
    this.#reader?.reject(this.#failure);
    this.#reader = undefined;
  }
}
