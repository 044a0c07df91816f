import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { asCdcError, type CdcError, type ErrorCode } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { StatusProvider } from '../observe/server.ts';
import type { Phase, StatusSnapshot, TableStatus } from '../observe/status.ts';
import type { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { Backoff } from './backoff.ts';
import { Trouble } from './trouble.ts';

/** One connection to both sides, from the checks at the start to the last ack. */
export interface PipelineSession {
  readonly tables: readonly SinkTable[];
  /** Everything up to here is queryable. */
  readonly written: Lsn;
  /** Everything up to here is in a saved checkpoint. */
  readonly checkpointed: Lsn;
  /** When the batch in flight was handed to ClickHouse, as of `Date.now()`. */
  readonly writingSince: number | undefined;
  /** Whether a table is being copied. */
  readonly copying: boolean;
  readonly letters: DeadLetters;
  /** Runs until `stop` or its end; calls `started` once changes come. */
  run(started: () => void): Promise<void>;
  stop(): void;
  /** Makes the position known as soon as the source has passed it. */
  expect(position: Lsn): void;
}

export interface PipelineServiceOptions {
  config: Config;
  metrics: Metrics;
  log: Log;
}

/** Ends of a session that are no trouble: the next one begins at once. */
const planned: readonly ErrorCode[] = ['COPY_AFRESH', 'TABLE_RESUMED'];
const progressIntervalMs = 100;
const lookIntervalMs = 3000;
/** How long ClickHouse may take for a batch before that is trouble. */
const longestWriteMs = 10_000;

/** A pipeline as a service: sessions one after the other, until it is stopped, done, or cannot go on. */
export abstract class PipelineService<Session extends PipelineSession> implements StatusProvider {
  readonly #options: PipelineServiceOptions;
  readonly #startedAt = new Date();
  #session: Session | undefined;
  #phase: Phase = 'starting';
  #streamed = false;
  #stopping = false;
  readonly #trouble: Trouble;
  /** Ends the looks at the source. */
  #looking: AbortController | undefined;
  readonly #stop = new AbortController();
  /** Counters of earlier sessions, by table. */
  readonly #counted = new Map<string, { rows: number; skipped: number }>();

  constructor(options: PipelineServiceOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options.metrics);
  }

  /** Connects both sides, checks them, creates what is missing. `isRunning`: a session before it has streamed. */
  protected abstract openSession(isRunning: boolean): Promise<Session>;

  /** Whether another session is worth a try after `failure`. `streamed`: one of them has streamed before. */
  protected abstract ridesOut(failure: CdcError, streamed: boolean): boolean;

  protected abstract formatPosition(position: Lsn): string;

  /** Throws `SyntaxError`. */
  protected abstract parsePosition(text: string): Lsn;

  /** What only this kind of pipeline has to tell. */
  protected sourceStatus(_session: Session | undefined): Partial<StatusSnapshot> {
    return {};
  }

  /** Learns anew what `sourceStatus` tells, while no session does. */
  protected async lookAtSource(): Promise<void> {}

  /** Resolves when stopped or when the position that was asked for is reached; throws what it cannot ride out. */
  async run(): Promise<void> {
    try {
      await this.#runSessions();
    } finally {
      this.#looking?.abort();
    }
  }

  async #runSessions(): Promise<void> {
    const { log, metrics } = this.#options;
    const backoff = new Backoff(this.#stop.signal);
    while (!this.#stopping) {
      try {
        await this.#runSession(() => backoff.reset());
        return;
      } catch (error) {
        const failure = asCdcError(error);
        if (!this.ridesOut(failure, this.#streamed)) throw failure;
        if (this.#stopping) return;
        const { code, message, hint } = failure;
        if (planned.includes(code)) {
          log.info({ code }, message);
          continue;
        }
        this.#trouble.failed(failure);
        this.#phase = 'retrying';
        this.#keepLooking();
        metrics.restarted(code);
        log.warn({ code, retryInMs: backoff.delayMs }, `${message}. ${hint}`);
        await backoff.wait();
      }
    }
  }

  /** Figures of the source stay true while the sink is away. */
  #keepLooking(): void {
    if (this.#looking) return;
    const { signal } = (this.#looking = new AbortController());
    const look = async () => {
      for (;;) {
        await sleep(lookIntervalMs, undefined, { signal });
        // A source that does not answer is told by the session that it keeps from opening.
        await this.lookAtSource().catch(() => {});
      }
    };
    look().catch(() => {});
  }

  async #runSession(progressed: () => void): Promise<void> {
    const { log } = this.#options;
    const session = await this.openSession(this.#streamed);
    for (const table of session.tables) {
      const before = this.#counted.get(table.name);
      if (before) Object.assign(table, before);
    }
    this.#session = session;
    if (this.#stopping) session.stop();
    let timer: NodeJS.Timeout | undefined;
    let saidSince: number | undefined;
    const checkProgress = () => {
      const unanswered = this.#unanswered();
      if (unanswered && saidSince !== session.writingSince) {
        saidSince = session.writingSince;
        log.warn({ code: unanswered.code }, `${unanswered.message}. ${unanswered.hint}`);
      }
      if (!this.#trouble.overcome(session.checkpointed, performance.now())) return;
      clearInterval(timer);
      progressed();
      if (this.#phase === 'retrying') this.#phase = 'streaming';
    };
    try {
      await session.run(() => {
        this.#looking?.abort();
        this.#looking = undefined;
        log.info(
          { tables: session.tables.length, position: this.formatPosition(session.checkpointed) },
          this.#streamed ? 'streaming again' : 'streaming',
        );
        this.#streamed = true;
        this.#trouble.started(session.checkpointed, performance.now());
        if (!this.#trouble.problem && !this.#stopping) this.#phase = 'streaming';
        timer = setInterval(checkProgress, progressIntervalMs);
      });
    } finally {
      checkProgress();
      clearInterval(timer);
      for (const table of session.tables)
        this.#counted.set(table.name, { rows: table.rows, skipped: table.skipped });
    }
  }

  /** Finishes the insert in flight, saves the checkpoint, acks; `run` then resolves. */
  stop(): void {
    this.#stopping = true;
    this.#phase = 'stopping';
    this.#stop.abort();
    this.#session?.stop();
  }

  get #problem(): StatusSnapshot['problem'] {
    return this.#trouble.problem ?? this.#unanswered();
  }

  /** What a ClickHouse that neither takes a batch nor refuses it is seen by. */
  #unanswered(): StatusSnapshot['problem'] {
    const since = this.#session?.writingSince;
    const ms = since === undefined ? 0 : Date.now() - since;
    if (ms < longestWriteMs) return undefined;
    return {
      code: 'SINK_UNREACHABLE',
      message: `ClickHouse has not taken a batch for ${Math.floor(ms / 1000)} s`,
      hint: 'See what it is busy with (system.processes, its log, its disk) and whether the network drops packets.',
      since: new Date(since!).toISOString(),
    };
  }

  get session(): Session | undefined {
    return this.#session;
  }

  status(): StatusSnapshot {
    const { config, metrics } = this.#options;
    const session = this.#session;
    const now = Date.now();
    return {
      pipeline: config.pipeline,
      mode: config.mode,
      phase: this.#phase === 'streaming' && session?.copying ? 'copying' : this.#phase,
      startedAt: this.#startedAt.toISOString(),
      position: session && this.formatPosition(session.written),
      checkpoint: session && this.formatPosition(session.checkpointed),
      ...this.sourceStatus(session),
      freshnessMs: metrics.freshness.ageMs(now),
      commitToQueryableMs: metrics.freshness.percentiles(now),
      rowsPerSecond: metrics.rate.perSecond(now),
      rowsTotal: metrics.rowsTotal,
      tables: session?.tables.map(table => tableStatus(table, session.letters.open)) ?? [],
      problem: this.#problem,
      deadLetters: session ? sum(session.letters.open.values()) : 0,
    };
  }

  async ready(): Promise<{ ready: boolean; reason?: string }> {
    const problem = this.#problem;
    if (this.#phase === 'streaming' && !problem) return { ready: true };
    return { ready: false, reason: problem ? `${problem.code}: ${problem.message}` : this.#phase };
  }

  async waitFor(position: string, timeoutMs: number): Promise<boolean> {
    const wanted = this.parsePosition(position);
    const deadline = performance.now() + timeoutMs;
    this.#session?.expect(wanted);
    while (!(this.#session && this.#session.written >= wanted)) {
      if (performance.now() > deadline || this.#stopping) return false;
      await sleep(10);
    }
    return true;
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

/** `openLetters`: dead letters by table. */
export function tableStatus(table: SinkTable, openLetters: ReadonlyMap<string, number>): TableStatus {
  const { state, plan } = table;
  const deadLetters = openLetters.get(table.name) ?? 0;
  const { stopped } = state;
  const copying = state.phase === 'copying';
  const share = table.totalPages > 0 ? table.copiedPages / table.totalPages : 0;
  const seconds = (performance.now() - table.copyStartedAtMs) / 1000;
  return {
    name: table.name,
    target: `${plan.name.database}.${plan.name.table}`,
    state: copying && table.copyStartedAtMs === 0 ? 'pending' : state.phase,
    rows: table.rows,
    ...(state.copiedRows > 0 || copying ? { copiedRows: state.copiedRows } : {}),
    ...(deadLetters > 0 ? { deadLetters } : {}),
    ...(copying
      ? {
          estimatedRows: table.estimatedRows,
          copyPercent: Math.round(share * 1000) / 10,
          ...(share > 0 ? { copyRemainingSeconds: Math.round((seconds / share) * (1 - share)) } : {}),
        }
      : {}),
    ...(stopped
      ? {
          reason: { code: stopped.code as ErrorCode, message: stopped.message, hint: stopped.hint },
          since: stopped.position,
          skippedChanges: table.skipped,
        }
      : {}),
  };
}
