import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { quoteString, quoteTableName, shadowName } from '../sinks/clickhouse/names.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { createTable, inspectTarget, madeByUs, type TargetOptions } from '../sinks/clickhouse/target.ts';

/** Makes an empty shadow, like the live table where that fits, and notes it in the state (not saved here). */
export async function createShadow(
  clickhouse: ClickHouse,
  table: SinkTable,
  options: TargetOptions,
): Promise<void> {
  const name = shadowName(table.plan.name);
  await clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(name)} SYNC`);
  if (table.state.live)
    await clickhouse.command(`CREATE TABLE ${quoteTableName(name)} AS ${quoteTableName(table.plan.name)}`);
  else await createTable(clickhouse, table.plan, options, name);
  const live = await inspectTarget(clickhouse, table.plan.name);
  if (live?.made)
    await clickhouse.command(`ALTER TABLE ${quoteTableName(name)} MODIFY COMMENT ${quoteString(madeByUs)}`);
  const made = await inspectTarget(clickhouse, name);
  table.state.shadow = { table: name.table, uuid: made!.uuid };
}
