import { asCdcError, CdcError } from '../../core/errors.ts';
import { qualifiedName, type Table } from '../../core/relation.ts';
import type { VersionScheme } from '../../core/version.ts';
import type { ClickHouse } from './client.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName, targetName } from './names.ts';
import { isMarked, unmarked } from './shadow-mark.ts';
import { parseSortingKey, type SortingElement } from './sorting-key.ts';
import type { OnInvalid } from './types/codec.ts';
import type { ConnectorModes } from './types/debezium/connector-modes.ts';
import { codecFor, defaultType, fullType, type ServerCapabilities, splitNullable } from './types/registry.ts';

export interface MetaColumns {
  version: string;
  deleted: string;
  committedAt: string;
}

/** The part of the configuration that decides how tables look in ClickHouse. */
export interface TargetOptions {
  database: string;
  cluster?: string | undefined;
  metaColumns: MetaColumns;
  nullFlag: boolean;
  versions: VersionScheme;
  connector: ConnectorModes & { placeholder: string };
  column(schema: string, table: string, column: string): { type?: string | undefined; onInvalid: OnInvalid };
  table(
    schema: string,
    table: string,
  ): {
    partitionBy?: string | undefined;
    orderBy?: string[] | undefined;
    onError?: 'stop' | 'dead-letter' | undefined;
  };
}

/** The ClickHouse table of a source table, as it should be. */
export interface TargetPlan {
  name: TableName;
  columns: { name: string; type: string }[];
  orderBy: string[];
  partitionBy: string | undefined;
  /** Arrays and maps that may be NULL at the source, by name, with the column that says so. */
  nullFlags: Map<string, string>;
}

/** Throws `CdcError` for what cannot be: zero columns, meta column names that the source uses, wrong types. */
export function planTarget(
  table: Table,
  options: TargetOptions,
  capabilities: ServerCapabilities,
): TargetPlan {
  const fail = (message: string, hint?: string) =>
    new CdcError('TABLE_UNSUPPORTED', `table ${qualifiedName(table)} ${message}`, {
      table: qualifiedName(table),
      ...(hint ? { hint } : {}),
    });
  if (table.columns.length === 0) throw fail('has no columns to replicate');
  requireNoMetaColumn(table, table.columns, options.metaColumns);
  const nullFlags = new Map<string, string>();
  const columns = table.columns.map(column => {
    const chosen = options.column(table.schema, table.name, column.name);
    const { onInvalid } = chosen;
    const isKey = table.key.includes(column.name);
    if (isKey && (onInvalid === 'null' || onInvalid === 'clamp'))
      throw fail(`has onInvalid: ${onInvalid} on its key column "${column.name}": rows would become one`);
    const wanted = chosen.type ?? (onInvalid === 'string' ? 'String' : defaultType(column, capabilities));
    const split = splitNullable(wanted);
    const codec = withTable(table, () => codecFor(column, wanted, onInvalid));
    const nullable = (!column.notNull || onInvalid === 'null' || split.nullable) && !isKey;
    if (!codec.canBeNullable && !column.notNull && options.nullFlag)
      nullFlags.set(column.name, `${column.name}__null`);
    return { name: column.name, type: fullType(split.type, codec.canBeNullable, nullable) };
  });
  const own = options.table(table.schema, table.name);
  const derived = table.key.length > 0 ? table.key : [options.metaColumns.version];
  const missing = derived.find(name => own.orderBy && !own.orderBy.includes(name));
  if (missing)
    throw fail(
      table.key.length > 0
        ? `has an orderBy that leaves out its key column "${missing}"`
        : `has no key, and an orderBy without "${missing}": rows would become one`,
    );
  return {
    name: targetName(options.database, table),
    columns,
    orderBy: own.orderBy ?? derived,
    partitionBy: own.partitionBy,
    nullFlags,
  };
}

