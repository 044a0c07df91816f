import type pg from 'pg';
import type { KeyRule, ReplicaIdentity, Table } from '../../core/relation.ts';
import { quoteLiteral } from './connect.ts';
import type { TypeCatalog } from './types.ts';

/** A table as the catalog describes it, with what a copy of it needs to know. */
export interface SourceTable extends Table {
  partitioned: boolean;
  replicaIdentity: ReplicaIdentity;
  /** Publication row filter, an SQL expression. */
  rowFilter: string | undefined;
  /** Why the role cannot read all of it; `undefined` when it can. */
  unreadable: string | undefined;
  estimatedRows: number;
  /** See `PublishedTable`. */
  membership: string | undefined;
}

/** What the publication says about one table; on PostgreSQL 14 there are neither columns nor filters. */
export interface PublishedTable {
  schema: string;
  name: string;
  columns: string[] | undefined;
  rowFilter: string | undefined;
  /**
   * OID in `pg_publication_rel` or `pg_publication_namespace`, where it has one, and that of the table: another one when the
   * table was taken out and put in again, or another filter or column list was set, or another table has the name now.
   */
  membership?: string | undefined;
}

export const systemSchemas = `n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'`;

/** Tables that could be published: ordinary and partitioned ones, without partitions of the latter. */
export async function listTables(
  client: pg.Client,
): Promise<{ schema: string; name: string; hasColumns: boolean }[]> {
  const { rows } = await client.query<{ schema: string; name: string; hasColumns: boolean }>(`
    SELECT n.nspname AS schema, c.relname AS name,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                                AND a.attgenerated = '') AS "hasColumns"
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition AND ${systemSchemas}
     ORDER BY 1, 2`);
  return rows;
}

export async function publishedTables(
  client: pg.Client,
  publication: string,
  serverVersion: number,
): Promise<PublishedTable[]> {
  const details =
    serverVersion >= 150000
      ? 't.attnames::text[] AS columns, t.rowfilter'
      : 'NULL AS columns, NULL AS rowfilter';
  const { rows } = await client.query<{
    schema: string;
    name: string;
    columns: string[] | null;
    rowfilter: string | null;
    membership: string;
  }>(
    `SELECT t.schemaname AS schema, t.tablename AS name, ${details},
            concat_ws('/', coalesce(r.oid, ${serverVersion >= 150000 ? 's.oid' : 'NULL'}), c.oid) AS membership
       FROM pg_publication_tables t
       JOIN pg_publication p ON p.pubname = t.pubname
       JOIN pg_namespace n ON n.nspname = t.schemaname
       JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
       LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
       ${serverVersion >= 150000 ? 'LEFT JOIN pg_publication_namespace s ON s.pnpubid = p.oid AND s.pnnspid = n.oid' : ''}
      WHERE t.pubname = ${quoteLiteral(publication)} ORDER BY 1, 2`,
  );
  return rows.map(row => ({
    schema: row.schema,
    name: row.name,
    columns: row.columns ?? undefined,
    rowFilter: row.rowfilter ?? undefined,
    membership: row.membership,
  }));
}

interface TableRow {
  oid: number;
  schema: string;
  name: string;
  relkind: string;
  relreplident: ReplicaIdentity;
  rows: number;
  may_select: boolean;
  rls: boolean;
}

interface ColumnRow {
  relid: number;
  name: string;
  typid: number;
  typmod: number;
  notnull: boolean;
  toastable: boolean;
  attnum: number;
  generated: string;
  may_select: boolean;
}

interface IndexRow {
  relid: number;
  columns: number[];
  is_primary: boolean;
  replident: boolean;
  eligible: boolean;
}

