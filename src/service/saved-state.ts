import type { Config } from '../config.ts';
import type { Checkpoint, TableState } from '../core/checkpoint.ts';
import { qualifiedName } from '../core/relation.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { ControlTables, type SavedOffset } from '../sinks/clickhouse/control-tables.ts';

/** What a pipeline has saved of itself. */
export interface SavedState {
  checkpoint: Checkpoint | undefined;
  /** By `schema.table`. */
  states: Map<string, TableState>;
  offsets: SavedOffset[];
}

/** Nothing without `clickhouse`, or before the first start of a pipeline. */
export async function readSavedState(
  config: Config,
  clickhouse: ClickHouse | undefined,
): Promise<SavedState> {
  const control = clickhouse && new ControlTables(clickhouse, config.pipeline, config.clickhouse.cluster);
  if (!control || !(await control.exists())) return { checkpoint: undefined, states: new Map(), offsets: [] };
  const tables = await control.loadTables();
  return {
    checkpoint: await control.loadCheckpoint(),
    states: new Map(tables.map(table => [qualifiedName(table), table.state])),
    offsets: config.mode === 'cdc' ? await control.loadOffsets() : [],
  };
}