/** Throws TABLE_UNSUPPORTED for a column of the source that is named like one that wal-cdc adds. */
export function requireNoMetaColumn(
  table: Pick<Table, 'schema' | 'name'>,
  columns: readonly { name: string }[],
  metaColumns: MetaColumns,
): void {
  const meta = Object.values(metaColumns);
  const clash = columns.find(({ name }) => meta.includes(name));
  if (!clash) return;
  const name = qualifiedName(table);
  throw new CdcError(
    'TABLE_UNSUPPORTED',
    `table ${name} has a column "${clash.name}", the name of a column that wal-cdc adds`,
    { table: name, hint: 'Choose other names under metaColumns: in the configuration.' },
  );
}

/** Names the table in an error of one of its columns. */
function withTable<T>(table: Table, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof CdcError)) throw error;
    throw new CdcError(error.code, `table ${qualifiedName(table)}: ${error.message}`, {
      hint: error.hint,
      table: qualifiedName(table),
      cause: error,
    });
  }
}

export function buildCreateDatabaseSql(database: string, options: { cluster?: string | undefined }): string {
  return `CREATE DATABASE IF NOT EXISTS ${quoteIdentifier(database)}${onCluster(options)}`;
}

/** Comment of tables that a pipeline made: `teardown --data` drops no others. */
export const madeByUs = 'made by wal-cdc';

/** What a shadow has otherwise than the table that is planned. */
interface Beside {
  name: TableName;
  comment: string;
}

export function buildCreateTableSql(
  plan: TargetPlan,
  options: TargetOptions,
  { name, comment }: Beside = { name: plan.name, comment: madeByUs },
): string {
  const { version, deleted, committedAt } = options.metaColumns;
  const columns = [
    ...plan.columns.map(column => `${quoteIdentifier(column.name)} ${column.type}`),
    ...[...plan.nullFlags.values()].map(flag => `${quoteIdentifier(flag)} Bool`),
    `${quoteIdentifier(version)} UInt128`,
    `${quoteIdentifier(deleted)} UInt8`,
    `${quoteIdentifier(committedAt)} DateTime64(6, 'UTC')`,
  ];
  const replicated = options.cluster ? 'Replicated' : '';
  return [
    `CREATE TABLE IF NOT EXISTS ${quoteTableName(name)}${onCluster(options)}`,
    `(\n  ${columns.join(',\n  ')}\n)`,
    `ENGINE = ${replicated}ReplacingMergeTree(${quoteIdentifier(version)}, ${quoteIdentifier(deleted)})`,
    ...(plan.partitionBy ? [`PARTITION BY ${plan.partitionBy}`] : []),
    `ORDER BY (${plan.orderBy.map(quoteIdentifier).join(', ')})`,
    'SETTINGS fsync_after_insert = 1, fsync_part_directory = 1',
    `COMMENT ${quoteString(comment)}`,
  ].join('\n');
}

/** Makes a table. Throws TABLE_MISMATCH when ClickHouse does not take what settings say of it. */
export async function createTable(
  clickhouse: ClickHouse,
  plan: TargetPlan,
  options: TargetOptions,
  beside?: Beside,
): Promise<void> {
  try {
    await clickhouse.command(buildCreateTableSql(plan, options, beside));
  } catch (cause) {
    const { code, message } = asCdcError(cause);
    if (code !== 'SINK_QUERY' && code !== 'TABLE_MISMATCH') throw cause;
    const { name } = beside ?? plan;
    throw new CdcError(
      'TABLE_MISMATCH',
      `ClickHouse does not make ${name.database}.${name.table}: ${message}`,
      {
        cause,
        hint: 'Correct its partitionBy, orderBy or types of columns in the configuration: "wal-cdc plan" prints the statement.',
      },
    );
  }
}

export function onCluster(options: { cluster?: string | undefined }): string {
  return options.cluster ? ` ON CLUSTER ${quoteIdentifier(options.cluster)}` : '';
}

/** A table as ClickHouse has it. */
export interface ActualTarget {
  uuid: string;
  /** Whether a pipeline made it. */
  made: boolean;
  /** Whether it is what a copy fills, or has replaced, and may be dropped. */
  shadow: boolean;
  comment: string;
  engine: string;
  /** What it is ordered by, in that order. */
  sortingKey: SortingElement[];
  /** Full type by column name. */
  columns: Map<string, string>;
  rows: number;
}

