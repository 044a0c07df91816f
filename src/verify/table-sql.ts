import { quoteIdentifier, quoteTableName } from '../sinks/clickhouse/names.ts';
import { quoteIdent, quoteTable } from '../sources/wal/connect.ts';
import type { RowPosition } from './clickhouse-rows.ts';
import type { ComparedColumn, ComparedTable } from './compared-table.ts';
import { clickHouseString, postgresString } from './form.ts';
import { longestText } from './scalar-forms.ts';

/** Texts of the key columns, in key order. */
export type KeyTexts = readonly string[];

/** One text per column, in key order; of the rows with one of `keys` only, when given. */
export function buildPostgresRowsSql(
  table: ComparedTable,
  options: { partitioned: boolean; keys?: readonly KeyTexts[] | undefined },
): string {
  const { source, columns, key, keyless } = table;
  const inner = columns.map((column, i) => `${column.form.postgres(postgresValue(column))} AS c${i}`);
  const outer = columns.map(({ form }, i) =>
    form.unbounded && (keyless || !key.includes(i)) ? postgresDigest(`r.c${i}`) : `r.c${i}`,
  );
  const where = [
    ...(source.rowFilter ? [`(${source.rowFilter})`] : []),
    ...(options.keys ? [postgresKeyCondition(table, options.keys)] : []),
  ];
  const from = `${options.partitioned ? '' : 'ONLY '}${quoteTable(source)} AS t`;
  const rows = `SELECT ${inner.join(', ')} FROM ${from}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''}`;
  // OFFSET 0 and ORDER BY keep a subquery from being merged into the outer one: each text is made once.
  if (keyless)
    return (
      `SELECT * FROM (SELECT ${outer.map((text, i) => `${text} AS c${i}`).join(', ')} FROM (${rows} OFFSET 0) AS r) AS d ` +
      `ORDER BY ${columns.map((_, i) => `convert_to(d.c${i}, 'UTF8')`).join(', ')}`
    );
  return `SELECT ${outer.join(', ')} FROM (${rows} ORDER BY ${key.map(i => postgresOrder(columns[i]!)).join(', ')}) AS r`;
}

/** The columns' texts, then '1' for a row that is `newer` than the position (a condition), '0' otherwise. */
export function buildClickHouseRowsSql(
  table: ComparedTable,
  options: {
    newer: string;
    /** Leave those rows out. */
    withoutNewer?: boolean;
    keys?: readonly KeyTexts[] | undefined;
    position?: RowPosition | undefined;
  },
): string {
  const { source, columns, key, keyless } = table;
  const { newer, position } = options;
  const texts = columns.map((column, i) => {
    const text = clickHouseText(column);
    return column.form.unbounded && (keyless || !key.includes(i)) ? clickHouseDigest(text) : text;
  });
  const isNewer = `CAST(if(${newer}, '1', '0') AS Nullable(String))`;
  const where = [
    ...(options.withoutNewer ? [`NOT (${newer})`] : []),
    ...(options.keys ? [clickHouseKeyCondition(table, options.keys)] : []),
    ...(position && !keyless ? [behind(table, keyOf(table, position), '>')] : []),
  ];
  const order = keyless ? [...texts, isNewer] : key.map(i => clickHouseOrder(columns[i]!));
  return (
    `SELECT ${[...texts, isNewer].join(', ')} FROM ${quoteTableName(source.target)} AS t FINAL` +
    `${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''} ORDER BY ${order.join(', ')}` +
    // A keyless table is append-only: what was read before comes first again.
    `${position && keyless ? ` LIMIT 18446744073709551615 OFFSET ${position.rows}` : ''}`
  );
}

/** Keys of rows that were deleted later than the position, as `FINAL` hides them; a key may come more than once. */
export function buildTombstonesSql(
  table: ComparedTable,
  options: {
    newer: string;
    keys?: readonly KeyTexts[] | undefined;
    from?: KeyTexts | undefined;
  },
): string {
  const { source, columns, key } = table;
  const where = [
    `t.${quoteIdentifier(source.metaColumns.deleted)} = 1`,
    options.newer,
    ...(options.keys ? [clickHouseKeyCondition(table, options.keys)] : []),
    ...(options.from ? [behind(table, options.from, '>=')] : []),
  ];
  return (
    `SELECT ${key.map(i => clickHouseText(columns[i]!)).join(', ')} FROM ${quoteTableName(source.target)} AS t ` +
    `WHERE ${where.join(' AND ')} ORDER BY ${key.map(i => clickHouseOrder(columns[i]!)).join(', ')}`
  );
}

