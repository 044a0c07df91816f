import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { limitsOf } from '../sinks/clickhouse/types/registry.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { quoteIdent, quoteTable } from '../sources/wal/connect.ts';

/**
 * Looks for a value that the ClickHouse column cannot hold and that no policy takes care of, in one pass over the
 * table: `9999-12-31` in a date column is better found before hours of copying than behind them.
 */
export async function findInvalidValue(
  client: pg.Client,
  source: SourceTable,
  table: Pick<SinkTable, 'name' | 'types' | 'onInvalid'>,
): Promise<CdcError | undefined> {
  const conditions = source.columns.flatMap(column => {
    const type = table.types.get(column.name);
    if (type === undefined || table.onInvalid(column.name) !== 'fail') return [];
    const limits = limitsOf(column, type);
    if (!limits) return [];
    const name = quoteIdent(column.name);
    const tests = [
      ...(limits.min === undefined ? [] : [`${name} < ${limits.min}`]),
      ...(limits.max === undefined ? [] : [`${name} > ${limits.max}`]),
      ...(limits.scale === undefined || !/^(numeric|_numeric)$/.test(column.type.name)
        ? []
        : [`scale(trim_scale(${name})) > ${limits.scale}`]),
      ...(limits.rejectsNaN ? [`${name} = 'NaN'`] : []),
      ...(limits.rejectsInfinity ? [`${name} IN ('infinity', '-infinity')`] : []),
    ];
    return tests.length > 0 ? [{ column: column.name, type, sql: `(${tests.join(' OR ')})` }] : [];
  });
  if (conditions.length === 0) return undefined;
  const filter = source.rowFilter ? ` AND (${source.rowFilter})` : '';
  const key = source.key.length > 0 ? source.key : [];
  const { rows } = await client.query<Record<string, string>>(
    `SELECT ${[
      ...conditions.map((c, i) => `CASE WHEN ${c.sql} THEN ${quoteIdent(c.column)}::text END AS c${i}`),
      ...key.map((name, i) => `${quoteIdent(name)}::text AS k${i}`),
    ].join(', ')} FROM ${source.partitioned ? '' : 'ONLY '}${quoteTable(source)}
      WHERE (${conditions.map(c => c.sql).join(' OR ')})${filter} LIMIT 1`,
  );
  const row = rows[0];
  if (!row) return undefined;
  const i = conditions.findIndex((_, n) => row[`c${n}`] !== null);
  const { column, type } = conditions[i]!;
  const where = key.map((name, n) => `${name} = ${row[`k${n}`]}`).join(', ');
  return new CdcError(
    'VALUE_INVALID',
    `table ${table.name}, column "${column}": ClickHouse type ${type} cannot hold ${row[`c${i}`]}${where && ` (row ${where})`}`,
    {
      table: table.name,
      hint: `Set columns."${table.name}.${column}".onInvalid to null, clamp or string, or type to String, or tableOptions."${table.name}".onError to dead-letter, and start again.`,
    },
  );
}
