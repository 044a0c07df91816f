import type pg from 'pg';
import { CdcError } from '../../core/errors.ts';
import { queryError, quoteIdent, quoteLiteral, quoteTable } from './connect.ts';

export interface Publication {
  oid: number;
  allTables: boolean;
  /** `publish_via_partition_root`. */
  viaRoot: boolean;
  /** Whether stored generated columns are published (PostgreSQL 18). */
  generatedStored: boolean;
  /** Kinds of change that it leaves out, as `update`. */
  leavesOut: string[];
}

export async function inspectPublication(
  client: pg.Client,
  name: string,
  serverVersion: number,
): Promise<Publication | undefined> {
  const generated = serverVersion >= 180000 ? "pubgencols = 's'" : 'false';
  const { rows } = await client.query(`
    SELECT oid::int8::float8 AS oid, puballtables AS "allTables", pubviaroot AS "viaRoot", ${generated} AS "generatedStored",
           array_remove(ARRAY[CASE WHEN NOT pubinsert THEN 'insert' END, CASE WHEN NOT pubupdate THEN 'update' END,
                              CASE WHEN NOT pubdelete THEN 'delete' END, CASE WHEN NOT pubtruncate THEN 'truncate' END],
                        NULL) AS "leavesOut"
      FROM pg_publication WHERE pubname = ${quoteLiteral(name)}`);
  return rows[0];
}

type TableName = { schema: string; name: string };

export function buildCreatePublicationSql(name: string, tables: readonly TableName[]): string {
  return `CREATE PUBLICATION ${quoteIdent(name)} FOR TABLE ${tables.map(quoteTable).join(', ')} WITH (publish_via_partition_root = true)`;
}

export function buildAddTablesSql(name: string, tables: readonly TableName[]): string {
  return `ALTER PUBLICATION ${quoteIdent(name)} ADD TABLE ${tables.map(quoteTable).join(', ')}`;
}

export async function createPublication(client: pg.Client, name: string, tables: TableName[]): Promise<void> {
  const sql = buildCreatePublicationSql(name, tables);
  try {
    await client.query(sql);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === '42501')
      throw new CdcError(
        'PUBLICATION_MISSING',
        `publication "${name}" does not exist and may not be created: ${message}`,
        {
          cause: error,
          hint: `As owner of the tables: ${sql}; or name an existing one with --publication.`,
        },
      );
    throw queryError(error, `creating the publication "${name}"`);
  }
}

export async function addToPublication(client: pg.Client, name: string, tables: TableName[]): Promise<void> {
  const sql = buildAddTablesSql(name, tables);
  try {
    await client.query(sql);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    // Somebody else adds tables too: one by one it is seen which are left.
    if (code === '42710' && tables.length === 1) return;
    if (code === '42710') {
      for (const table of tables) await addToPublication(client, name, [table]);
      return;
    }
    if (code === '42501')
      throw new CdcError(
        'SOURCE_PRIVILEGE',
        `tables may not be added to the publication "${name}": ${message}`,
        {
          cause: error,
          hint: `As its owner, who owns the tables too: ${sql};`,
        },
      );
    throw queryError(error, `adding tables to the publication "${name}"`);
  }
}

export async function dropPublication(client: pg.Client, name: string): Promise<void> {
  await client
    .query(`DROP PUBLICATION IF EXISTS ${quoteIdent(name)}`)
    .catch(error => Promise.reject(queryError(error, `dropping the publication "${name}"`)));
}
