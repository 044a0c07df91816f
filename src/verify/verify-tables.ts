import type { ClickHouseClient } from '@clickhouse/client';
import type { ErrorCode } from '../core/errors.ts';
import { formatLsn, type Lsn } from '../core/lsn.ts';
import { connect, type PostgresAddress } from '../sources/wal/connect.ts';
import type { VerifyTable } from './compared-table.ts';
import { takeSnapshot } from './source-snapshot.ts';
import { describeStorage, type Storage } from './storage.ts';
import type { RowDifference } from './table-comparison.ts';
import { TableRun } from './table-run.ts';

export type { VerifyTable } from './compared-table.ts';
export type { CellDifference, RowDifference } from './table-comparison.ts';

export interface VerifyOptions {
  source: PostgresAddress;
  clickhouse: ClickHouseClient;
  /** None of them may be in the middle of a copy. */
  tables: readonly VerifyTable[];
  /** The pipeline's, as in `_version`. */
  epoch: number;
  /** Resolves when ClickHouse has every transaction whose commit record starts before `lsn`. */
  awaitPosition(lsn: Lsn): Promise<void>;
  /** Open dead letters of a table, asked for once ClickHouse has come to the position. */
  openLetters?(table: VerifyTable): Promise<readonly LetterRow[]>;
  /**
   * How rows of later than the position are told: in `wal` by `_version`, exactly; in `cdc`, where a version has the
   * commit *before* its own, by `_committed_at`.
   */
  newerBy?: 'version' | 'commit-time';
  /** Default 5. */
  maxRounds?: number;
  /** Differences that are named, per table; all are counted. Default 100. */
  maxDiffering?: number;
  /** Keys per table that are remembered for the next round. Default 100,000. */
  maxMoving?: number;
  onProgress?(progress: VerifyProgress): void;
  signal?: AbortSignal | undefined;
}

/** A row that could not be written. */
export interface LetterRow {
  id: string;
  /** PostgreSQL's texts by column: of the key, or of the whole row in a table without one. */
  values: Readonly<Record<string, string | null>>;
}

export interface VerifyProgress {
  round: number;
  /** Taking a snapshot waits for the transactions that are open. */
  step: 'taking a snapshot' | 'waiting for ClickHouse' | 'comparing';
  /** `schema.table` while comparing. */
  table?: string;
  /** Rows of the table that PostgreSQL has given so far. */
  rows?: number;
}

export interface VerifyTableResult {
  schema: string;
  name: string;
  target: { database: string; table: string };
  /** Rows that were judged: those of either side that did not move. */
  rows: number;
  equal: number;
  /** How many differ at rest, and the first of them; such as are in no dead letter come first. */
  differingCount: number;
  differing: RowDifference[];
  /** How many of those that differ have an open dead letter. */
  inDeadLetters: number;
  /** Rows that changed during every round, so that nothing can be said about them. */
  moving: number;
  /** Of those: rows that were too many to be looked at again. */
  movingForgotten: number;
  rounds: number;
  seconds: number;
  /** Why the table could not be compared, or not to the end. */
  error?: { code: ErrorCode; message: string; hint: string };
}

export interface VerifyResult {
  tables: VerifyTableResult[];
  /** No row differs and every table could be compared. Moving rows do not count against it. */
  equal: boolean;
  /** Position of the first round, `X/Y`; undefined without tables. */
  position: string | undefined;
  seconds: number;
}

/**
 * Compares tables row by row, as PostgreSQL has them at one position and ClickHouse has them with `FINAL`, cell by cell as
 * text that each database makes of its values. Both sides stream in key order. Rows that ClickHouse has of later than the
 * position are looked at again in the next round, at a new position.
 *
 * What concerns one table is in its result; what concerns a server, or cancelling, is thrown.
 */
export async function verifyTables(options: VerifyOptions): Promise<VerifyResult> {
  const started = performance.now();
  const { maxRounds = 5 } = options;
  const runs = options.tables.map(table => new TableRun(table, options));
  let position: string | undefined;
  for (let round = 1; round <= maxRounds; round++) {
    const open = runs.filter(run => run.isOpen);
    if (open.length === 0) break;
    options.signal?.throwIfAborted();
    options.onProgress?.({ round, step: 'taking a snapshot' });
    const storage = await storageOf(options.source, open);
    await using snapshot = await takeSnapshot(options.source, options.signal);
    position ??= formatLsn(snapshot.position);
    options.onProgress?.({ round, step: 'waiting for ClickHouse' });
    await options.awaitPosition(snapshot.position);
    for (const [i, run] of open.entries()) await run.round(round, snapshot, storage[i]);
  }
  const tables = runs.map(run => run.result());
  return {
    tables,
    equal: tables.every(table => table.differingCount === 0 && !table.error),
    position,
    seconds: (performance.now() - started) / 1000,
  };
}

async function storageOf(
  address: PostgresAddress,
  runs: readonly TableRun[],
): Promise<(Storage | undefined)[]> {
  const client = await connect(address);
  try {
    return await describeStorage(
      client,
      runs.map(run => run.table),
    );
  } finally {
    await client.end();
  }
}
