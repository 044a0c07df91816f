import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { asCdcError } from '../core/errors.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { userEventsTable } from '../sources/synthetic/table.ts';
import type { connectClickHouse } from './clickhouse-address.ts';
import { checkSyntheticCheckpoint, requireExplainedRows } from './synthetic-session.ts';
import { fitTables, type TableFit } from './table-fit.ts';

/**
 * Looks at the ClickHouse table of generated rows as `run` does at its start, without making anything. Without `sink`: as if it
 * were empty.
 */
export async function fitUserEvents(
  config: Config,
  sink: Awaited<ReturnType<typeof connectClickHouse>> | undefined,
): Promise<{ fit: TableFit; checkpoint: Checkpoint | undefined }> {
  const control = sink && new ControlTables(sink.clickhouse, config.pipeline, config.clickhouse.cluster);
  const known = control && (await control.exists()) ? control : undefined;
  const checkpoint = await known?.loadCheckpoint();
  const states = new Map(
    (await known?.loadTables())?.map(({ schema, name, state }) => [`${schema}.${name}`, state]),
  );
  const [fit] = await fitTables(
    [userEventsTable],
    { ...config, snapshot: 'initial' },
    states,
    sink?.clickhouse,
    sink?.capabilities ?? { time64: true },
  );
  // A run generates again what a stopped one did not write.
  if (fit!.state?.stopped) fit!.problem = undefined;
  try {
    checkSyntheticCheckpoint(config, checkpoint);
    if (fit!.plan && fit!.actual) requireExplainedRows(fit!.plan, fit!.actual, checkpoint);
  } catch (error) {
    fit!.problem ??= asCdcError(error);
  }
  return { fit: fit!, checkpoint };
}
