import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { ControlTables, controlDatabase } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import {
  quoteIdentifier,
  quoteString,
  quoteTableName,
  shadowName,
  type TableName,
} from '../sinks/clickhouse/names.ts';
import { inspectTarget, onCluster } from '../sinks/clickhouse/target.ts';
import { dropPublication, inspectPublication } from '../sources/wal/publication.ts';
import { dropSlot, inspectSlot } from '../sources/wal/slot.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';
import { askService } from './running-service.ts';
import { readSavedState } from './saved-state.ts';
import { openSource, type SourceSession } from './source-setup.ts';
import { dropGroup } from './teardown-group.ts';

export interface TeardownStep {
  /** As in `replication slot wal_cdc_default`. */
  object: string;
  outcome: 'dropped' | 'left' | 'absent';
  /** Why it was left. */
  reason?: string;
}

export interface TeardownOptions {
  config: Config;
  /** Undefined: the embedded one, which has never run here. */
  clickhouse: ClickHouseAddress | undefined;
  /** Drops the ClickHouse tables of the pipeline too. */
  data: boolean;
  onStep(step: TeardownStep): void;
}

/**
 * Drops what the pipeline made. What was saved about it goes last, so that a teardown that broke off can be run again.
 * Throws SLOT_IN_USE or PIPELINE_RUNNING, before anything is dropped, while the service runs.
 */
export async function tearDown(options: TeardownOptions): Promise<void> {
  const { config, onStep } = options;
  let source: SourceSession | undefined;
  let sink: Sink | undefined;
  let unreachable: CdcError | undefined;
  try {
    if (config.mode === 'wal') {
      // A slot keeps WAL for as long as it is there: it goes even when ClickHouse does not answer.
      source = await openSource(config.postgres.address!);
      await dropOwnSlot(source, config, onStep);
      await dropOwnPublication(source, config, onStep);
    } else {
      await requireNotRunning(config);
      sink = options.clickhouse && (await openSink(options, options.clickhouse));
      await requireOwnCheckpoint(config, sink?.clickhouse);
      if (config.mode === 'cdc') unreachable = await dropGroup(config, onStep);
    }
    if (options.clickhouse) {
      sink ??= await openSink(options, options.clickhouse);
      await forgetPipeline(options, sink.clickhouse);
    }
    if (unreachable) throw unreachable;
  } finally {
    await source?.client.end().catch(() => {});
    await sink?.clickhouse.close();
  }
}

async function openSink(options: TeardownOptions, address: ClickHouseAddress): Promise<Sink> {
  try {
    return await connectClickHouse(address);
  } catch (error) {
    throw leftBehind(options, savedObject(options.config), asCdcError(error));
  }
}

function savedObject({ pipeline }: Config): string {
  return `what ${controlDatabase} has of pipeline ${pipeline}`;
}

async function forgetPipeline(
  { config, data, onStep }: TeardownOptions,
  clickhouse: ClickHouse,
): Promise<void> {
  const control = new ControlTables(clickhouse, config.pipeline, config.clickhouse.cluster);
  const known = await control.exists();
  const left = known ? await leftTables(clickhouse, control) : [];
  const recorded = known ? (await control.loadTables()).map(({ state }) => state.target) : [];
  const targets = [...recorded, ...left.filter(target => !recorded.some(other => isSame(other, target)))];
  if (data) await dropTables(clickhouse, config, targets, onStep);
  else
    for (const target of targets)
      onStep({
        object: `table ${target.database}.${target.table}`,
        outcome: 'left',
        reason: 'only --data drops it',
      });
  const isNoted = (known && (await hasRows(control))) || (data && left.length > 0);
  if (isNoted) await control.forget(data ? [] : targets);
  onStep({ object: savedObject(config), outcome: isNoted ? 'dropped' : 'absent' });
  await forgetLetters(new DeadLetters(clickhouse, config.pipeline), config, data, onStep);
  if (known && data) await dropControlDatabase(clickhouse, config, onStep);
}

