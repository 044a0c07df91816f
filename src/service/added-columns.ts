import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { quoteIdentifier, quoteString, quoteTableName } from '../sinks/clickhouse/names.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { inspectTarget, onCluster, planTarget, type TargetOptions } from '../sinks/clickhouse/target.ts';
import { type ServerCapabilities, splitNullable } from '../sinks/clickhouse/types/registry.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { quoteIdent, quoteTable } from '../sources/wal/connect.ts';

/**
 * Adds columns that PostgreSQL added to a table. Rows that were there before read NULL, or the default that PostgreSQL
 * keeps for them (`attmissingval`); where it rewrote them instead, without an event, the table needs a new copy.
 */
export async function addColumns(
  client: pg.Client,
  clickhouse: ClickHouse,
  table: SinkTable,
  source: SourceTable,
  options: TargetOptions,
  capabilities: ServerCapabilities,
): Promise<void> {
  const plan = planTarget(source, options, capabilities);
  const added = plan.columns.filter(column => !table.types.has(column.name));
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
    const fallback = found.missing === null ? '' : defaultSql(column.type, found.missing);
    if (rewritten || fallback === undefined)
      throw new CdcError(
        'SCHEMA_CHANGED',
        `table ${table.name} has a new column "${column.name}" whose values in older rows are not in the stream`,
        { table: table.name },
      );
    for (const target of [table.plan.name, ...(table.shadow ? [table.shadow] : [])]) {
      await clickhouse.command(
        `ALTER TABLE ${quoteTableName(target)}${onCluster(options)} ` +
          `ADD COLUMN IF NOT EXISTS ${quoteIdentifier(column.name)} ${column.type}${fallback}`,
      );
    }
  }
  const actual = await inspectTarget(clickhouse, table.shadow ?? table.plan.name);
  table.adopt(source, actual!.columns);
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

/** ` DEFAULT …` for a value in PostgreSQL's text; `undefined` when the two notations may differ. */
function defaultSql(fullType: string, text: string): string | undefined {
  const { type } = splitNullable(fullType);
  if (/^(LowCardinality\(String\)|String)$/.test(type)) return ` DEFAULT ${quoteString(text)}`;
  if (type === 'Bool') return ` DEFAULT ${text === 't' || text === 'true' ? 'true' : 'false'}`;
  if (/^(U?Int\d+|Float\d+|Decimal\(.*\)|UUID|Date32)$/.test(type) && !/NaN|infinity/i.test(text))
    return ` DEFAULT CAST(${quoteString(text)}, ${quoteString(type)})`;
  if (/^DateTime64\(6, 'UTC'\)$/.test(type) && /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(\+00)?$/.test(text))
    return ` DEFAULT CAST(${quoteString(text.replace('+00', ''))}, ${quoteString(type)})`;
  return undefined;
}
