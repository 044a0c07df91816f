import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import { quoteLiteral, quoteTable } from '../sources/wal/connect.ts';

interface TableName {
  schema: string;
  name: string;
}

/** What the rows of a table are stored in. */
export interface Storage {
  partitioned: boolean;
  /** File nodes of the table and its partitions: others after TRUNCATE, VACUUM FULL and rewrites. */
  files: string;
}

/** As of now, whatever the transaction's snapshot is; undefined for tables that do not exist. */
export async function describeStorage(
  client: pg.Client,
  tables: readonly TableName[],
): Promise<(Storage | undefined)[]> {
  const names = tables.map((table, i) => `(${i}, ${quoteLiteral(quoteTable(table))})`).join(', ');
  const { rows } = await client.query<{ partitioned: boolean | null; files: string }>(`
    SELECT (SELECT relkind = 'p' FROM pg_class WHERE oid = t.id) AS partitioned,
           coalesce((SELECT string_agg(pg_relation_filenode(relid)::text, ',' ORDER BY relid) FROM pg_partition_tree(t.id)),
                    pg_relation_filenode(t.id)::text, '') AS files
      FROM (SELECT place, to_regclass(name) AS id FROM (VALUES ${names}) AS v(place, name)) AS t
     ORDER BY t.place`);
  return rows.map(({ partitioned, files }) => (partitioned === null ? undefined : { partitioned, files }));
}

/** Keeps the table from being truncated or changed until the transaction ends. */
export async function lockedStorage(client: pg.Client, table: TableName): Promise<Storage> {
  // LOCK TABLE would want more than the right to read some columns.
  await client.query(`SELECT FROM ${quoteTable(table)} LIMIT 0`);
  const [storage] = await describeStorage(client, [table]);
  if (!storage)
    throw new CdcError('SCHEMA_CHANGED', `${qualifiedName(table)} does not exist`, {
      table: qualifiedName(table),
    });
  return storage;
}