/** Says what of ClickHouse is left, in steps and in the error. */
function leftBehind({ data, onStep }: TeardownOptions, object: string, failure: CdcError): CdcError {
  const what = data ? `${object}, and its tables` : object;
  onStep({ object: what, outcome: 'left', reason: failure.message });
  return new CdcError(failure.code, `ClickHouse still has ${what}: ${failure.message}`, {
    cause: failure,
    hint: `${failure.hint} Run the same teardown again when ClickHouse answers.`,
  });
}

export type OnStep = TeardownOptions['onStep'];
type Sink = Awaited<ReturnType<typeof connectClickHouse>>;

/** There is no slot to tell: the service is asked, where it would listen. */
async function requireNotRunning(config: Config): Promise<void> {
  const answer = await askService(config);
  if (answer?.status.pipeline === config.pipeline)
    throw new CdcError(
      'PIPELINE_RUNNING',
      `the service of pipeline "${config.pipeline}" answers at ${answer.url}`,
    );
}

/** What another mode made at the source would be left there, unseen. */
async function requireOwnCheckpoint(config: Config, clickhouse: ClickHouse | undefined): Promise<void> {
  const { checkpoint } = await readSavedState(config, clickhouse);
  if (checkpoint && checkpoint.mode !== config.mode)
    throw new CdcError(
      'CONFIG_INVALID',
      `pipeline "${config.pipeline}" was run in mode ${checkpoint.mode}, not ${config.mode}`,
      { hint: `Tear it down with --mode ${checkpoint.mode}, or name another one with --pipeline.` },
    );
}

async function dropOwnSlot({ client, info }: SourceSession, config: Config, onStep: OnStep): Promise<void> {
  const { slot, slotGiven } = config.postgres;
  const object = `replication slot ${slot}`;
  const state = await inspectSlot(client, slot, info.serverVersion);
  if (state?.activePid)
    throw new CdcError(
      'SLOT_IN_USE',
      `${object} is in use by process ${state.activePid} of PostgreSQL${state.activeBy ? ` (${state.activeBy})` : ''}`,
      { hint: 'Stop the service that streams from it first.' },
    );
  if (!state) onStep({ object, outcome: 'absent' });
  else if (slotGiven) onStep({ object, outcome: 'left', reason: 'postgres.slot names it: it is yours' });
  else if (state.database !== info.database)
    onStep({ object, outcome: 'left', reason: `it is of database ${state.database ?? 'none'}` });
  else {
    await dropSlot(client, slot);
    onStep({ object, outcome: 'dropped' });
  }
}

async function dropOwnPublication(
  { client, info }: SourceSession,
  config: Config,
  onStep: OnStep,
): Promise<void> {
  const { publication, publicationGiven } = config.postgres;
  const object = `publication ${publication}`;
  if (!(await inspectPublication(client, publication, info.serverVersion)))
    onStep({ object, outcome: 'absent' });
  else if (publicationGiven)
    onStep({ object, outcome: 'left', reason: 'postgres.publication names it: it is yours' });
  else {
    await dropPublication(client, publication);
    onStep({ object, outcome: 'dropped' });
  }
}

async function forgetLetters(
  letters: DeadLetters,
  { pipeline }: Config,
  data: boolean,
  onStep: OnStep,
): Promise<void> {
  const count = (await letters.exists()) ? await letters.count({}) : 0;
  if (count === 0) return;
  const object = `${count} dead letters of pipeline ${pipeline}`;
  if (!data) onStep({ object, outcome: 'left', reason: 'only --data drops them' });
  else {
    await letters.forget();
    onStep({ object, outcome: 'dropped' });
  }
}

async function hasRows(control: ControlTables): Promise<boolean> {
  return (
    (await control.loadCheckpoint()) !== undefined ||
    (await control.loadTables()).length > 0 ||
    (await control.loadOffsets()).length > 0
  );
}

/** Tables of before an earlier teardown that are still there and nobody else has taken over. */
async function leftTables(clickhouse: ClickHouse, control: ControlTables): Promise<TableName[]> {
  const tables: TableName[] = [];
  for (const target of await control.loadLeft()) {
    const isThere = (await exists(clickhouse, target)) || (await hasShadow(clickhouse, target));
    if (isThere && (await control.otherWriters(target)).length === 0) tables.push(target);
  }
  return tables;
}

