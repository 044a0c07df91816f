import type { Config } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
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
import { requireOwnTable } from './pipeline-claims.ts';
import { requireReadable, wasRefused } from './table-register.ts';

/** A table of the source beside the ClickHouse table that `run` would make for it or use. */
export interface TableFit {
  source: SourceTable;
  name: string;
  /** Absent when no table can be made for it. */
  plan?: TargetPlan;
  /** The ClickHouse table of that name, when there is one. */
  actual?: ActualTarget;
  /** What the pipeline has saved about it. */
  state?: TableState;
  /** Why `run` would leave the table out. */
  problem?: CdcError;
}

/** Looks at the tables as `run` does at its start, without making anything. Without `clickhouse`: as if it were empty. */
export async function fitTables(
  sources: readonly SourceTable[],
  config: Config,
  states: ReadonlyMap<string, TableState>,
  clickhouse: ClickHouse | undefined,
  capabilities: ServerCapabilities,
): Promise<TableFit[]> {
  const fits: TableFit[] = [];
  const control = clickhouse && new ControlTables(clickhouse, config.pipeline, config.clickhouse.cluster);
  const known = (await control?.exists()) ? control : undefined;
  for (const source of sources) {
    const fit: TableFit = { source, name: qualifiedName(source), state: states.get(qualifiedName(source)) };
    fits.push(fit);
    try {
      await fill(fit, config, clickhouse, known, capabilities);
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.action !== 'stop-table') throw failure;
      fit.problem = failure;
    }
  }
  return fits;
}

async function fill(
  fit: TableFit,
  config: Config,
  clickhouse: ClickHouse | undefined,
  control: ControlTables | undefined,
  capabilities: ServerCapabilities,
): Promise<void> {
  const { source, state } = fit;
  const options = targetOptions(config);
  if (state?.stopped && !wasRefused(state)) {
    const { code, message, hint } = state.stopped;
    fit.problem = new CdcError(code as CdcError['code'], message, { hint, table: fit.name });
  }
  fit.plan = planTarget(source, options, capabilities);
  if (control) await requireOwnTable(config, control, source, fit.plan.name);
  if (clickhouse) fit.actual = await inspectTarget(clickhouse, fit.plan.name);
  const copiesAfresh = state !== undefined && (state.phase === 'copying' || wasRefused(state));
  // Such a table is made anew behind the live one, whatever that looks like.
  if (fit.actual && !copiesAfresh) checkTarget(source, fit.plan, fit.actual, options);
  const isCopied = state !== undefined && !copiesAfresh && fit.actual !== undefined;
  if (isCopied || fit.problem) return;
  if (config.snapshot === 'none' && !state) {
    if (fit.actual && fit.actual.rows > 0)
      throw new CdcError(
        'TABLE_NOT_EMPTY',
        `ClickHouse table ${fit.plan.name.database}.${fit.plan.name.table} has ${fit.actual.rows} rows that no checkpoint explains`,
        { table: fit.name },
      );
  } else requireReadable(source);
}
