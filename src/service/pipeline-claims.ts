import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName, type Table } from '../core/relation.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import type { TableName } from '../sinks/clickhouse/names.ts';

/**
 * Refuses to go on with the position of another mode. Throws CONFIG_INVALID, or MODE_SWITCH when it `isRunning`: then it was switched
 * meanwhile.
 */
export function requireSameMode(
  { mode, pipeline }: Config,
  checkpoint: Checkpoint | undefined,
  isRunning = false,
): void {
  if (!checkpoint || checkpoint.mode === mode) return;
  if (isRunning)
    throw new CdcError('MODE_SWITCH', `the pipeline goes on in mode ${checkpoint.mode} by now`, {
      hint: 'Stop the instances of the mode that it left.',
    });
  throw new CdcError('CONFIG_INVALID', `pipeline "${pipeline}" was run in mode ${checkpoint.mode} before`, {
    hint: 'Choose another --pipeline; between modes cdc and wal, "wal-cdc run" switches: see "Switching modes" in docs/operations.md.',
  });
}

/**
 * Refuses a ClickHouse table in which generated rows and those of a source would meet: their versions do not compare.
 * Throws TABLE_TAKEN.
 */
export async function requireOwnTable(
  { mode }: Config,
  control: ControlTables,
  table: Table,
  target: TableName,
): Promise<void> {
  const writers = await control.otherWriters(target);
  const other = writers.find(writer => mode === 'synthetic' || writer.mode === 'synthetic');
  if (!other) return;
  const what = other.mode === '' ? '' : ` (mode ${other.mode})`;
  throw new CdcError(
    'TABLE_TAKEN',
    `pipeline "${other.pipeline}"${what} writes ClickHouse table ${target.database}.${target.table} already`,
    {
      table: qualifiedName(table),
      ...(other.mode === 'synthetic' && {
        hint: `Choose another --database, or remove the generated rows: "wal-cdc teardown --mode synthetic --pipeline ${other.pipeline} --data".`,
      }),
    },
  );
}
