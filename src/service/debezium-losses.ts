import type pg from 'pg';
import { type PgType, qualifiedName } from '../core/relation.ts';
import type { ConnectorModes } from '../sinks/clickhouse/types/debezium/connector-modes.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { queryError, quoteIdent, quoteTable } from '../sources/wal/connect.ts';

/** Values of a column that Debezium does not carry as they are: docs/types.md, "What Debezium changes". */
export interface LossyValues {
  column: string;
  rows: number;
  /** What they are, and what becomes of them. */
  what: string;
  /** Whether NULL arrives instead. */
  toNull: boolean;
}

interface Test {
  what: string;
  sql: string;
  toNull?: boolean;
}

/** Counts such values, in one pass over the table. */
export async function findLosses(
  client: pg.Client,
  table: SourceTable,
  modes: Pick<ConnectorModes, 'decimals' | 'times' | 'intervals'>,
): Promise<LossyValues[]> {
  const tests = table.columns.flatMap(({ name, type }) =>
    testsOf(quoteIdent(name), baseOf(type), modes).map(test => ({ column: name, ...test })),
  );
  if (tests.length === 0) return [];
  const sql = `SELECT ${tests.map(({ sql }, i) => `count(*) FILTER (WHERE ${sql}) AS c${i}`).join(', ')}
                 FROM ${table.partitioned ? '' : 'ONLY '}${quoteTable(table)}`;
  const { rows } = await client.query<Record<string, string>>(sql).catch(error => {
    throw queryError(error, `reading the rows of ${qualifiedName(table)}`);
  });
  return tests.flatMap(({ column, what, toNull = false }, i) => {
    const found = Number(rows[0]![`c${i}`]);
    return found > 0 ? [{ column, rows: found, what, toNull }] : [];
  });
}

function baseOf(type: PgType): PgType {
  return type.kind === 'domain' && type.inner ? baseOf(type.inner) : type;
}

function testsOf(
  column: string,
  type: PgType,
  { decimals, times, intervals }: Pick<ConnectorModes, 'decimals' | 'times' | 'intervals'>,
): Test[] {
  if (type.kind === 'array') return arrayTests(column, type, times);
  if (type.schema !== 'pg_catalog') return [];
  switch (type.name) {
    case 'date':
      return [
        {
          what: `BC, which a snapshot makes AD`,
          sql: `${column} < '0001-01-01' AND isfinite(${column})`,
        },
        {
          what: `of 5 to 14 October 1582, which a snapshot moves by ten days`,
          sql: `${column} BETWEEN '1582-10-05' AND '1582-10-14'`,
        },
      ];
    case 'timestamp':
      if (times === 'nanoseconds')
        return [
          {
            what: `outside 1677-09-21 to 2262-04-11, which arrive as NULL (time.precision.mode nanoseconds)`,
            sql: `isfinite(${column}) AND ${column} NOT BETWEEN '1677-09-22' AND '2262-04-11'`,
            toNull: true,
          },
        ];
      return times === 'connect' ? [lostMicroseconds(column)] : [];
    case 'time':
      if (times === 'isostring')
        return [{ what: `24:00:00, which arrives as 00:00:00`, sql: `${column} = '24:00:00'` }];
      return times === 'connect' ? [lostMicroseconds(column)] : [];
    case 'timetz':
      return [
        {
          what: `not in UTC, or 24:00:00, which arrive as the same moment in UTC`,
          sql: `extract(timezone FROM ${column}) <> 0 OR ${column}::text LIKE '24%'`,
        },
      ];
    case 'numeric':
      if (decimals === 'precise')
        return [
          {
            what: `NaN or infinity, which arrive as NULL (decimal.handling.mode precise)`,
            sql: `${column} IN ('NaN', 'Infinity', '-Infinity')`,
            toNull: true,
          },
        ];
      return decimals === 'double'
        ? [
            {
              what: `of more than 15 digits, which are rounded (decimal.handling.mode double)`,
              // Outside these a cast would fail.
              sql: `CASE WHEN abs(${column}) BETWEEN 1e-300 AND 1e300 THEN ${column} <> ${column}::float8::numeric
                         ELSE ${column} NOT IN (0, 'NaN', 'Infinity', '-Infinity') END`,
            },
          ]
        : [];
    case 'interval':
      return [
        { what: `infinity, which arrives as zero`, sql: `NOT isfinite(${column})` },
        ...(intervals === 'numeric'
          ? [
              {
                what: `with days, months or years, which arrive as an average number of hours (interval.handling.mode numeric)`,
                sql: `isfinite(${column}) AND (extract(day FROM ${column}) <> 0 OR extract(month FROM ${column}) <> 0 OR extract(year FROM ${column}) <> 0)`,
              },
            ]
          : []),
      ];
    case 'varbit':
      return [{ what: `with zeros in front, which go`, sql: `${column}::text LIKE '0%'` }];
    default:
      return [];
  }
}

function lostMicroseconds(column: string): Test {
  return {
    what: `with microseconds, which are lost (time.precision.mode connect)`,
    sql: `extract(microseconds FROM ${column})::int8 % 1000 <> 0`,
  };
}

function arrayTests(column: string, type: PgType, times: ConnectorModes['times']): Test[] {
  const tests = [
    { what: `arrays in arrays, of which elements are lost`, sql: `array_ndims(${column}) > 1` },
    { what: `arrays that do not count from 1, and then do`, sql: `array_lower(${column}, 1) <> 1` },
  ];
  const { name } = type.inner ? baseOf(type.inner) : type;
  const some = (condition: string) => `EXISTS (SELECT FROM unnest(${column}) AS e WHERE ${condition})`;
  if (name === 'date' || name === 'timestamptz')
    tests.push({
      what: `with dates BC, which become AD`,
      sql: some(`e < '0001-01-01'::${name} AND isfinite(e)`),
    });
  if (name === 'time' || (name === 'timestamp' && times === 'connect'))
    tests.push({
      what: `with microseconds, which are lost`,
      sql: some('extract(microseconds FROM e)::int8 % 1000 <> 0'),
    });
  return tests;
}
