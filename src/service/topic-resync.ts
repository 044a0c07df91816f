import type pg from 'pg';
import type { Config } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { quoteTableName } from '../sinks/clickhouse/names.ts';
import { exchangeMarks } from '../sinks/clickhouse/shadow-mark.ts';
import type { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import {
  checkTarget,
  createTable,
  inspectTarget,
  planTarget,
  type TargetPlan,
} from '../sinks/clickhouse/target.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import type { CopyOutcome } from './await-copies.ts';
import { type ClickHouseAddress, connectClickHouse, targetOptions } from './clickhouse-address.ts';
import { knownColumns } from './column-changes.ts';
import { findInvalidValue } from './invalid-values.ts';
import { runUntilAborted } from './run-until-aborted.ts';
import { createShadow } from './shadow.ts';
import { SourceCatalog } from './source-catalog.ts';
import { SourceRows } from './source-rows.ts';
import { TableCopier } from './table-copier.ts';
import { requireReadable } from './table-register.ts';
import { TopicSink } from './topic-sink.ts';

export interface TopicResyncOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  /** `schema.table`. */
  tables: readonly string[];
  log: Log;
  signal: AbortSignal;
}

const copyWorkers = 2;

/**
 * Copies tables of a pipeline in mode `cdc` afresh from PostgreSQL: in place, since several instances write them. The rows get
 * the version of a marker in the log: whatever committed before it is in the copy, and whatever the connector delivers of
 * later beats it. In the end what is older than the copy is removed, as after a truncate, which the instances learn of.
 */
export async function resyncTopics(options: TopicResyncOptions): Promise<CopyOutcome[]> {
  const { config, log } = options;
  const clickhouse = await connectClickHouse(options.clickhouse);
  const address = config.postgres.address!;
  const catalog = new SourceCatalog(address);
  const rows = new SourceRows(address);
  try {
    const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
    const checkpoint = (await control.exists()) ? await control.loadCheckpoint() : undefined;
    if (!checkpoint)
      throw new CdcError(
        'NO_TABLES',
        `pipeline "${config.pipeline}" has not run yet: there is nothing to copy afresh`,
      );
    const saved = await control.loadTables();
    const unknown = options.tables.filter(name => !saved.some(table => qualifiedName(table) === name));
    if (unknown.length > 0)
      throw new CdcError('NO_TABLES', `the pipeline does not replicate ${unknown.join(', ')}`, {
        hint: `It replicates ${saved.map(qualifiedName).join(', ') || 'nothing yet'}.`,
      });
    const topics = new TopicSink({
      config,
      clickhouse,
      control: new WithoutProgress(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster),
      checkpoint,
      metrics: new Metrics(),
      log,
      keepRows: false,
    });
    await topics.load();
    const own = {
      ...options,
      catalog,
      rows,
      control,
      epoch: checkpoint.epoch,
      sink: topics.sink,
      clickhouse,
    };
    try {
      const outcomes: CopyOutcome[] = [];
      for (const table of saved)
        if (options.tables.includes(qualifiedName(table))) outcomes.push(await copyAfresh(own, table));
      return outcomes;
    } finally {
      await topics.close();
    }
  } finally {
    await rows.close();
    await catalog.close();
    await clickhouse.clickhouse.close();
  }
}

/** Instances write what is saved of a table too: how far a copy is stays here, and one that breaks off begins anew. */
class WithoutProgress extends ControlTables {
  override async saveTable(): Promise<void> {}
}

interface Resync extends Omit<TopicResyncOptions, 'clickhouse'> {
  clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  catalog: SourceCatalog;
  rows: SourceRows;
  control: ControlTables;
  epoch: number;
  /** Saves no states. */
  sink: ClickHouseSink;
}
type SavedTable = Awaited<ReturnType<ControlTables['loadTables']>>[number];

async function copyAfresh(own: Resync, { schema, name, state }: SavedTable): Promise<CopyOutcome> {
  const { config, catalog, rows, control, epoch } = own;
  const table = qualifiedName({ schema, name });
  const source = await catalog.describe(schema, name);
  if (!source) throw new CdcError('NO_TABLES', `table ${table} is not in the database any more`);
  requireCopyable(source);
  return catalog.use(client =>
    withLock(client, config, table, async () => {
      const options = targetOptions(config);
      const plan = planTarget(source, options, own.clickhouse.capabilities);
      const types = await makeFit(own, source, plan, state);
      const base = await rows.settle();
      const { truncated } = state;
      const { key, keyRule } = source;
      const begun: TableState = {
        epoch,
        phase: 'streaming',
        target: plan.name,
        keyRule,
        key,
        columns: knownColumns(source.columns),
        base: formatLsn(base),
        live: true,
        copiedRows: 0,
        truncated,
      };
      const copy = new SinkTable(source, plan, types, { ...begun, phase: 'copying' }, options, epoch);
      const invalid = copy.setsAside ? undefined : await findInvalidValue(client, source, copy);
      if (invalid) throw invalid;
      // From here on every instance writes it again, if it was stopped.
      await control.saveTable({ schema, name }, begun);
      await copyRows(own, source, copy);
      const { copiedRows, stopped } = copy.state;
      if (stopped) {
        await control.saveTable({ schema, name }, { ...begun, phase: 'stopped', stopped });
        return { name: table, copiedRows, reason: stopped };
      }
      await removeOlder(own, source, plan, types, base, copiedRows);
      return { name: table, copiedRows };
    }),
  );
}

