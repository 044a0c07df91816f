import type { Config } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { qualifiedName, type Relation, type Table } from '../core/relation.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { targetName } from '../sinks/clickhouse/names.ts';
import {
  type ActualTarget,
  checkTarget,
  inspectTarget,
  planTarget,
  type TargetPlan,
} from '../sinks/clickhouse/target.ts';
import type { ServerCapabilities } from '../sinks/clickhouse/types/registry.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { targetOptions } from './clickhouse-address.ts';
import type { SourceCatalog } from './source-catalog.ts';
import type { TableFit } from './table-fit.ts';
import { describeTopicTable } from './topic-table.ts';

/** A table of topics beside what `run` would make for it or use. */
export type TopicTableFit = Omit<TableFit, 'source'> & {
  /** As PostgreSQL has it, where it can be asked. */
  source?: SourceTable;
  /** Types and key as they were found out. */
  table?: Table;
};

export interface TopicTableFitOptions {
  config: Config;
  states: ReadonlyMap<string, TableState>;
  catalog: SourceCatalog | undefined;
  /** Undefined: as if it were empty. */
  clickhouse: ClickHouse | undefined;
  capabilities: ServerCapabilities;
}

/** Looks at a table as `run` does when its first message comes, without making anything. */
export async function fitTopicTable(
  relation: Relation,
  options: TopicTableFitOptions,
): Promise<TopicTableFit> {
  const name = qualifiedName(relation);
  const fit: TopicTableFit = { name, state: options.states.get(name) };
  try {
    await fill(fit, relation, options);
  } catch (error) {
    const failure = asCdcError(error);
    if (failure.action !== 'stop-table') throw failure;
    fit.problem ??= failure;
  }
  return fit;
}

async function fill(
  fit: TopicTableFit,
  relation: Relation,
  { config, catalog, clickhouse, capabilities }: TopicTableFitOptions,
): Promise<void> {
  const { state } = fit;
  if (state?.stopped) {
    const { code, message, hint } = state.stopped;
    fit.problem = new CdcError(code as CdcError['code'], message, { hint, table: fit.name });
  }
  const target = targetName(config.clickhouse.database, relation);
  fit.source = await catalog?.describe(relation.schema, relation.name);
  if (clickhouse) fit.actual = await inspectTarget(clickhouse, target);
  const { source, actual } = fit;
  fit.table = describeTopicTable({
    relation,
    source,
    actual,
    metaColumns: Object.values(config.metaColumns),
    connector: config.kafka.connector,
  });
  fit.plan = planTopicTarget(fit.table, actual, config, capabilities);
  if (actual && !state && actual.rows > 0) throw notEmpty(relation, actual, target);
}

/** What the ClickHouse table should be. @throws CdcError when the one that is there does not fit */
export function planTopicTarget(
  table: Table,
  actual: ActualTarget | undefined,
  config: Config,
  capabilities: ServerCapabilities,
): TargetPlan {
  const options = targetOptions(config);
  const plan = planTarget(table, options, capabilities);
  if (actual) {
    // Columns that it lacks are added with the first row.
    const present = { ...table, columns: table.columns.filter(column => actual.columns.has(column.name)) };
    checkTarget(present, planTarget(present, options, capabilities), actual, options);
  }
  return plan;
}

export function notEmpty(relation: Relation, actual: ActualTarget, name: TableState['target']): CdcError {
  return new CdcError(
    'TABLE_NOT_EMPTY',
    `ClickHouse table ${name.database}.${name.table} has ${actual.rows} rows that no checkpoint explains`,
    { table: qualifiedName(relation), hint: 'Empty it, or pass --keep-rows when these rows are meant.' },
  );
}
