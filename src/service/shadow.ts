import { CdcError } from '../core/errors.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { quoteString, quoteTableName, shadowName } from '../sinks/clickhouse/names.ts';
import { exchangeMarks, marked } from '../sinks/clickhouse/shadow-mark.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { createTable, inspectTarget, madeByUs, type TargetOptions } from '../sinks/clickhouse/target.ts';

/**
 * Makes an empty shadow, like the live table where that fits, and notes it in the state (not saved here). Throws
 * TABLE_TAKEN when a table that is no shadow has its name.
 */
export async function createShadow(
  clickhouse: ClickHouse,
  table: SinkTable,
  options: TargetOptions,
): Promise<void> {
  const live = table.plan.name;
  const name = shadowName(live);
  await exchangeMarks(clickhouse, live, name);
  const found = await inspectTarget(clickhouse, name);
  if (found && !found.shadow)
    throw new CdcError(
      'TABLE_TAKEN',
      `ClickHouse has a table ${name.database}.${name.table} already, which table ${table.name} needs for a copy`,
      { table: table.name, hint: 'Rename that table, or drop it if nobody needs it; then copy afresh.' },
    );
  await clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(name)} SYNC`);
  const comment = marked((await inspectTarget(clickhouse, live))?.comment ?? madeByUs);
  if (table.state.live)
    await clickhouse.command(
      `CREATE TABLE ${quoteTableName(name)} AS ${quoteTableName(live)} COMMENT ${quoteString(comment)}`,
    );
  else await createTable(clickhouse, table.plan, options, { name, comment });
  const made = await inspectTarget(clickhouse, name);
  table.state.shadow = { table: name.table, uuid: made!.uuid };
}
