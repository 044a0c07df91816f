import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { inspectSlot } from '../sources/wal/slot.ts';
import type { ClickHouseAddress } from './clickhouse-address.ts';
import { runUntilAborted } from './run-until-aborted.ts';
import { askForReasons } from './running-service.ts';
import type { SourceSession } from './source-setup.ts';
import { WalService } from './wal-service.ts';

export interface CatchUpOptions {
  config: Config;
  source: SourceSession;
  clickhouse: ClickHouseAddress;
  control: ControlTables;
  log: Log;
  signal: AbortSignal;
  /** How long the service that runs may make no progress; default 60,000. */
  patienceMs?: number;
}

const pollIntervalMs = 200;

/**
 * Brings ClickHouse up to a position of the source: the service that streams from the slot is asked to save a checkpoint;
 * when there is none, the pipeline is run here until it is there.
 */
export class CatchUp {
  readonly #options: CatchUpOptions;
  readonly #patienceMs: number;
  #lastSeen = '';
  #lastProgressAtMs = performance.now();

  constructor(options: CatchUpOptions) {
    this.#options = options;
    this.#patienceMs = options.patienceMs ?? 60_000;
  }

  /** Resolves when no table is in the middle of a copy. */
  async finishCopies(): Promise<void> {
    const { control, log } = this.#options;
    this.#lastProgressAtMs = performance.now();
    let said = '';
    for (;;) {
      const pid = await this.#streamingPid();
      const known = await control.exists();
      const checkpoint = known ? await control.loadCheckpoint() : undefined;
      if (pid === undefined) {
        if (!checkpoint)
          log.warn(
            { slot: this.#options.config.postgres.slot },
            'the pipeline has not run yet: it is run here, and leaves its slot and tables until "wal-cdc teardown"',
          );
        if (await this.#runUntil('current')) return;
        continue;
      }
      const tables = known ? await control.loadTables() : [];
      const unsaved = tables.filter(table => table.state.phase === 'copying');
      // One that failed the checks before its copy is stopped in the service alone.
      const stopped = unsaved.length > 0 ? await askForReasons(this.#options.config) : new Map();
      const copying = unsaved.filter(table => !stopped.has(qualifiedName(table)));
      if (checkpoint && tables.length > 0 && copying.length === 0) return;
      const names = copying.map(table => `${table.schema}.${table.name}`).join(', ');
      if (names !== said) log.warn({ tables: names }, 'waiting until these tables are copied');
      said = names;
      this.#expectProgress(
        pid,
        JSON.stringify([checkpoint, tables]),
        names ? `a copy of ${names}` : 'a start',
      );
      await this.#pause();
    }
  }

  /** Resolves when a checkpoint at `lsn` or later is saved: everything before is queryable. */
  async reach(lsn: Lsn): Promise<void> {
    const { control } = this.#options;
    this.#lastProgressAtMs = performance.now();
    let requested = false;
    for (;;) {
      const checkpoint = await control.loadCheckpoint();
      if (checkpoint && parseLsn(checkpoint.position) >= lsn) return;
      const pid = await this.#streamingPid();
      if (pid === undefined) {
        if (await this.#runUntil(lsn)) return;
        continue;
      }
      if (!requested) await control.request('checkpoint', formatLsn(lsn));
      requested = true;
      const position = checkpoint?.position ?? 'none';
      this.#expectProgress(
        pid,
        position,
        `a checkpoint at ${formatLsn(lsn)} (the last one is at ${position})`,
      );
      await this.#pause();
    }
  }

  async #streamingPid(): Promise<number | undefined> {
    const { source, config } = this.#options;
    const slot = await inspectSlot(source.client, config.postgres.slot, source.info.serverVersion);
    return slot?.activePid ?? undefined;
  }

  /** False when a service has taken the slot meanwhile. */
  async #runUntil(until: 'current' | Lsn): Promise<boolean> {
    const { config, clickhouse, log, signal } = this.#options;
    const service = new WalService({
      config,
      clickhouse,
      metrics: new Metrics(),
      log,
      keepRows: false,
      until,
    });
    try {
      await runUntilAborted(service, signal);
      return true;
    } catch (error) {
      const { action, code } = asCdcError(error);
      if (code === 'SLOT_IN_USE') return false;
      // Every table is stopped: there is nothing to bring up to date.
      if (action === 'stop-table') return true;
      throw error;
    }
  }

  #expectProgress(pid: number, seen: string, what: string): void {
    if (seen !== this.#lastSeen) {
      this.#lastSeen = seen;
      this.#lastProgressAtMs = performance.now();
    }
    const seconds = Math.round((performance.now() - this.#lastProgressAtMs) / 1000);
    if (seconds * 1000 < this.#patienceMs) return;
    throw new CdcError(
      'SERVICE_STUCK',
      `waited ${seconds} s in vain for ${what}: process ${pid} of PostgreSQL streams from slot ` +
        `"${this.#options.config.postgres.slot}", but its consumer saves no progress for pipeline "${this.#options.config.pipeline}"`,
    );
  }

  async #pause(): Promise<void> {
    await sleep(pollIntervalMs, undefined, { signal: this.#options.signal });
  }
}
