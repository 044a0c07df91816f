import { Op } from '../../core/batch.ts';
import type { Relation } from '../../core/relation.ts';
import { Marker } from '../../core/tuple.ts';
import { columnAt } from '../../core/tuple-fields.ts';
import { type DeadLetter, tuplesOf } from './dead-letter.ts';
import { fieldText } from './field-text.ts';

/** A column of the row in a letter, in PostgreSQL's text. */
export interface LetterColumn {
  name: string;
  type: string;
  /** Null for NULL; absent when the change leaves it out. */
  value?: string | null;
  /** Before the change, where it says so. */
  before?: string | null;
}

/** The row that a letter holds, column by column. */
export function rowOf({ change, relation, op }: DeadLetter): LetterColumn[] {
  const { columns } = JSON.parse(relation) as Relation;
  const [tuple, old] = tuplesOf(
    change,
    0,
    op === 'update' ? Op.update : op === 'delete' ? Op.delete : Op.insert,
  );
  return columns.map((column, c) => {
    const value = fieldText(column, change, columnAt(change, tuple, c));
    const before = old < 0 ? undefined : fieldText(column, change, columnAt(change, old, c));
    // A tuple of the key alone has NULL elsewhere.
    const saysBefore = before !== undefined && (before !== null || change[0] === Marker.old);
    return {
      name: column.name,
      type: column.type.name,
      ...(value === undefined ? {} : { value }),
      ...(saysBefore ? { before } : {}),
    };
  });
}
