import type { LeafCopy } from '../core/checkpoint.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { decodesBinary } from '../sinks/clickhouse/types/registry.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { quoteIdent } from '../sources/wal/connect.ts';

/** A table that is to be copied. */
export interface CopyJob {
  source: SourceTable;
  table: SinkTable;
}

const pageBytes = 8192;
/** Pages of a chunk: 64 MiB. Crash tests make them smaller, so that small tables have several. */
const chunkPages = Number(process.env.WAL_CDC_TEST_CHUNK_PAGES ?? (64 << 20) / pageBytes);

/** A ctid range of a leaf. */
export interface Chunk {
  job: CopyJob;
  leaf: LeafCopy;
  number: number;
}

/** Chunks that are not copied yet, of all leaves of a table. */
export function pendingChunks(job: CopyJob): Chunk[] {
  return (job.table.state.leaves ?? []).flatMap(leaf => pendingChunksOf(job, leaf));
}

export function pendingChunksOf(job: CopyJob, leaf: LeafCopy): Chunk[] {
  const done = new Set(leaf.done);
  return Array.from({ length: leaf.chunks }, (_, number) => ({ job, leaf, number })).filter(
    ({ number }) => !done.has(number),
  );
}

export interface LeafRow {
  oid: number;
  schema: string;
  name: string;
  filenode: number;
  pages: number;
}

/** Tables that hold rows of `oid`: its leaf partitions, or itself. */
export function leavesSql(oid: number): string {
  return `
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
           pg_relation_filenode(c.oid)::int8::float8 AS filenode,
           ceil(pg_relation_size(c.oid) / ${pageBytes}.0)::float8 AS pages
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND (c.oid = ${oid} OR c.oid IN (SELECT relid FROM pg_partition_tree(${oid}) WHERE isleaf))
     ORDER BY c.oid`;
}

export function planLeaf(row: LeafRow): LeafCopy {
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    filenode: row.filenode,
    chunkPages,
    chunks: Math.max(1, Math.ceil(row.pages / chunkPages)),
    done: [],
  };
}

/** The COPY statement, and which of its columns come as text because their binary form is not decoded. */
export function copySql(
  source: SourceTable,
  from: string,
  where: string,
): { sql: string; textColumns: Uint8Array } {
  const textColumns = Uint8Array.from(source.columns, column => (decodesBinary(column.type) ? 0 : 1));
  const columns = source.columns.map(
    (column, i) => `${quoteIdent(column.name)}${textColumns[i] ? '::text' : ''}`,
  );
  const filter = source.rowFilter ? ` AND (${source.rowFilter})` : '';
  return {
    sql: `COPY (SELECT ${columns.join(', ')} FROM ${from} WHERE ${where}${filter}) TO STDOUT (FORMAT binary)`,
    textColumns,
  };
}