export function postgresValue({ name, isNullFlag }: ComparedColumn): string {
  const column = `t.${quoteIdent(isNullFlag ? name.slice(0, -'__null'.length) : name)}`;
  return isNullFlag ? `(${column} IS NULL)` : column;
}

function clickHouseValue({ name }: ComparedColumn): string {
  return `t.${quoteIdentifier(name)}`;
}

function clickHouseText(column: ComparedColumn): string {
  return `CAST(${column.form.clickhouse(clickHouseValue(column))} AS Nullable(String))`;
}

export function postgresDigest(text: string): string {
  return (
    `CASE WHEN length(${text}) > ${longestText} THEN 'sha256 ' || encode(sha256(convert_to(${text}, 'UTF8')), 'hex') ` +
    `|| ' of ' || length(${text}) || ' letters' ELSE ${text} END`
  );
}

function clickHouseDigest(text: string): string {
  return (
    `if(lengthUTF8(${text}) > ${longestText}, concat('sha256 ', lower(hex(SHA256(${text}))), ` +
    `' of ', toString(lengthUTF8(${text})), ' letters'), ${text})`
  );
}

/** The collation of the database says nothing about ClickHouse's order: bytes do. */
function postgresOrder(column: ComparedColumn): string {
  const value = postgresValue(column);
  return column.form.order?.postgres ? value : `convert_to(${column.form.postgres(value)}, 'UTF8')`;
}

function clickHouseOrder(column: ComparedColumn): string {
  return column.form.order?.clickhouse
    ? clickHouseValue(column)
    : column.form.clickhouse(clickHouseValue(column));
}

function clickHouseKeyLiteral({ form }: ComparedColumn, text: string): string {
  return form.order?.numeric ? text : clickHouseString(text);
}

/** By index where the texts can be read back, and by the texts: PostgreSQL's equality is wider (citext, 1.0 = 1.00). */
function postgresKeyCondition({ columns, key }: ComparedTable, keys: readonly KeyTexts[]): string {
  const parts = key.map(i => columns[i]!);
  const texts = parts.map(column => column.form.postgres(postgresValue(column)));
  const byText = `${tuple(texts)} IN (${keys.map(key => tuple(key.map(postgresString))).join(', ')})`;
  if (!parts.every(({ form }) => form.input)) return byText;
  const inputs = keys.map(key =>
    tuple(
      parts.map(({ form, type }, i) => {
        const input = postgresString(form.input!(key[i]!));
        return `${input}::${quoteIdent(type.schema)}.${quoteIdent(type.name)}`;
      }),
    ),
  );
  return `${tuple(parts.map(postgresValue))} IN (${inputs.join(', ')}) AND ${byText}`;
}

function clickHouseKeyCondition({ columns, key }: ComparedTable, keys: readonly KeyTexts[]): string {
  const parts = key.map(i => columns[i]!);
  const literals = keys.map(key => tuple(parts.map((column, i) => clickHouseKeyLiteral(column, key[i]!))));
  return `${tuple(parts.map(clickHouseOrder))} IN (${literals.join(', ')})`;
}

function tuple(values: readonly string[]): string {
  return values.length === 1 ? values[0]! : `(${values.join(', ')})`;
}

/** Rows after (`>`) or from (`>=`) a key on, in the order of the result. */
function behind({ columns, key }: ComparedTable, from: KeyTexts, operator: '>' | '>='): string {
  const parts = key.map(i => columns[i]!);
  const literals = parts.map((column, i) => clickHouseKeyLiteral(column, from[i]!));
  // The condition on the first column alone is what the primary index understands.
  return (
    `${clickHouseOrder(parts[0]!)} >= ${literals[0]} AND ` +
    `${tuple(parts.map(clickHouseOrder))} ${operator} ${tuple(literals)}`
  );
}

function keyOf({ key }: ComparedTable, { last }: RowPosition): KeyTexts {
  return key.map(i => last[i]!);
}
