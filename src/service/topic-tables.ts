import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { parseLsn } from '../core/lsn.ts';
import { qualifiedName, type Relation, type Table } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { quoteIdentifier, quoteTableName, targetName } from '../sinks/clickhouse/names.ts';
import type { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { SinkTable, truncateVersion } from '../sinks/clickhouse/sink-table.ts';
import {
  buildCreateDatabaseSql,
  createTable,
  inspectTarget,
  onCluster,
  planTarget,
} from '../sinks/clickhouse/target.ts';
import { addColumns } from './added-columns.ts';
import { type connectClickHouse, targetOptions } from './clickhouse-address.ts';
import { compareColumns, knownColumns } from './column-changes.ts';
import { requireOwnTable } from './pipeline-claims.ts';
import type { SourceCatalog } from './source-catalog.ts';
import { describeTopicTable } from './topic-table.ts';
import { notEmpty, planTopicTarget } from './topic-table-fit.ts';

export interface TopicTablesOptions {
  config: Config;
  log: Log;
  metrics: Metrics;
  keepRows: boolean;
  clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  control: ControlTables;
  sink: ClickHouseSink;
  epoch: number;
  /** Without `postgres.url` there is none. */
  catalog: SourceCatalog | undefined;
}

/** The tables of mode `cdc`: they come up with the first message of their topics. */
export class TopicTables {
  readonly #options: TopicTablesOptions;
  /** By `schema.table`; also of tables that no message has come for yet. */
  #saved = new Map<string, TableState>();
  readonly #leftOut = new Set<string>();
  /** Changes of stopped tables whose offsets may be saved. */
  readonly #skipped = new WeakMap<SinkTable, number>();

  constructor(options: TopicTablesOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    const rows = await this.#options.control.loadTables();
    this.#saved = new Map(rows.map(row => [qualifiedName(row), row.state]));
  }

  /**
   * The table of a relation that no table is registered for; `undefined` when it is not wanted, or there is none to truncate.
   * Trouble with it stops only this one.
   */
  async adopt(relation: Relation): Promise<SinkTable | undefined> {
    const { config, log, sink } = this.#options;
    const name = qualifiedName(relation);
    if (!matchesPattern(config.tables, config.exclude, relation.schema, relation.name)) {
      if (!this.#leftOut.has(name)) log.info({ table: name }, 'left out: no pattern of "tables" matches');
      this.#leftOut.add(name);
      return undefined;
    }
    const table = await this.#register(relation);
    if (!table) return undefined;
    sink.tables.set(relation.id, table);
    this.#options.metrics.setTableState(table.name, table.state.phase);
    return table;
  }

  async #register(relation: Relation): Promise<SinkTable | undefined> {
    const { config, epoch } = this.#options;
    const saved = this.#saved.get(qualifiedName(relation));
    try {
      return await this.#prepare(relation, saved);
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.action !== 'stop-table') throw failure;
      const options = targetOptions(config);
      const table: Table = { ...relation, columns: [], keyRule: 'keyless', key: [] };
      const name = targetName(options.database, relation);
      const plan = { name, columns: [], orderBy: [], partitionBy: undefined, nullFlags: new Map() };
      const state = saved ?? newState(table, name, epoch);
      const stopped = new SinkTable(table, plan, new Map(), state, options, epoch);
      if (state.phase !== 'stopped') await this.#options.sink.stopTable(stopped, failure, '0/0');
      return stopped;
    }
  }

  async #prepare(relation: Relation, saved: TableState | undefined): Promise<SinkTable | undefined> {
    const { config, epoch, keepRows, log, sink, catalog } = this.#options;
    const { clickhouse, capabilities } = this.#options.clickhouse;
    const options = targetOptions(config);
    const name = targetName(options.database, relation);
    const source = await catalog?.describe(relation.schema, relation.name);
    let actual = await inspectTarget(clickhouse, name);
    // A truncate before any row, of a table that is not there: nothing to remove.
    if (!actual && relation.columns.length === 0) return undefined;
    const metaColumns = Object.values(config.metaColumns);
    const { connector } = config.kafka;
    const table = describeTopicTable({ relation, source, actual, metaColumns, connector });
    const plan = planTopicTarget(table, actual, config, capabilities);
    await requireOwnTable(config, this.#options.control, table, plan.name);
    if (!actual) {
      await clickhouse.command(buildCreateDatabaseSql(name.database, options));
      await createTable(clickhouse, plan, options);
      actual = (await inspectTarget(clickhouse, name))!;
      log.info({ table: qualifiedName(relation), target: `${name.database}.${name.table}` }, 'table created');
    }
    if (!saved && actual.rows > 0) {
      // Of another instance, which notes the table before it writes to it.
      await this.load();
      saved = this.#saved.get(qualifiedName(relation));
      if (!saved && !keepRows) throw notEmpty(relation, actual, name);
    }
    const state = saved ? ofEpoch(saved, epoch) : newState(table, name, epoch);
    const result = new SinkTable(table, plan, actual.columns, state, options, epoch);
    // Without a source to look rows up at, none ever comes from a later time than its place in the stream.
    if (!catalog) result.settledAt = 0n;
    if (!saved) await sink.saveTable(result);
    this.#warnOfAbsent(relation, table, source?.columns ?? []);
    return result;
  }

  /** Columns that the connector leaves out, on purpose or not, are for somebody to know of. */
  #warnOfAbsent(relation: Relation, { key }: Table, columns: Table['columns']): void {
    const isInMessages = (name: string) => relation.columns.some(column => column.name === name);
    const isWhole = relation.columns.some(({ name }) => !key.includes(name));
    const absent = columns.map(({ name }) => name).filter(name => !isInMessages(name));
    if (isWhole && absent.length > 0)
      this.#options.log.warn(
        { table: qualifiedName(relation), columns: absent },
        'messages lack columns that the table has: they stay empty. See "What Debezium changes" in docs/types.md',
      );
  }

  /** Makes columns of `relation` that ClickHouse does not have yet. */
  async addColumns(table: SinkTable, relation: Relation): Promise<void> {
    const { config, catalog, log, sink } = this.#options;
    const { clickhouse, capabilities } = this.#options.clickhouse;
    const options = targetOptions(config);
    const source = await catalog?.describe(relation.schema, relation.name);
    const announced = relation.columns.filter(column => !table.types.has(column.name));
    if (source && announced.every(({ name }) => source.columns.some(column => column.name === name))) {
      const { rewritten } = compareColumns(table.state.columns, source.columns);
      if (rewritten)
        throw new CdcError('SCHEMA_CHANGED', `table ${table.name}: ${rewritten}`, { table: table.name });
      const names = new Set(source.columns.map(({ name }) => name).filter(name => !table.types.has(name)));
      await catalog!.use(client =>
        addColumns(client, clickhouse, table, source, { names, shared: true }, options, capabilities),
      );
    } else {
      const actual = await inspectTarget(clickhouse, table.plan.name);
      const described = describeTopicTable({
        relation,
        source: table.table,
        actual,
        metaColumns: Object.values(config.metaColumns),
        connector: config.kafka.connector,
      });
      const columns = described.columns.map(column =>
        announced.some(({ name }) => name === column.name) ? { ...column, notNull: false } : column,
      );
      const plan = planTarget({ ...described, columns }, options, capabilities);
      for (const { name, type } of plan.columns.filter(column => !actual!.columns.has(column.name)))
        await clickhouse.command(
          `ALTER TABLE ${quoteTableName(plan.name)}${onCluster(options)} ADD COLUMN IF NOT EXISTS ${quoteIdentifier(name)} ${type}`,
        );
      const now = await inspectTarget(clickhouse, plan.name);
      table.adopt({ ...described, columns }, now!.columns);
    }
    log.info({ table: table.name, columns: announced.map(({ name }) => name) }, 'columns added');
    table.state.columns = knownColumns(table.table.columns);
    await sink.saveTable(table);
  }

  /**
   * What other instances of the group have seen: a truncate reaches one of them only, and rows of before it may come to any.
   * As of the last `load`. Not while a batch is written.
   */
  async learn(): Promise<void> {
    const { sink } = this.#options;
    for (const [id, table] of sink.tables) {
      const saved = this.#saved.get(table.name);
      if (!saved) continue;
      if (table.state.phase === 'stopped') {
        // With its next change it comes up anew.
        if (!saved.stopped) sink.tables.delete(id);
      } else if (saved.stopped) {
        table.state.phase = 'stopped';
        table.state.stopped = saved.stopped;
        this.#options.metrics.setTableState(table.name, 'stopped');
      } else if (isLater(saved.truncated, table.state.truncated))
        await sink.deleteTruncated(table, saved.truncated!);
      else if (isLater(table.state.truncated, saved.truncated)) await sink.saveTable(table);
      if (saved.base !== table.state.base) {
        // Its rows were copied afresh: they are of later than those of the stream.
        if (saved.base === undefined) delete table.state.base;
        else table.state.base = saved.base;
        if (this.#options.catalog) table.settledAt = undefined;
      }
    }
  }

  /**
   * Throws TABLE_RESUMED when changes of a table were left out that another process has brought back since: their offsets must
   * not be saved.
   */
  async requireStopped(): Promise<void> {
    const left = [...this.#options.sink.tables.values()].filter(
      table => table.state.phase === 'stopped' && table.skipped > (this.#skipped.get(table) ?? 0),
    );
    if (left.length === 0) return;
    const counts = left.map(table => [table, table.skipped] as const);
    await this.load();
    for (const [table, skipped] of counts) {
      const saved = this.#saved.get(table.name);
      if (saved && !saved.stopped)
        throw new CdcError('TABLE_RESUMED', `table ${table.name} goes on again`, { table: table.name });
      this.#skipped.set(table, skipped);
    }
  }

  /**
   * Removes rows of before a truncate once more: an instance that died after it wrote them, and before it heard of the truncate,
   * has left them. To be called when its partitions have come.
   */
  async removeTruncated(): Promise<void> {
    const { clickhouse } = this.#options.clickhouse;
    const { config, epoch, sink } = this.#options;
    const { versions } = targetOptions(config);
    await this.load();
    for (const saved of this.#saved.values()) {
      const state = ofEpoch(saved, epoch);
      const version = truncateVersion(state, epoch, versions);
      if (version !== undefined && (await inspectTarget(clickhouse, state.target)))
        await sink.deleteBelow(state.target, version);
    }
  }
}

function newState(table: Table, target: TableState['target'], epoch: number): TableState {
  const { keyRule, key } = table;
  const columns = knownColumns(table.columns);
  return { epoch, phase: 'streaming', target, keyRule, key, columns, live: true, copiedRows: 0 };
}

/** Positions of an earlier epoch say nothing. */
function ofEpoch(state: TableState, epoch: number): TableState {
  if (state.epoch === epoch) return state;
  const { truncated: _, ...rest } = state;
  return { ...rest, epoch };
}

function isLater(a: TableState['truncated'], b: TableState['truncated']): boolean {
  if (!a) return false;
  if (!b) return true;
  const [commitA, commitB] = [parseLsn(a.commitLsn), parseLsn(b.commitLsn)];
  return commitA > commitB || (commitA === commitB && parseLsn(a.changeLsn) > parseLsn(b.changeLsn));
}