function isSame(one: TableName, other: TableName): boolean {
  return one.database === other.database && one.table === other.table;
}

/** Drops the tables, and databases that are empty then. */
async function dropTables(
  clickhouse: ClickHouse,
  config: Config,
  targets: readonly TableName[],
  onStep: OnStep,
): Promise<void> {
  for (const target of targets) {
    const object = `table ${target.database}.${target.table}`;
    if (await hasShadow(clickhouse, target)) await dropTable(clickhouse, config, shadowName(target), onStep);
    const actual = await inspectTarget(clickhouse, target);
    if (!actual) onStep({ object, outcome: 'absent' });
    else if (actual.made) await dropTable(clickhouse, config, target, onStep);
    else onStep({ object, outcome: 'left', reason: 'no pipeline made it: it is yours' });
  }
  for (const database of new Set(targets.map(target => target.database)))
    await dropIfEmpty(clickhouse, config, database, onStep);
}

async function exists(clickhouse: ClickHouse, { database, table }: TableName): Promise<boolean> {
  const rows = await clickhouse.query(
    `SELECT 1 FROM system.tables WHERE database = ${quoteString(database)} AND name = ${quoteString(table)}`,
  );
  return rows.length > 0;
}

/** Whether a copy that broke off left its table; one of the same name that is no shadow is somebody else's. */
async function hasShadow(clickhouse: ClickHouse, target: TableName): Promise<boolean> {
  return (await inspectTarget(clickhouse, shadowName(target)))?.shadow ?? false;
}

async function dropTable(
  clickhouse: ClickHouse,
  { clickhouse: options }: Config,
  name: TableName,
  onStep: OnStep,
): Promise<void> {
  // The limit guards against accidents; this was asked for.
  await clickhouse.command(
    `DROP TABLE IF EXISTS ${quoteTableName(name)}${onCluster(options)} SYNC SETTINGS max_table_size_to_drop = 0`,
  );
  onStep({ object: `table ${name.database}.${name.table}`, outcome: 'dropped' });
}

async function dropIfEmpty(
  clickhouse: ClickHouse,
  { clickhouse: options }: Config,
  database: string,
  onStep: OnStep,
): Promise<void> {
  const object = `database ${database}`;
  const [found] = await clickhouse.query<{ tables: string }>(
    `SELECT (SELECT count() FROM system.tables WHERE database = ${quoteString(database)}) AS tables
       FROM system.databases WHERE name = ${quoteString(database)}`,
  );
  if (!found) return;
  if (Number(found.tables) > 0)
    onStep({ object, outcome: 'left', reason: `it has other tables (${found.tables})` });
  else if (database === 'default') onStep({ object, outcome: 'left', reason: 'it is the default one' });
  else {
    await clickhouse.command(
      `DROP DATABASE IF EXISTS ${quoteIdentifier(database)}${onCluster(options)} SYNC`,
    );
    onStep({ object, outcome: 'dropped' });
  }
}

/** The service's own tables, once no pipeline has anything in them. */
async function dropControlDatabase(clickhouse: ClickHouse, config: Config, onStep: OnStep): Promise<void> {
  const tables = await clickhouse.query<{ name: string }>(
    `SELECT name FROM system.tables WHERE database = ${quoteString(controlDatabase)}`,
  );
  for (const { name } of tables) {
    const rows = await clickhouse.query(
      `SELECT 1 FROM ${quoteTableName({ database: controlDatabase, table: name })} LIMIT 1`,
    );
    if (rows.length > 0) {
      onStep({
        object: `database ${controlDatabase}`,
        outcome: 'left',
        reason: `${controlDatabase}.${name} has rows of other pipelines`,
      });
      return;
    }
  }
  await clickhouse.command(
    `DROP DATABASE IF EXISTS ${quoteIdentifier(controlDatabase)}${onCluster(config.clickhouse)} SYNC`,
  );
  onStep({ object: `database ${controlDatabase}`, outcome: 'dropped' });
}