/** Describes `published` tables. `generatedStored`: the publication carries stored generated columns (PostgreSQL 18). */
export async function describeTables(
  client: pg.Client,
  types: TypeCatalog,
  published: PublishedTable[],
  generatedStored: boolean,
): Promise<SourceTable[]> {
  if (published.length === 0) return [];
  const names = published.map(t => `(${quoteLiteral(t.schema)}, ${quoteLiteral(t.name)})`).join(',');
  const tables = await client.query<TableRow>(`
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind, c.relreplident,
           (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)
              FROM pg_class l WHERE l.oid = c.oid OR l.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)
           )::float8 AS rows,
           has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') AS may_select,
           row_security_active(c.oid) AS rls
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (n.nspname, c.relname) IN (${names})
     ORDER BY 2, 3`);
  const oids = tables.rows.map(row => row.oid).join(',') || '0';
  const columns = await client.query<ColumnRow>(`
    SELECT a.attrelid::int8::float8 AS relid, a.attname AS name, a.atttypid::int8::float8 AS typid,
           a.atttypmod AS typmod, a.attnotnull AS notnull, a.attlen = -1 AS toastable, a.attnum,
           a.attgenerated AS generated,
           has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS may_select
      FROM pg_attribute a
     WHERE a.attrelid IN (${oids}) AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY 1, a.attnum`);
  const indexes = await client.query<IndexRow>(`
    SELECT i.indrelid::int8::float8 AS relid, i.indisprimary AS is_primary, i.indisreplident AS replident,
           i.indkey::int2[]::int4[] AS columns,
           i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AS eligible
      FROM (SELECT indrelid, indisprimary, indisreplident, indisunique, indimmediate, indisvalid, indpred, indexprs,
                   (string_to_array(indkey::text, ' '))[1:indnkeyatts] AS indkey, indexrelid FROM pg_index) i
     WHERE i.indrelid IN (${oids})
     ORDER BY i.indrelid, cardinality(i.indkey), i.indexrelid`);
  await types.load(
    client,
    columns.rows.map(row => row.typid),
  );
  return tables.rows.map(table => {
    const publishedTable = published.find(t => t.schema === table.schema && t.name === table.name)!;
    const own = columns.rows.filter(
      column =>
        column.relid === table.oid &&
        (column.generated === '' || (generatedStored && column.generated === 's')) &&
        (publishedTable.columns?.includes(column.name) ?? true),
    );
    const all = columns.rows.filter(column => column.relid === table.oid);
    const key = chooseKey(
      table,
      all,
      indexes.rows.filter(index => index.relid === table.oid),
    );
    return {
      id: table.oid,
      schema: table.schema,
      name: table.name,
      partitioned: table.relkind === 'p',
      replicaIdentity: table.relreplident,
      columns: own.map(column => ({
        number: column.attnum,
        name: column.name,
        type: types.known(column.typid)!,
        typmod: column.typmod,
        notNull: column.notnull,
        // Whatever its storage is: that may be altered any time, and nothing in the stream says so.
        toastable: column.toastable,
      })),
      // A column list may leave out a key column only where the identity allows it; then there is no key to go by.
      ...(key.columns.every(name => own.some(column => column.name === name))
        ? { keyRule: key.rule, key: key.columns }
        : { keyRule: 'keyless' as const, key: [] }),
      rowFilter: publishedTable.rowFilter,
      membership: publishedTable.membership,
      unreadable: whyUnreadable(table, own),
      estimatedRows: table.rows,
    };
  });
}

function whyUnreadable(table: TableRow, columns: ColumnRow[]): string | undefined {
  const hidden = columns.filter(column => !column.may_select).map(column => column.name);
  if (!table.may_select || (hidden.length > 0 && hidden.length === columns.length))
    return 'the role may not SELECT from it';
  if (hidden.length > 0)
    return `the role may not SELECT its column${hidden.length > 1 ? 's' : ''} ${hidden.join(', ')}`;
  if (table.rls) return 'row security applies to the role and would hide rows (use a role with BYPASSRLS)';
  return undefined;
}

/** The ORDER BY rule: see docs/architecture.md, "How rows are told apart". */
function chooseKey(
  table: TableRow,
  columns: ColumnRow[],
  indexes: IndexRow[],
): { rule: KeyRule; columns: string[] } {
  const byNumber = new Map(columns.map(column => [column.attnum, column]));
  const names = (index: IndexRow) => index.columns.map(n => byNumber.get(Number(n))?.name ?? '');
  const identity = indexes.find(index => index.replident && index.eligible);
  if (table.relreplident === 'i') {
    return identity ? { rule: 'identity-index', columns: names(identity) } : { rule: 'keyless', columns: [] };
  }
  const primary = indexes.find(index => index.is_primary && index.eligible);
  if (primary) return { rule: 'primary-key', columns: names(primary) };
  if (table.relreplident === 'f') {
    const unique = indexes.find(
      index => index.eligible && index.columns.every(n => byNumber.get(Number(n))?.notnull === true),
    );
    if (unique) return { rule: 'unique-index', columns: names(unique) };
  }
  return { rule: 'keyless', columns: [] };
}
