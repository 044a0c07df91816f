import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Random } from './random.ts';
import {
  type OrderKey,
  Pool,
  pickTransaction,
  type RowCounts,
  type Session,
  type TransactionKind,
  transactionKinds,
  transactions,
} from './transactions.ts';

export interface WriterOptions {
  /** Of the database with the demo's schema. */
  url: string;
  /** Transactions per second over all connections. Default 500. */
  rate?: number;
  /** Default 42. Each connection does the same things in the same order; only ids and times depend on the others. */
  seed?: number;
}

/** Since the start. */
export interface WriterStats {
  /** That came to their end; `byKind` has them by name, the ones that the application rolls back included. */
  transactions: number;
  byKind: Readonly<Record<TransactionKind, number>>;
  /** Changed by committed statements; cascades are not counted. */
  rows: number;
  byStatement: Readonly<RowCounts>;
  /** Failed transactions and connections. */
  errors: number;
  lastError: string | undefined;
  /** Over the last 8,192 commits; 0 before the first. */
  commitLatencyMs: { p50: number; p95: number; p99: number; max: number };
}

export interface DemoWriters {
  stats(): WriterStats;
  /** Resolves when the transactions in flight have ended and the connections are closed. */
  stop(): Promise<void>;
}

const maxConnections = 16;
const transactionsPerConnection = 100;
/** Time lost to a slow or absent server is not made up for, beyond this. */
const maxLagMs = 100;
const reconnectDelayMs = 250;
const users = 10_000;

/** Writes like an application until `stop`: no DDL, no TRUNCATE. Reconnects for as long as it takes. */
export function startWriters({ url, rate = 500, seed = 42 }: WriterOptions): DemoWriters {
  const totals = new Totals();
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const random = new Random(seed);
  const userIds = Array.from({ length: users }, () => random.uuid());
  const connections = Math.min(maxConnections, Math.max(2, Math.ceil(rate / transactionsPerConnection)));
  const writers = Array.from({ length: connections }, (_, index) => {
    const pace = new Pace((1000 * connections) / rate, (1000 * index) / rate);
    return write(url, new Random(seed, index + 1), userIds, pace, totals, stopping.signal);
  });
  return {
    stats: () => totals.stats(),
    async stop() {
      stopping.abort();
      await Promise.all(writers);
    },
  };
}

/** One connection after another, until `signal`. Never rejects. */
async function write(
  url: string,
  random: Random,
  userIds: readonly string[],
  pace: Pace,
  totals: Totals,
  signal: AbortSignal,
): Promise<void> {
  const own = { random, users: userIds, events: new Pool<string>(2000), orders: new Pool<OrderKey>(500) };
  while (!signal.aborted) {
    const client = new pg.Client({ connectionString: url, application_name: 'wal-cdc demo' });
    client.on('error', () => {}); // the next query fails with it
    try {
      await client.connect();
      const session: Session = { ...own, client, changed: noRows(), onCommit: ms => totals.addCommit(ms) };
      while (await pace.next(signal)) await runOne(session, totals);
    } catch (error) {
      totals.addError(error);
      await pause(reconnectDelayMs, signal);
    }
    await client.end().catch(() => {});
  }
}

/** @throws when the connection is of no more use; what PostgreSQL refuses is only counted. */
async function runOne(session: Session, totals: Totals): Promise<void> {
  const kind = pickTransaction(session);
  session.changed = noRows();
  try {
    await transactions[kind].run(session);
    totals.addTransaction(kind, session.changed);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && error.severity === 'ERROR')) throw error;
    totals.addError(error);
  }
}

function noRows(): RowCounts {
  return { insert: 0, update: 0, delete: 0 };
}

/** False when `signal` came first. */
async function pause(durationMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  return delay(durationMs, true, { signal }).catch(() => false);
}

/** Evenly spaced turns. */
class Pace {
  #dueAt: number;
  readonly #intervalMs: number;

  constructor(intervalMs: number, offsetMs: number) {
    this.#intervalMs = intervalMs;
    this.#dueAt = performance.now() + offsetMs;
  }

  /** Resolves when the next turn has come; false when `signal` came first. */
  async next(signal: AbortSignal): Promise<boolean> {
    const now = performance.now();
    const dueAt = Math.max(this.#dueAt, now - maxLagMs);
    this.#dueAt = dueAt + this.#intervalMs;
    return dueAt > now ? pause(dueAt - now, signal) : !signal.aborted;
  }
}

class Totals {
  #transactions = 0;
  #errors = 0;
  #lastError: string | undefined;
  readonly #byKind = Object.fromEntries(transactionKinds.map(kind => [kind, 0])) as Record<
    TransactionKind,
    number
  >;
  readonly #byStatement = noRows();
  readonly #latenciesMs = new Float64Array(8192);
  #commits = 0;

  addTransaction(kind: TransactionKind, changed: RowCounts): void {
    this.#transactions++;
    this.#byKind[kind]++;
    this.#byStatement.insert += changed.insert;
    this.#byStatement.update += changed.update;
    this.#byStatement.delete += changed.delete;
  }

  addCommit(durationMs: number): void {
    this.#latenciesMs[this.#commits++ % this.#latenciesMs.length] = durationMs;
  }

  addError(error: unknown): void {
    this.#errors++;
    this.#lastError = error instanceof Error ? error.message : String(error);
  }

  stats(): WriterStats {
    const { insert, update, delete: deleted } = this.#byStatement;
    const sorted = this.#latenciesMs.slice(0, this.#commits).sort();
    const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
    return {
      transactions: this.#transactions,
      byKind: { ...this.#byKind },
      rows: insert + update + deleted,
      byStatement: { ...this.#byStatement },
      errors: this.#errors,
      lastError: this.#lastError,
      commitLatencyMs: { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), max: quantile(1) },
    };
  }
}