export async function inspectTarget(
  clickhouse: ClickHouse,
  name: TableName,
): Promise<ActualTarget | undefined> {
  const where = `database = ${quoteString(name.database)} AND`;
  const [table] = await clickhouse.query<{
    uuid: string;
    engine_full: string;
    total_rows: string | null;
    comment: string;
    sorting_key: string;
  }>(
    `SELECT toString(uuid) AS uuid, engine_full, total_rows, comment, sorting_key FROM system.tables
      WHERE ${where} name = ${quoteString(name.table)}`,
  );
  if (!table) return undefined;
  const columns = await clickhouse.query<{ name: string; type: string }>(
    `SELECT name, type FROM system.columns WHERE ${where} table = ${quoteString(name.table)}`,
  );
  return {
    uuid: table.uuid,
    made: unmarked(table.comment) === madeByUs,
    shadow: isMarked(table.comment),
    comment: table.comment,
    engine: table.engine_full,
    sortingKey: parseSortingKey(table.sorting_key),
    columns: new Map(columns.map(column => [column.name, column.type])),
    rows: Number(table.total_rows ?? 0),
  };
}

/** Throws `TABLE_MISMATCH` or `TYPE_MISMATCH` that names what of an existing table does not fit. */
export function checkTarget(
  table: Table,
  plan: TargetPlan,
  actual: ActualTarget,
  options: TargetOptions,
): void {
  const where = `ClickHouse table ${plan.name.database}.${plan.name.table} does not fit ${qualifiedName(table)}`;
  const fail = (message: string) =>
    new CdcError('TABLE_MISMATCH', `${where}: ${message}`, { table: qualifiedName(table) });
  const { version, deleted, committedAt } = options.metaColumns;
  const engine = /^(?:Replicated|Shared)?ReplacingMergeTree\(([^)]*)\)/.exec(actual.engine);
  const parameters = engine?.[1]
    ?.split(',')
    .map(text => text.trim().replaceAll('`', ''))
    .slice(-2);
  if (parameters?.[0] !== version || parameters[1] !== deleted)
    throw fail(
      `its engine is ${actual.engine.split(' ')[0]}, ReplacingMergeTree(${version}, ${deleted}) is needed`,
    );
  const meta: [string, RegExp, string][] = [
    [version, /^UInt128$/, 'UInt128'],
    [deleted, /^UInt8$/, 'UInt8'],
    [committedAt, /^DateTime64\([6-9]/, "DateTime64(6, 'UTC')"],
  ];
  for (const [name, pattern, type] of meta) {
    const found = actual.columns.get(name);
    if (!found || !pattern.test(found))
      throw fail(`column "${name}" is ${found ?? 'missing'}, ${type} is needed`);
  }
  // Rows whose values an expression makes equal would become one.
  const sortingKey = new Set(actual.sortingKey.map(({ column }) => column));
  if (sortingKey.size !== plan.orderBy.length || plan.orderBy.some(name => !sortingKey.has(name)))
    throw fail(
      `its ORDER BY is (${actual.sortingKey.map(({ column, sql }) => column ?? sql).join(', ')}), (${plan.orderBy.join(', ')}) is needed`,
    );
  for (const column of table.columns) {
    const type = actual.columns.get(column.name);
    if (!type)
      throw fail(
        `column "${column.name}" is missing, ${plan.columns.find(c => c.name === column.name)!.type} is needed`,
      );
    const { onInvalid } = options.column(table.schema, table.name, column.name);
    const codec = withTable(table, () => codecFor(column, type, onInvalid));
    const found = `column "${column.name}" is ${type}`;
    const planned = plan.columns.find(({ name }) => name === column.name)!.type;
    if (onInvalid === 'string' && isString(planned) && !isString(type))
      throw fail(`${found}, but has onInvalid: string: ${planned} is needed`);
    if (!codec.canBeNullable || splitNullable(type).nullable) continue;
    if (!column.notNull) throw fail(`${found}, but may be NULL in PostgreSQL: Nullable is needed`);
    if (onInvalid === 'null') throw fail(`${found}, but has onInvalid: null: Nullable is needed`);
  }
}

function isString(type: string): boolean {
  return splitNullable(type).type === 'String';
}
