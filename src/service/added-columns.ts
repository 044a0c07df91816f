import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName } from '../sinks/clickhouse/names.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import {
  checkTarget,
  inspectTarget,
  onCluster,
  planTarget,
  type TargetOptions,
} from '../sinks/clickhouse/target.ts';
import { type ServerCapabilities, splitNullable } from '../sinks/clickhouse/types/registry.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { quoteIdent, quoteTable } from '../sources/wal/connect.ts';

/** Columns that a table does not have yet. */
export interface NewColumns {
  names: ReadonlySet<string>;
  /** Whether another instance may have made them, and written to them, meanwhile. */
  shared: boolean;
}

/**
 * Adds columns that PostgreSQL added to a table. Rows that were there before read NULL, or the default that
 * PostgreSQL keeps for them (`attmissingval`); where it rewrote them instead, without an event, the table needs a new
 * copy. So it does where ClickHouse has such a column already and rows read something else in it: TABLE_MISMATCH.
 */
export async function addColumns(
  client: pg.Client,
  clickhouse: ClickHouse,
  table: SinkTable,
  source: SourceTable,
  { names, shared }: NewColumns,
  options: TargetOptions,
  capabilities: ServerCapabilities,
): Promise<void> {
  const plan = planTarget(source, options, capabilities);
  const added = plan.columns.filter(column => names.has(column.name));
  let hadSome = false;
  const { rows } = await client.query<AddedColumn>(
    `SELECT a.attname AS name, a.attidentity AS identity, a.atthasdef AS hasdef, a.attnotnull AS notnull,
            (a.attmissingval::text::text[])[1] AS missing, t.typdefault IS NOT NULL AS typehasdef,
            EXISTS (SELECT FROM pg_partition_tree(a.attrelid) p
                      JOIN pg_attribute l ON l.attrelid = p.relid AND l.attname = a.attname
                     WHERE l.atthasmissing) AS leafhasmissing
       FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = ${source.id} AND a.attnum > 0 AND NOT a.attisdropped`,
  );
  for (const column of added) {
    const found = rows.find(row => row.name === column.name)!;
    const rewritten =
      found.identity !== '' ||
      (found.missing === null && (found.hasdef || (await hasValues(client, source, found))));
    const fallback = found.missing === null ? '' : olderValueSql(column.type, found.missing);
    if (rewritten || fallback === undefined)
      throw new CdcError(
        'SCHEMA_CHANGED',
        `table ${table.name} has a new column "${column.name}" whose values in older rows are not in the stream`,
        { table: table.name },
      );
    for (const target of [table.plan.name, ...(table.shadow ? [table.shadow] : [])]) {
      const existing = await findColumn(clickhouse, target, column.name);
      if (existing && shared) continue;
      if (existing) {
        hadSome = true;
        // Below a shadow it goes away.
        if (target === (table.shadow ?? table.plan.name))
          await requireOlderValue(clickhouse, table, target, existing, fallback);
        continue;
      }
      await clickhouse.command(
        `ALTER TABLE ${quoteTableName(target)}${onCluster(options)} ` +
          `ADD COLUMN IF NOT EXISTS ${quoteIdentifier(column.name)} ${column.type}${fallback && ` DEFAULT ${fallback}`}`,
      );
    }
  }
  const actual = await inspectTarget(clickhouse, table.shadow ?? table.plan.name);
  if (hadSome) checkTarget(source, plan, actual!, options);
  table.adopt(source, actual!.columns);
}

interface ExistingColumn {
  name: string;
  type: string;
  kind: string;
  expression: string;
}

async function findColumn(
  clickhouse: ClickHouse,
  { database, table }: TableName,
  name: string,
): Promise<ExistingColumn | undefined> {
  const [column] = await clickhouse.query<ExistingColumn>(
    `SELECT name, type, default_kind AS kind, default_expression AS expression FROM system.columns
      WHERE database = ${quoteString(database)} AND table = ${quoteString(table)} AND name = ${quoteString(name)}`,
  );
  return column;
}

