import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { formatLsn, parseLsn } from '../../src/core/lsn.ts';
import type { ClickHouseAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { ControlTables } from '../../src/sinks/clickhouse/control-tables.ts';
import { connect } from './servers.ts';

export interface AckWatchOptions {
  postgresUrl: string;
  clickhouse: ClickHouseAddress;
  pipeline: string;
  slot: string;
}

/**
 * Nothing is acked that is not in a saved checkpoint. Whatever the slot has confirmed at one moment was saved before it, so
 * the checkpoint that is read *afterwards* must be there or further; saved positions never go back. While ClickHouse is
 * away the last confirmed position waits for it.
 */
export class AckWatch {
  /** Each is told once. */
  readonly violations: string[] = [];
  /** Comparisons that were made. */
  checks = 0;
  /** Bytes of WAL that the slot had not confirmed when it was looked at last. */
  backlogBytes = 0;
  readonly #options: AckWatchOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #confirmed: bigint | undefined;
  #client: pg.Client | undefined;

  constructor(options: AckWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#client?.end().catch(() => {});
  }

  /** Compares now; false when a server is away. */
  async check(): Promise<boolean> {
    const confirmed = await this.#readConfirmed().catch(() => undefined);
    if (confirmed !== undefined) this.#confirmed = confirmed;
    if (this.#confirmed === undefined) return false;
    // What is compared must have been read before.
    const before = this.#confirmed;
    const saved = await this.#readSaved().catch(() => 'away' as const);
    if (saved === 'away') return false;
    // A slot that was just made has no checkpoint yet.
    if (saved === undefined) return true;
    this.checks++;
    if (before > saved && this.violations.length === 0)
      this.violations.push(
        `the slot has confirmed ${formatLsn(before)}, the saved checkpoint is at ${formatLsn(saved)}`,
      );
    return true;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.check();
      await delay(150, undefined, { signal }).catch(() => {});
    }
  }

  async #readConfirmed(): Promise<bigint | undefined> {
    try {
      this.#client ??= await connect(this.#options.postgresUrl);
      const { rows } = await this.#client.query<{ lsn: string | null; backlog: string | null }>(
        `SELECT confirmed_flush_lsn::text AS lsn, pg_current_wal_insert_lsn() - confirmed_flush_lsn AS backlog
           FROM pg_replication_slots WHERE slot_name = $1`,
        [this.#options.slot],
      );
      this.backlogBytes = Number(rows[0]?.backlog ?? 0);
      return rows[0]?.lsn ? parseLsn(rows[0].lsn) : undefined;
    } catch (error) {
      await this.#client?.end().catch(() => {});
      this.#client = undefined;
      throw error;
    }
  }

  async #readSaved(): Promise<bigint | undefined> {
    const clickhouse = new ClickHouse(this.#options.clickhouse);
    try {
      const control = new ControlTables(clickhouse, this.#options.pipeline);
      if (!(await control.exists())) return undefined;
      const checkpoint = await control.loadCheckpoint();
      return checkpoint && parseLsn(checkpoint.position);
    } finally {
      await clickhouse.close();
    }
  }
}