function requireCopyable(source: SourceTable): void {
  requireReadable(source);
  if (source.key.length > 0) return;
  const table = qualifiedName(source);
  throw new CdcError(
    'TABLE_UNSUPPORTED',
    `table ${table} has no key: rows that are copied could not be told from those of its topic`,
    { table, hint: 'Give it a primary key, or use mode wal, which copies such tables too.' },
  );
}

/** One resync of a table at a time, whoever runs it. */
async function withLock<T>(
  client: pg.Client,
  { pipeline }: Config,
  table: string,
  run: () => Promise<T>,
): Promise<T> {
  const key = [`wal-cdc resync ${pipeline}`, table];
  const { rows } = await client.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_lock(hashtext($1), hashtext($2)) AS locked',
    key,
  );
  if (!rows[0]!.locked)
    throw new CdcError('PIPELINE_RUNNING', `table ${table} is being copied afresh already`, {
      table,
      hint: 'Wait for the other "wal-cdc resync", or stop it.',
    });
  try {
    return await run();
  } finally {
    await client.query('SELECT pg_advisory_unlock(hashtext($1), hashtext($2))', key);
  }
}

/** The ClickHouse table, made anew where a table that is stopped does not fit any more. Returns its types by column. */
async function makeFit(
  { config, clickhouse: { clickhouse }, epoch }: Resync,
  source: SourceTable,
  plan: TargetPlan,
  state: TableState,
): Promise<Map<string, string>> {
  const options = targetOptions(config);
  const actual = await inspectTarget(clickhouse, plan.name);
  if (actual) {
    try {
      checkTarget(source, plan, actual, options);
      return actual.columns;
    } catch (error) {
      // Instances that write it would write into another table than they think.
      if (state.phase !== 'stopped') throw error;
    }
    const table = new SinkTable(source, plan, new Map(), { ...state, live: false }, options, epoch);
    await createShadow(clickhouse, table, options);
    await clickhouse.command(
      `EXCHANGE TABLES ${quoteTableName(plan.name)} AND ${quoteTableName(table.shadow!)}`,
    );
    await exchangeMarks(clickhouse, plan.name, table.shadow!);
    await clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(table.shadow!)} SYNC`);
  } else await createTable(clickhouse, plan, options);
  return (await inspectTarget(clickhouse, plan.name))!.columns;
}

async function copyRows(own: Resync, source: SourceTable, table: SinkTable): Promise<void> {
  const { config, sink, log, rows, signal } = own;
  const copier = new TableCopier({
    address: config.postgres.address!,
    clickhouse: own.clickhouse.clickhouse,
    target: targetOptions(config),
    sink,
    metrics: new Metrics(),
    log,
    parallel: copyWorkers,
    settleSource: () => rows.settle(),
    between: task => task(),
  });
  await runUntilAborted({ run: () => copier.run([{ source, table }]), stop: () => copier.stop() }, signal);
}

async function removeOlder(
  { config, control, epoch, sink }: Resync,
  source: SourceTable,
  plan: TargetPlan,
  types: Map<string, string>,
  base: Lsn,
  copiedRows: number,
): Promise<void> {
  if ((await control.loadCheckpoint())?.epoch !== epoch)
    throw new CdcError('TOPIC_RECREATED', 'a topic was created again while the table was copied', {
      hint: 'Run the same resync again.',
    });
  const saved = (await control.loadTables()).find(table => qualifiedName(table) === qualifiedName(source));
  if (!saved) return; // torn down meanwhile
  const options = targetOptions(config);
  const table = new SinkTable(source, plan, types, { ...saved.state, copiedRows }, options, epoch);
  const emptied = saved.state.truncated;
  // Of a truncate that came while rows were copied.
  const truncated = table.isBehindTruncate({ commitLsn: base, changeLsn: 0n })
    ? emptied!
    : { commitLsn: formatLsn(base), changeLsn: formatLsn(0n) };
  // What the instances must know before anything is deleted.
  await control.saveTable(source, { ...table.state, truncated });
  await sink.deleteTruncated(table, truncated);
}