/**
 * Throws TABLE_MISMATCH unless a column of ClickHouse reads `fallback`, an expression or empty for NULL, in every row that
 * is there and in those to come without it. It does when an attempt before this one made it.
 */
async function requireOlderValue(
  clickhouse: ClickHouse,
  table: SinkTable,
  target: TableName,
  { name, type, kind, expression }: ExistingColumn,
  fallback: string,
): Promise<void> {
  const fail = (what: string) =>
    new CdcError(
      'TABLE_MISMATCH',
      `table ${table.name} has a new column "${name}", which ClickHouse table ${target.database}.${target.table} has already, ${what}`,
      {
        table: table.name,
        hint: `Drop the column in ClickHouse, or keep it if it is of a fitting type and without an expression; then "wal-cdc resync ${table.name}" copies the table afresh.`,
      },
    );
  if (
    kind !== (fallback === '' ? '' : 'DEFAULT') ||
    !(await sameExpression(clickhouse, expression, fallback))
  )
    throw fail(kind === '' ? 'without the default of older rows' : `as ${kind} ${expression}`);
  const column = quoteIdentifier(name);
  const differs = fallback
    ? `NOT ifNull(${column} = ${fallback}, false)`
    : splitNullable(type).nullable
      ? `${column} IS NOT NULL`
      : `toString(${column}) != toString(defaultValueOfTypeName(${quoteString(type)}))`;
  const rows = await clickhouse.query(`SELECT 1 FROM ${quoteTableName(target)} WHERE ${differs} LIMIT 1`);
  if (rows.length > 0) throw fail('with values that are not those of PostgreSQL');
}

/** ClickHouse writes an expression in its own way when it keeps it. */
async function sameExpression(clickhouse: ClickHouse, a: string, b: string): Promise<boolean> {
  if (a === b) return true;
  if (a === '' || b === '') return false;
  const format = (text: string) => `formatQuerySingleLine(${quoteString(`SELECT ${text}`)})`;
  const [row] = await clickhouse.query<{ same: number }>(`SELECT ${format(a)} = ${format(b)} AS same`);
  return row!.same === 1;
}

interface AddedColumn {
  name: string;
  identity: string;
  hasdef: boolean;
  notnull: boolean;
  missing: string | null;
  typehasdef: boolean;
  leafhasmissing: boolean;
}

/**
 * Whether rows have values in a column for which the table itself keeps none: its default may be gone again, is one of the
 * type (a domain), or is kept by the partitions. A nullable column of a plain type is not looked through: the default
 * would have been volatile, and tables may be large.
 */
async function hasValues(
  client: pg.Client,
  source: SourceTable,
  { name, notnull, typehasdef, leafhasmissing }: AddedColumn,
): Promise<boolean> {
  const everyRow = notnull || leafhasmissing;
  if (!everyRow && !typehasdef) return false;
  if (source.unreadable) return true;
  const conditions = [
    ...(everyRow ? [] : [`${quoteIdent(name)} IS NOT NULL`]),
    ...(source.rowFilter ? [`(${source.rowFilter})`] : []),
  ];
  const where = conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
  const { rows } = await client.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM ${source.partitioned ? '' : 'ONLY '}${quoteTable(source)}${where}) AS found`,
  );
  return rows[0]!.found;
}

/** An expression for a value in PostgreSQL's text; `undefined` when the two notations may differ. */
function olderValueSql(fullType: string, text: string): string | undefined {
  const { type } = splitNullable(fullType);
  if (/^(LowCardinality\(String\)|String)$/.test(type)) return quoteString(text);
  if (type === 'Bool') return text === 't' || text === 'true' ? 'true' : 'false';
  if (/^(U?Int\d+|Float\d+|Decimal\(.*\)|UUID|Date32)$/.test(type) && !/NaN|infinity/i.test(text))
    return `CAST(${quoteString(text)}, ${quoteString(type)})`;
  if (/^DateTime64\(6, 'UTC'\)$/.test(type) && /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(\+00)?$/.test(text))
    return `CAST(${quoteString(text.replace('+00', ''))}, ${quoteString(type)})`;
  return undefined;
}
