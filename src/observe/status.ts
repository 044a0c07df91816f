import type { ErrorCode } from '../core/errors.ts';

/** What a pipeline does as a whole. A table of its own may be `copying` while the pipeline streams. */
export type Phase = 'starting' | 'copying' | 'streaming' | 'retrying' | 'stopping';

export type TableState = 'pending' | 'copying' | 'streaming' | 'stopped';

export interface Problem {
  code: ErrorCode;
  message: string;
  hint: string;
}

export interface TableStatus {
  /** `schema.table` at the source. */
  name: string;
  /** `database.table` in ClickHouse. */
  target: string;
  state: TableState;
  /** Changes written since the process started, without copied rows. */
  rows: number;
  copiedRows?: number;
  /** Rows to copy as PostgreSQL's statistics estimate them. */
  estimatedRows?: number;
  /** 0 to 100, of the bytes to copy. */
  copyPercent?: number;
  copyRemainingSeconds?: number;
  /** Open ones; absent when there are none. */
  deadLetters?: number;
  /** Why the table stopped. */
  reason?: Problem;
  /** Position since which the table is stopped. */
  since?: string;
  /** Changes left out since it stopped. */
  skippedChanges?: number;
}

/** A partition of a topic, with the offset of the message that is read next. */
export interface PartitionStatus {
  topic: string;
  partition: number;
  offset: number;
  /** Messages that are not queryable yet; undefined when nobody could tell. */
  lag: number | undefined;
}

/** The state of a pipeline at one moment, as `/api/status`, the status page and `status --json` show it. */
export interface StatusSnapshot {
  pipeline: string;
  mode: 'synthetic' | 'cdc' | 'wal';
  phase: Phase;
  /** ISO 8601. */
  startedAt: string;
  /** Last position whose rows are queryable. */
  position?: string;
  /** Last saved position. */
  checkpoint?: string;
  /** The source's end, when it was last heard. */
  sourcePosition?: string;
  lagBytes?: number;
  /** Messages of the partitions that this instance reads which are not queryable yet. */
  lagMessages?: number;
  /** Those that this instance reads. */
  partitions?: PartitionStatus[];
  /** WAL that the slot keeps from being removed. */
  retainedWalBytes?: number;
  /** WAL that may still be written before the slot is lost; null without max_slot_wal_keep_size. */
  safeWalBytes?: number | null;
  /** Age of the oldest committed change that is not yet queryable; an upper bound while `problem` lasts; 0 when there is none. */
  freshnessMs: number;
  /** Freshness above which something is amiss (`freshnessObjectiveMs`). */
  freshnessObjectiveMs?: number;
  /** Of the transactions of the last minute; absent when there were none. */
  commitToQueryableMs: { p50?: number; p99?: number };
  rowsPerSecond: number;
  rowsTotal: number;
  tables: TableStatus[];
  /** What keeps the pipeline from running, until a session has made progress, or before it ends. */
  problem?: Problem & { since: string };
  /** Open dead letters of the pipeline, messages among them. */
  deadLetters: number;
}
