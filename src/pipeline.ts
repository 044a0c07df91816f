import type { Batch, Transactions } from './core/batch.ts';
import { crashPoint } from './core/crash-point.ts';
import { CdcError } from './core/errors.ts';
import type { Lsn } from './core/lsn.ts';
import { postgresEpochMs } from './core/postgres-epoch.ts';
import type { Sink } from './core/sink.ts';
import type { Source } from './core/source.ts';
import type { Freshness } from './observe/freshness.ts';
import type { Metrics } from './observe/metrics.ts';

export interface PipelineOptions {
  source: Source;
  sink: Sink;
  metrics: Metrics;
  /** Makes a position durable. Calls do not overlap. */
  saveCheckpoint(position: Lsn): Promise<void>;
  /** What is saved when the pipeline starts. */
  position: Lsn;
  maxDelayMs: number;
}

/** Under load checkpoints are saved this often: rows may be ahead of a checkpoint, which replay absorbs. */
const checkpointIntervalMs = 250;
const longestDelayMs = 1000;

/**
 * The only loop: read → write → checkpoint → ack. A position is acked after a checkpoint that holds it was saved, and
 * saved after its rows were written.
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  #written: Lsn;
  #saved: Lsn;
  #saving: Promise<void> | undefined;
  #savedAtMs = 0;
  #writingSince: number | undefined;
  #saveTimer: NodeJS.Timeout | undefined;
  #failure: unknown;
  #stopping = false;
  readonly #tasks: { run(): Promise<void>; reject(error: unknown): void }[] = [];
  #ended = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#written = this.#saved = options.position;
  }

  /** Everything up to here is queryable. */
  get written(): Lsn {
    return this.#written;
  }

  /** Everything up to here is in a saved checkpoint. */
  get saved(): Lsn {
    return this.#saved;
  }

  /** When the batch in flight was handed to the sink, as of `Date.now()`. */
  get writingSince(): number | undefined {
    return this.#writingSince;
  }

  /** Runs until `stop`, or until `done` says so after a batch; then the last position is saved and acked. */
  async run(done: (written: Lsn) => boolean): Promise<void> {
    const { source, sink } = this.#options;
    try {
      while (!this.#stopping && !done(this.#written)) {
        for (let task = this.#tasks.shift(); task; task = this.#tasks.shift()) await task.run();
        if (this.#failure) throw this.#failure;
        if (this.#stopping || done(this.#written)) break;
        const batch = await source.read();
        if (this.#failure) throw this.#failure;
        if (batch.rows > 0 || batch.truncates.length > 0 || batch.poison?.length)
          await this.#write(batch, sink);
        if (batch.position > this.#written) this.#written = batch.position;
        this.#scheduleSave();
      }
    } finally {
      this.#ended = true;
      clearTimeout(this.#saveTimer);
      for (const task of this.#tasks.splice(0)) task.reject(pipelineEnded());
      await this.#saving?.catch(() => {});
    }
    if (this.#failure) throw this.#failure;
    if (this.#written > this.#saved) await this.#save();
  }

  /** Ends `run` after the batch in flight. */
  stop(): void {
    this.#stopping = true;
    this.#options.source.wake();
  }

  /** Ends `run` with `error`. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#options.source.wake();
  }

  /** Runs `task` while no batch is being written. Rejects with what `task` throws, or when `run` ends before it. */
  between(task: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(pipelineEnded());
        return;
      }
      this.#tasks.push({ run: () => task().then(resolve, reject), reject });
      this.#options.source.wake();
    });
  }

  async #write(batch: Batch, sink: Sink): Promise<void> {
    const { metrics, source, maxDelayMs } = this.#options;
    const { transactions } = batch;
    const bytes = batch.data.pos;
    if (transactions.count > 0)
      metrics.freshness.setOldestPending(transactions.committedAtUs[0]! / 1000 + postgresEpochMs);
    // Crash tests prove with these that they would notice.
    if (process.env.WAL_CDC_TEST_FAULT === 'ack-before-write') source.ack(batch.position);
    if (process.env.WAL_CDC_TEST_FAULT === 'save-before-write') await this.#save(batch.position);
    crashPoint('before-insert');
    const startedAt = performance.now();
    this.#writingSince = Date.now();
    try {
      await sink.write(batch);
    } finally {
      this.#writingSince = undefined;
    }
    crashPoint('after-insert');
    const insertMs = performance.now() - startedAt;
    const now = Date.now();
    recordFreshness(metrics.freshness, transactions, now);
    metrics.freshness.setOldestPending(source.oldestPendingMs);
    metrics.batchWritten({ bytes, insertSeconds: insertMs / 1000 });
    // Small inserts take half of the time at most: they cost much the same, however few rows they have.
    source.delayMs = Math.max(maxDelayMs, Math.min(insertMs, 50));
    // Behind by seconds, larger batches cost nobody anything and catch up sooner.
    const behindMs =
      transactions.count > 0
        ? now - (transactions.committedAtUs[transactions.count - 1]! / 1000 + postgresEpochMs)
        : 0;
    source.backlogDelayMs = Math.max(
      source.delayMs,
      Math.min(longestDelayMs, (behindMs - insertMs - 100) / 2),
    );
  }

  #scheduleSave(): void {
    if (this.#written <= this.#saved || this.#saving || this.#saveTimer || this.#stopping) return;
    const waitMs = this.#savedAtMs + checkpointIntervalMs - performance.now();
    if (waitMs > 0) {
      this.#saveTimer = setTimeout(() => {
        this.#saveTimer = undefined;
        this.#startSave();
      }, waitMs);
    } else this.#startSave();
  }

  #startSave(): void {
    this.#saving = this.#save()
      .catch(error => this.fail(error))
      .finally(() => {
        this.#saving = undefined;
        if (!this.#failure) this.#scheduleSave();
      });
  }

  async #save(position = this.#written): Promise<void> {
    await this.#options.saveCheckpoint(position);
    crashPoint('after-checkpoint');
    this.#saved = position;
    this.#savedAtMs = performance.now();
    this.#options.source.ack(position);
  }
}

/** Transactions that committed within a millisecond are recorded as one. */
function recordFreshness(freshness: Freshness, transactions: Transactions, nowMs: number): void {
  const { committedAtUs, count } = transactions;
  let first = 0;
  while (first < count) {
    const firstUs = committedAtUs[first]!;
    let end = first + 1;
    while (end < count && Math.abs(committedAtUs[end]! - firstUs) < 1000) end++;
    freshness.record(nowMs - (firstUs / 1000 + postgresEpochMs), end - first, nowMs);
    first = end;
  }
}

function pipelineEnded(): CdcError {
  return new CdcError('COPY_BROKEN', 'the pipeline ended');
}
