import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { quoteIdentifier, quoteString, quoteTableName } from '../sinks/clickhouse/names.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { inspectTarget, onCluster, planTarget, type TargetOptions } from '../sinks/clickhouse/target.ts';
import { type ServerCapabilities, splitNullable } from '../sinks/clickhouse/types/registry.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';

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
  const { rows } = await client.query<{
    name: string;
    identity: string;
    hasdef: boolean;
    missing: string | null;
  }>(
    `SELECT attname AS name, attidentity AS identity, atthasdef AS hasdef,
            (attmissingval::text::text[])[1] AS missing
       FROM pg_attribute WHERE attrelid = ${source.id} AND attnum > 0 AND NOT attisdropped`,
  );
  for (const column of added) {
    const found = rows.find(row => row.name === column.name)!;
    const rewritten = found.identity !== '' || (found.hasdef && found.missing === null);
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
