import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Problem, StatusSnapshot } from '../observe/status.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { askService } from './running-service.ts';

export interface AwaitCopiesOptions {
  config: Config;
  control: ControlTables;
  /** `schema.table`, as asked for with a request "resync". */
  names: readonly string[];
  /** States before the request, by `schema.table`. */
  before: ReadonlyMap<string, TableState>;
  /** The process of PostgreSQL that streams from the slot; undefined when none does. */
  streamingPid(): Promise<number | undefined>;
  /** Told what is waited for, when that lasts though the service works. */
  onWait(message: string): void;
  signal: AbortSignal;
  /** How long there may be no progress; default 60,000. */
  patienceMs?: number;
}

/** What became of a copy. */
export interface CopyOutcome {
  /** `schema.table`. */
  name: string;
  copiedRows: number;
  /** Why the table is stopped; absent when it is copied. */
  reason?: Pick<Problem, 'message' | 'hint'> & { code: string };
}

const pollIntervalMs = 200;
/** A session that ends for the copy may show its stopped tables for this long. */
const sessionEndMs = 5000;

/**
 * Waits until the running service has copied the tables, or stopped them. A table that fails its checks at the start of
 * the copy is stopped in the service alone, nothing is saved of it: the service is asked too, where it would listen.
 * Throws the service's problem, or SERVICE_STUCK, when nothing moves.
 */
export async function awaitCopies(options: AwaitCopiesOptions): Promise<CopyOutcome[]> {
  const { config, control, names, before, signal, patienceMs = 60_000 } = options;
  const begun = new Map<string, number>();
  const renewed = new Set<string>();
  let lastSeen = '';
  let movedAtMs = performance.now();
  let problem: StatusSnapshot['problem'];
  let saidAtMs = movedAtMs;
  while (!signal.aborted) {
    const tables = await control.loadTables();
    const answer = await askService(config).catch(() => undefined);
    const service = answer?.status.pipeline === config.pipeline ? answer.status : undefined;
    const works = service?.phase === 'streaming' || service?.phase === 'copying';
    const now = performance.now();
    const outcomes: CopyOutcome[] = [];
    for (const { schema, name, state } of tables) {
      const table = qualifiedName({ schema, name });
      if (!names.includes(table)) continue;
      if (!begun.has(table) && isAnother(state, before.get(table))) begun.set(table, now);
      const begunAtMs = begun.get(table);
      if (begunAtMs === undefined) continue;
      if (!works || now - begunAtMs > sessionEndMs) renewed.add(table);
      const { copiedRows } = state;
      if (state.phase === 'streaming') outcomes.push({ name: table, copiedRows });
      else if (state.stopped) outcomes.push({ name: table, copiedRows, reason: state.stopped });
      else if (works && renewed.has(table)) {
        const shown = service.tables.find(other => other.name === table);
        if (shown?.reason) outcomes.push({ name: table, copiedRows, reason: shown.reason });
      }
    }
    if (outcomes.length === names.length) return outcomes;

    const checkpoint = await control.loadCheckpoint();
    const seen = JSON.stringify([checkpoint, tables]);
    if (seen !== lastSeen) {
      lastSeen = seen;
      movedAtMs = saidAtMs = now;
      problem = undefined;
    }
    if (service?.problem) problem = service.problem;
    if (now - saidAtMs >= patienceMs) {
      const seconds = Math.round((now - movedAtMs) / 1000);
      const left = names.filter(table => !outcomes.some(outcome => outcome.name === table));
      const what = `a copy of ${left.join(', ')}`;
      // Values of a large table are looked at before its copy, and open transactions are waited for.
      const isAtIt = service?.phase === 'copying' && left.every(table => begun.has(table));
      if (problem || !isAtIt) throw await stuck(options, { seconds, what, problem });
      options.onWait(
        `Still waiting for ${what}: nothing saved for ${seconds} s; the log of the service says more.`,
      );
      saidAtMs = now;
    }
    await sleep(pollIntervalMs, undefined, { signal }).catch(() => {});
  }
  return [];
}

/** Whether a state is of the copy that was asked for. */
function isAnother(now: TableState, before: TableState | undefined): boolean {
  if (now.phase === 'copying') return before?.phase !== 'copying' || now.base !== before.base;
  return now.base !== before?.base || now.stopped?.at !== before?.stopped?.at;
}

async function stuck(
  { config, streamingPid }: AwaitCopiesOptions,
  { seconds, what, problem }: { seconds: number; what: string; problem: Problem | undefined },
): Promise<CdcError> {
  const waited = `waited ${seconds} s in vain for ${what}`;
  if (problem) return new CdcError(problem.code, `${waited}: ${problem.message}`, { hint: problem.hint });
  const pid = await streamingPid();
  return pid === undefined
    ? new CdcError(
        'SERVICE_STUCK',
        `${waited}: nobody streams from slot "${config.postgres.slot}" any more`,
        {
          hint: 'The log of the service says why it ended; "wal-cdc run" carries the copy out.',
        },
      )
    : new CdcError(
        'SERVICE_STUCK',
        `${waited}: process ${pid} of PostgreSQL streams from slot "${config.postgres.slot}", but its consumer saves no ` +
          `progress for pipeline "${config.pipeline}"`,
      );
}
