import type { TableColumn } from '../core/relation.ts';

/** A column as it was when its values were last known to be in ClickHouse. */
export interface KnownColumn {
  /** `pg_attribute.attnum`, which stays when a column is renamed and is never used again. */
  number: number;
  name: string;
  typeOid: number;
  typmod: number;
}

export function knownColumns(columns: readonly TableColumn[]): KnownColumn[] {
  return columns.map(({ number, name, type, typmod }) => ({ number, name, typeOid: type.oid, typmod }));
}

/**
 * What happened to the columns of a table since. `rewritten` says which change gave older rows values that the stream
 * does not carry; `undefined` when there is none.
 */
export function compareColumns(
  known: readonly KnownColumn[],
  now: readonly TableColumn[],
): { added: TableColumn[]; rewritten: string | undefined } {
  const added: TableColumn[] = [];
  for (const column of now) {
    const before = known.find(other => other.number === column.number);
    if (!before) {
      if (known.some(other => other.name === column.name))
        return { added: [], rewritten: `its column "${column.name}" was dropped and made again` };
      added.push(column);
    } else if (before.name !== column.name) {
      return { added: [], rewritten: `its column "${before.name}" was renamed to "${column.name}"` };
    } else if (!keepsValues(before, column)) {
      return { added: [], rewritten: `the type of its column "${column.name}" was changed` };
    }
  }
  return { added, rewritten: undefined };
}

export function sameColumns(known: readonly KnownColumn[], now: readonly TableColumn[]): boolean {
  return JSON.stringify(known) === JSON.stringify(knownColumns(now));
}

const text = 25;
const varchar = 1043;
const numeric = 1700;

/** Whether PostgreSQL changes the type without touching values (docs: "ALTER TABLE", notes on rewrites). */
function keepsValues(before: KnownColumn, now: TableColumn): boolean {
  const oid = now.type.oid;
  if (oid === text || oid === varchar) return before.typeOid === text || before.typeOid === varchar;
  if (before.typeOid !== oid) return false;
  if (before.typmod === now.typmod) return true;
  return oid === numeric && before.typmod >= 0 && scale(before.typmod) === scale(now.typmod);
}

/** Scale of a numeric's typmod: eleven bits, signed. */
function scale(typmod: number): number {
  return (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
}
