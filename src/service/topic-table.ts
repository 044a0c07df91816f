import { CdcError } from '../core/errors.ts';
import type { Column, KeyRule, Relation, Table, TableColumn } from '../core/relation.ts';
import { qualifiedName } from '../core/relation.ts';
import type { ActualTarget } from '../sinks/clickhouse/target.ts';
import { columnFromClickHouse, connectColumn } from '../sinks/clickhouse/types/debezium/assumed-columns.ts';
import type { ConnectorModes } from '../sinks/clickhouse/types/debezium/connector-modes.ts';

/** What is known of a table whose changes come in envelopes. */
export interface TopicTableFacts {
  /** As its messages have it. */
  relation: Relation;
  /** As PostgreSQL has it, when it can be asked and the table is there. */
  source: Table | undefined;
  /** The ClickHouse table of its name, when there is one. */
  actual: ActualTarget | undefined;
  /** Names of the columns that wal-cdc adds. */
  metaColumns: readonly string[];
  connector: ConnectorModes;
}

/**
 * The table that envelopes describe: types from PostgreSQL, else from the ClickHouse table, else from the schema in the
 * messages; the key likewise.
 * @throws CdcError TABLE_UNKNOWN when nothing says of what type a column is
 */
export function describeTopicTable(facts: TopicTableFacts): Table {
  const { relation, source } = facts;
  const known = source?.columns ?? [];
  const announced = announcedColumns(facts)
    .filter(column => !known.some(({ name }) => name === column.name))
    .map((column, i) => describeColumn(column, known.length + i + 1, facts));
  const { keyRule, key } = source && source.key.length > 0 ? source : describeKey(facts);
  return {
    id: relation.id,
    schema: relation.schema,
    name: relation.name,
    columns: [...known, ...announced].map(column =>
      key.includes(column.name) ? { ...column, notNull: true } : column,
    ),
    keyRule,
    key,
  };
}

/** A truncate that comes before any row announces nothing: then ClickHouse knows. */
function announcedColumns({
  relation,
  actual,
  metaColumns,
}: TopicTableFacts): readonly Pick<Column, 'name' | 'wire'>[] {
  if (relation.columns.length > 0 || !actual) return relation.columns;
  return [...actual.columns.keys()].filter(name => !metaColumns.includes(name)).map(name => ({ name }));
}

function describeColumn(
  column: Pick<Column, 'name' | 'wire'>,
  number: number,
  facts: TopicTableFacts,
): TableColumn {
  const { relation, actual, connector } = facts;
  const { name, wire } = column;
  const type = actual?.columns.get(name);
  if (type !== undefined) return withToast(columnFromClickHouse(name, type, connector), number);
  if (wire?.type !== undefined) return withToast(connectColumn(wire, name), number);
  const table = qualifiedName(relation);
  throw new CdcError(
    'TABLE_UNKNOWN',
    actual
      ? `table ${table} has a column "${name}" in its messages that ClickHouse does not have, and they carry no schema that says its type`
      : `nothing says of what types the columns of ${table} are: its messages carry no schema, and ClickHouse has no such table`,
    {
      table,
      hint: 'Set postgres.url, so that the catalog can be asked, or make the ClickHouse table (or column) yourself, or let the connector write schemas.',
    },
  );
}

function describeKey({ relation, source, actual, metaColumns }: TopicTableFacts): {
  keyRule: KeyRule;
  key: string[];
} {
  const { messageKey } = relation;
  const ordering = new Set(actual?.sortingKey.map(({ column }) => column));
  const sortingKey = [...(actual?.columns.keys() ?? [])].filter(
    name => ordering.has(name) && !metaColumns.includes(name),
  );
  if (sortingKey.length > 0 && !source) return { keyRule: 'clickhouse-table', key: sortingKey };
  // Also where PostgreSQL has no key: somebody has told the connector one.
  if (messageKey && messageKey.length > 0) return { keyRule: 'message-key', key: [...messageKey] };
  return { keyRule: 'keyless', key: [] };
}

/** Types whose values are never stored out of line, so that an update always carries them. */
const plainTypes =
  /^(bool|int[248]|oid|float[48]|date|timestamp|timestamptz|time|timetz|interval|uuid|money)$/;

function withToast(column: Column, number: number): TableColumn {
  return { ...column, number, toastable: column.type.kind !== 'enum' && !plainTypes.test(column.type.name) };
}
