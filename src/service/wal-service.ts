import { setTimeout as sleep } from 'node:timers/promises';
import { asCdcError, CdcError, type ErrorCode } from '../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import type { StatusProvider } from '../observe/server.ts';
import type { Phase, StatusSnapshot, TableStatus } from '../observe/status.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { type SessionOptions, WalSession } from './wal-session.ts';

const shortestBackoffMs = 250;
const longestBackoffMs = 10_000;
/** A slot may be held for a moment by the walsender of a process that was killed. */
const slotPatienceMs = 15_000;

/** Errors that end a service at its start, but are ridden out once it has streamed: passwords rotate, servers restart. */
const passing: readonly ErrorCode[] = ['SOURCE_AUTH', 'SOURCE_TLS', 'SINK_AUTH', 'SOURCE_PRIVILEGE'];

/** Mode `wal` as a service: sessions one after the other, until it is stopped, done, or cannot go on. */
export class WalService implements StatusProvider {
  readonly #options: SessionOptions;
  readonly #startedAt = new Date();
  #session: WalSession | undefined;
  #phase: Phase = 'starting';
  #streamed = false;
  #textTuples = false;
  #stopping = false;
  #problem: StatusSnapshot['problem'];
  readonly #stop = new AbortController();
  /** Counters of earlier sessions, by table. */
  readonly #counted = new Map<string, { rows: number; skipped: number }>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Resolves when stopped or when the position that was asked for is reached; throws what it cannot ride out. */
  async run(): Promise<void> {
    const { log, metrics } = this.#options;
    const startedAtMs = performance.now();
    let backoffMs = shortestBackoffMs;
    while (!this.#stopping) {
      try {
        await this.#runSession(() => {
          backoffMs = shortestBackoffMs;
        });
        return;
      } catch (error) {
        const failure = asCdcError(error);
        const waitsForSlot =
          failure.code === 'SLOT_IN_USE' && performance.now() - startedAtMs < slotPatienceMs;
        const passes = failure.action === 'retry' || passing.includes(failure.code);
        if (!(this.#streamed ? passes : waitsForSlot)) throw failure;
        if (this.#stopping) return;
        if (failure.code === 'TUPLE_FORMAT') this.#textTuples = true;
        const { code, message, hint } = failure;
        this.#problem = { code, message, hint, since: this.#problem?.since ?? new Date().toISOString() };
        this.#phase = 'retrying';
        metrics.restarted(code);
        log.warn({ code, retryInMs: backoffMs }, `${message}. ${hint}`);
        await sleep(backoffMs, undefined, { signal: this.#stop.signal }).catch(() => {});
        backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
      }
    }
  }

  async #runSession(started: () => void): Promise<void> {
    const { log } = this.#options;
    const session = await WalSession.open({ ...this.#options, textTuples: this.#textTuples });
    for (const table of session.tables) {
      const before = this.#counted.get(table.name);
      if (before) Object.assign(table, before);
    }
    this.#session = session;
    if (this.#stopping) session.stop();
    try {
      await session.run(() => {
        started();
        log.info(
          { tables: session.tables.length, position: formatLsn(session.checkpointed) },
          this.#streamed ? 'streaming again' : 'streaming',
        );
        this.#streamed = true;
        this.#phase = 'streaming';
        this.#problem = undefined;
      });
    } finally {
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

  get session(): WalSession | undefined {
    return this.#session;
  }

  status(): StatusSnapshot {
    const { config, metrics } = this.#options;
    const session = this.#session;
    const now = Date.now();
    const written = session?.written;
    const sourcePosition = session?.sourcePosition;
    return {
      pipeline: config.pipeline,
      mode: 'wal',
      phase: this.#phase === 'streaming' && session?.copying ? 'copying' : this.#phase,
      startedAt: this.#startedAt.toISOString(),
      position: written === undefined ? undefined : formatLsn(written),
      checkpoint: session && formatLsn(session.checkpointed),
      sourcePosition: sourcePosition === undefined ? undefined : formatLsn(sourcePosition),
      lagBytes:
        written === undefined || sourcePosition === undefined
          ? undefined
          : Number(sourcePosition > written ? sourcePosition - written : 0n),
      retainedWalBytes: session?.slot?.retainedBytes,
      safeWalBytes: session?.slot?.safeBytes,
      freshnessMs: metrics.freshness.ageMs(now),
      commitToQueryableMs: metrics.freshness.percentiles(now),
      rowsPerSecond: metrics.rate.perSecond(now),
      rowsTotal: metrics.rowsTotal,
      tables: session?.tables.map(tableStatus) ?? [],
      problem: this.#problem,
      deadLetters: 0,
    };
  }

  async ready(): Promise<{ ready: boolean; reason?: string }> {
    if (this.#phase === 'streaming') return { ready: true };
    return {
      ready: false,
      reason: this.#problem ? `${this.#problem.code}: ${this.#problem.message}` : this.#phase,
    };
  }

  async waitFor(position: string, timeoutMs: number): Promise<boolean> {
    const wanted: Lsn = parseLsn(position);
    const deadline = performance.now() + timeoutMs;
    this.#session?.expect(wanted);
    while (!(this.#session && this.#session.written >= wanted)) {
      if (performance.now() > deadline || this.#stopping) return false;
      await sleep(10);
    }
    return true;
  }
}

export function tableStatus(table: SinkTable): TableStatus {
  const { state, plan } = table;
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

/** Throws when a position is not `current`, undefined or an LSN. */
export function parseUntil(text: string | undefined): 'current' | Lsn | undefined {
  if (text === undefined || text === 'current') return text;
  try {
    return parseLsn(text);
  } catch {
    throw new CdcError(
      'CONFIG_INVALID',
      `--until ${text} is neither "current" nor a position such as 0/16B3748`,
    );
  }
}
