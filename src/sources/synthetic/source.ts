import type { Batch } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { Lsn } from '../../core/lsn.ts';
import { postgresEpochMs } from '../../core/postgres-epoch.ts';
import type { Source } from '../../core/source.ts';
import { BatchBuilder, BufferPool } from '../batch-builder.ts';
import { userEventsRelation } from './table.ts';
import type { UserEvents } from './user-events.ts';

export interface SyntheticSourceOptions {
  events: UserEvents;
  /** Rows up to this sequence number were generated before. */
  position: Lsn;
  /** The last sequence number of all; a `read` behind it waits for ever. */
  until: Lsn | undefined;
  /** Rows per second; 0: as many as are taken. */
  rate: number;
  maxBatchBytes: number;
  delayMs: number;
}

/** Between so many, timers and sockets get their turn. */
const rowsAtOnce = 2000;
/** Rows are generated this often while a batch is being written. */
const aheadIntervalMs = 5;

/**
 * Generated rows. The sequence number is position, commit LSN and LSN of its change at once, so that versions rise with it
 * and come out the same again. With a rate each row has its moment, at which it counts as committed: rows that are taken
 * later are late, as those of another source would be.
 */
export class SyntheticSource implements Source {
  delayMs: number;
  backlogDelayMs: number;
  readonly #options: SyntheticSourceOptions;
  readonly #until: number;
  readonly #pool: BufferPool;
  #builder: BatchBuilder;
  /** The last sequence number that was generated, and the last one before all of them. */
  #last: number;
  readonly #before: number;
  /** By `performance.now()`, which no correction of the clock moves. */
  readonly #startedAtMs = performance.now();
  #previous: ByteWriter | undefined;
  #reader: ((batch: Batch) => void) | undefined;
  #expected = Number.POSITIVE_INFINITY;
  #woken = false;
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(options: SyntheticSourceOptions) {
    this.#options = options;
    this.delayMs = this.backlogDelayMs = options.delayMs;
    this.#until = options.until === undefined ? Number.MAX_SAFE_INTEGER : Number(options.until);
    this.#before = this.#last = Number(options.position);
    this.#pool = new BufferPool(options.maxBatchBytes);
    this.#builder = new BatchBuilder(this.#pool.take());
  }

  read(): Promise<Batch> {
    // The batch that was read before is written by now.
    if (this.#previous) this.#pool.give(this.#previous);
    this.#previous = undefined;
    return new Promise(resolve => {
      this.#reader = resolve;
      this.#go();
    });
  }

  wake(): void {
    this.#woken = true;
    this.#go();
  }

  expect(position: Lsn): void {
    this.#expected = Number(position);
    this.#go();
  }

  /** Everything can be generated again: nothing is kept for it. */
  ack(): void {}

  get oldestPendingMs(): number | undefined {
    const oldest = this.#last - this.#builder.rows + 1;
    const lateMs = this.#options.rate > 0 ? performance.now() - this.#dueAtMs(oldest) : 0;
    return this.#builder.rows > 0 || lateMs > 0 ? Date.now() - lateMs : undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
  }

  /** Generates what is due, in turns, also while nobody reads; hands the batch over once it is due. */
  #go(): void {
    if (this.#turn || this.#closed) return;
    clearTimeout(this.#timer);
    const nowMs = performance.now();
    const due = this.#full ? this.#last : this.#dueBy(nowMs);
    if (due > this.#last) this.#generate(Math.min(due, this.#last + rowsAtOnce), nowMs);
    const isPartial = this.#last < due && !this.#full;
    if (this.#reader && this.#isDue(isPartial, nowMs)) this.#deliver();
    if (isPartial) {
      this.#turn = setImmediate(() => {
        this.#turn = undefined;
        this.#go();
      });
    } else if (!this.#full && this.#last < this.#until) {
      const waitMs = this.#reader ? this.#handOverAtMs - nowMs : aheadIntervalMs;
      this.#timer = setTimeout(() => this.#go(), Math.max(1, waitMs));
    }
  }

  #generate(to: number, nowMs: number): void {
    const { events, rate, maxBatchBytes } = this.#options;
    const nowUs = (Date.now() - postgresEpochMs) * 1000;
    const builder = this.#builder;
    const { data, transactions } = builder;
    const group = builder.groupFor(userEventsRelation);
    let n = this.#last;
    while (n < to && data.pos < maxBatchBytes) {
      n++;
      const offset = data.pos;
      const op = events.write(n, data);
      const hi = Math.floor(n / 4294967296);
      const lateUs = rate === 0 ? 0 : (nowMs - this.#dueAtMs(n)) * 1000;
      // The lower halves keep their lower 32 bits in these arrays.
      const transaction = transactions.add(hi, n, Math.floor(nowUs - lateUs));
      group.add(offset, data.pos - offset, op, 0, hi, n, transaction);
      builder.rows++;
    }
    this.#last = n;
  }

  get #full(): boolean {
    return this.#builder.bytes >= this.#options.maxBatchBytes;
  }

  #dueBy(nowMs: number): number {
    const { rate } = this.#options;
    if (rate === 0) return this.#until;
    return Math.min(this.#until, this.#before + Math.floor(((nowMs - this.#startedAtMs) * rate) / 1000));
  }

  #dueAtMs(n: number): number {
    return this.#startedAtMs + ((n - this.#before) * 1000) / this.#options.rate;
  }

  /** When the oldest row will have waited for others as long as it may, or the one that is expected comes. */
  get #handOverAtMs(): number {
    const oldest = this.#last - this.#builder.rows + 1;
    return Math.min(this.#dueAtMs(oldest) + this.delayMs, this.#dueAtMs(this.#expected));
  }

  #isDue(isPartial: boolean, nowMs: number): boolean {
    if (this.#woken || this.#full || this.#last >= this.#expected) return true;
    const { rows } = this.#builder;
    if (rows === 0 || isPartial) return false;
    return this.#last >= this.#until || nowMs >= this.#handOverAtMs;
  }

  #deliver(): void {
    const resolve = this.#reader!;
    const full = this.#builder;
    this.#reader = undefined;
    this.#woken = false;
    if (this.#last >= this.#expected) this.#expected = Number.POSITIVE_INFINITY;
    this.#builder = new BatchBuilder(this.#pool.take(), full);
    this.#previous = full.data;
    resolve(full.build(BigInt(this.#last)));
  }
}
