import type { KeyRule } from './relation.ts';

/** A saved position: everything before it is durable in the sink, and replay starts here. */
export interface Checkpoint {
  mode: 'wal' | 'cdc' | 'synthetic';
  /** Rises with the timeline or the system id of the source; the top bits of every version. */
  epoch: number;
  /** LSN text in `wal`, a sequence number in `synthetic`. */
  position: string;
  /** What the source is: of PostgreSQL its system identifier, in `synthetic` what the rows depend on. */
  systemId: string;
  timeline: number;
  slot: string;
  publication: string;
  publicationOid: number;
}

/** One leaf (an ordinary table, or a leaf partition) of a copy by ctid ranges. */
export interface LeafCopy {
  oid: number;
  schema: string;
  name: string;
  /** `pg_relation_filenode`: another one means that rows moved, and the leaf starts over. */
  filenode: number;
  /** Pages per chunk, and how many chunks; the last one is open-ended. */
  chunkPages: number;
  chunks: number;
  done: number[];
}

/** What is known about a table beyond its rows; saved beside them. */
export interface TableState {
  /** Of the pipeline when this was noted: positions of another epoch say nothing. */
  epoch: number;
  phase: 'copying' | 'streaming' | 'stopped';
  /** The table in the sink. */
  target: { database: string; table: string };
  keyRule: KeyRule;
  key: string[];
  /** What made the table part of the publication, when it was copied; another one means that changes are missing. */
  membership?: string | undefined;
  /** Columns as they were when every value of them was known to arrive. */
  columns: { number: number; name: string; typeOid: number; typmod: number }[];
  /** Base of the copy, or for a keyless table the consistent point of its copy; LSN text. */
  base?: string;
  leaves?: LeafCopy[];
  /** The table that the copy fills, until it is exchanged with the live one; told apart by its UUID. */
  shadow?: { table: string; uuid: string };
  /** Whether the live table takes changes while a shadow is filled. */
  live: boolean;
  copiedRows: number;
  /** Rows of lower versions are gone: commit and change LSN of the last truncate. */
  truncated?: { commitLsn: string; changeLsn: string };
  stopped?: { code: string; message: string; hint: string; position: string; at: string };
}
