import type { TableState } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';

/** Makes a later session copy the tables afresh, behind the live ones. Throws NO_TABLES for names that are not known. */
export async function markForCopy(control: ControlTables, names: string[]): Promise<void> {
  const known = await control.loadTables();
  const unknown = names.filter(name => !known.some(table => qualifiedName(table) === name));
  if (unknown.length > 0)
    throw new CdcError('NO_TABLES', `the pipeline does not replicate ${unknown.join(', ')}`, {
      hint: `It replicates ${known.map(qualifiedName).join(', ') || 'nothing yet'}.`,
    });
  for (const { schema, name, state } of known) {
    if (!names.includes(qualifiedName({ schema, name }))) continue;
    await control.saveTable({ schema, name }, copyAfresh(state));
  }
}

/** The state of a table that is copied behind the live one. */
export function copyAfresh(state: TableState): TableState {
  const { epoch, target, columns, keyRule, key, truncated } = state;
  const live = state.phase !== 'copying' || state.live;
  return { epoch, target, columns, phase: 'copying', keyRule, key, live, copiedRows: 0, truncated };
}
