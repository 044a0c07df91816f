import type { Config } from '../config.ts';
import { asCdcError, type CdcError, type ErrorCode } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import { ControlTables, controlDatabase } from '../sinks/clickhouse/control-tables.ts';
import { quoteString } from '../sinks/clickhouse/names.ts';
import { buildCreateDatabaseSql, buildCreateTableSql } from '../sinks/clickhouse/target.ts';
import { buildAddTablesSql, buildCreatePublicationSql } from '../sources/wal/publication.ts';
import { buildCreateSlotSql, checkSlot, inspectSlot } from '../sources/wal/slot.ts';
import { connectClickHouse, findClickHouse, targetOptions } from './clickhouse-address.ts';
import { readSavedState } from './saved-state.ts';
import { openSource, type PublishedScope, resolveScope, type SourceSession } from './source-setup.ts';
import { fitTables, type TableFit } from './table-fit.ts';

/** An object that `run` needs: it would be made, is there already, cannot be told yet, or stands in the way. */
export interface PlanStep {
  server: 'PostgreSQL' | 'ClickHouse';
  /** As in `publication wal_cdc_default`. */
  object: string;
  status: 'create' | 'exists' | 'unknown' | 'problem';
  /** The statement that `run` would send, or that would make what fits. */
  sql?: string;
  /** What is to be known about it. */
  note?: string;
  problem?: { code: ErrorCode; message: string; hint: string };
}

export interface Plan {
  steps: PlanStep[];
  /** False when the plan is made for an empty ClickHouse, since none was there to look at. */
  sawClickHouse: boolean;
}

type Sink = Awaited<ReturnType<typeof connectClickHouse>>;

/** What `run` would make at its start. Changes nothing. */
export async function planPipeline(config: Config): Promise<Plan> {
  const opened = await findClickHouse(config);
  const sink = opened && (await connectClickHouse(opened.address));
  let source: SourceSession | undefined;
  try {
    source = await openSource(config.postgres.address!);
    const scope = await resolveScope(source, config);
    const capabilities = sink?.capabilities ?? { time64: true };
    const { states } = await readSavedState(config, sink?.clickhouse);
    const fits = await fitTables(scope.tables, config, states, sink?.clickhouse, capabilities);
    const steps = [
      planPublication(config, scope),
      await planSlot(source, config),
      ...(await planDatabases(config, fits, sink)),
      ...fits.map(fit => planTable(config, fit)),
      ...scope.skipped.map(
        ({ name, reason }): PlanStep => ({
          server: 'ClickHouse',
          object: `table for ${name}`,
          status: 'exists',
          note: `left out: ${reason}`,
        }),
      ),
    ];
    return { steps, sawClickHouse: sink !== undefined };
  } finally {
    await source?.client.end().catch(() => {});
    await sink?.clickhouse.close();
  }
}

function planPublication(config: Config, { publication, missing }: PublishedScope): PlanStep {
  const { publication: name } = config.postgres;
  const step = { server: 'PostgreSQL', object: `publication ${name}` } as const;
  if (!publication) return { ...step, status: 'create', sql: buildCreatePublicationSql(name, missing) };
  if (missing.length > 0)
    return {
      ...step,
      status: 'create',
      sql: buildAddTablesSql(name, missing),
      note: `exists without ${missing.map(qualifiedName).join(', ')}`,
    };
  return { ...step, status: 'exists' };
}

async function planSlot({ client, info }: SourceSession, config: Config): Promise<PlanStep> {
  const { slot } = config.postgres;
  const step = { server: 'PostgreSQL', object: `replication slot ${slot}` } as const;
  const state = await inspectSlot(client, slot, info.serverVersion);
  if (!state) return { ...step, status: 'create', sql: buildCreateSlotSql(slot, info.serverVersion) };
  try {
    checkSlot(slot, { ...state, activePid: null }, info.database);
  } catch (error) {
    return { ...step, status: 'problem', problem: describeProblem(asCdcError(error)) };
  }
  const note = state.activePid === null ? undefined : `in use by process ${state.activePid}`;
  return { ...step, status: 'exists', ...(note && { note }) };
}

/** Databases and the service's own tables. */
export async function planDatabases(
  config: Config,
  fits: readonly Pick<TableFit, 'plan'>[],
  sink: Sink | undefined,
): Promise<PlanStep[]> {
  const databases = new Set(fits.flatMap(fit => (fit.plan ? [fit.plan.name.database] : [])));
  const query = async (sql: string) =>
    new Set(sink ? (await sink.clickhouse.query<{ name: string }>(sql)).map(row => row.name) : []);
  const existing = await query('SELECT name FROM system.databases');
  const ownTables = await query(
    `SELECT name FROM system.tables WHERE database = ${quoteString(controlDatabase)}`,
  );
  const options = targetOptions(config);
  return [
    ...[...databases].map(name =>
      clickHouseStep(`database ${name}`, existing.has(name), buildCreateDatabaseSql(name, options)),
    ),
    ...ControlTables.createSql(config.clickhouse.cluster).map(sql => {
      const table = /^CREATE TABLE IF NOT EXISTS \w+\.(\w+)/.exec(sql)?.[1];
      return table
        ? clickHouseStep(`table ${controlDatabase}.${table}`, ownTables.has(table), sql)
        : clickHouseStep(`database ${controlDatabase}`, existing.has(controlDatabase), sql);
    }),
  ];
}

function clickHouseStep(object: string, exists: boolean, sql: string): PlanStep {
  const step = { server: 'ClickHouse', object } as const;
  return exists ? { ...step, status: 'exists' } : { ...step, status: 'create', sql };
}

export function planTable(
  config: Config,
  { name, plan, actual, state, problem }: Omit<TableFit, 'source'>,
): PlanStep {
  const step = {
    server: 'ClickHouse',
    object: plan ? `table ${plan.name.database}.${plan.name.table} for ${name}` : `table for ${name}`,
  } as const;
  const sql = plan && buildCreateTableSql(plan, targetOptions(config));
  if (problem) return { ...step, status: 'problem', problem: describeProblem(problem), ...(sql && { sql }) };
  if (!actual) return { ...step, status: 'create', sql: sql! };
  const isCopied = !state && config.snapshot === 'initial' && actual.rows > 0;
  const note = isCopied
    ? `fits; its ${actual.rows} rows are replaced by a copy, which is made beside it`
    : state
      ? `fits; ${state.phase}`
      : 'fits';
  return { ...step, status: 'exists', note };
}

export function describeProblem({ code, message, hint }: CdcError): PlanStep['problem'] {
  return { code, message, hint };
}
