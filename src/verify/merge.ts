import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import { type ComparedTable, ordersAsNumber } from './compared-table.ts';
import type { RowReader } from './row-reader.ts';

/** What a merge finds, key by key, while the readers stand at the rows in question. */
export interface MergeEvents {
  /** `newer`: ClickHouse's row is of later than the position. */
  both(newer: boolean): void;
  postgresOnly(deletedLater: boolean): void;
  clickHouseOnly(newer: boolean): void;
}

/** Compares one field of two rows. */
type CompareField = (
  a: Buffer,
  aStart: number,
  aEnd: number,
  b: Buffer,
  bStart: number,
  bEnd: number,
) => number;

/**
 * Walks two results that are sorted by the key. `tombstones` has the keys that were deleted later than the position; it
 * is not read, not even opened, before a key is missing in ClickHouse. ClickHouse's rows have one more field: '1' for
 * rows of later than the position.
 */
export async function mergeRows(
  table: ComparedTable,
  postgres: RowReader,
  clickHouse: RowReader,
  tombstones: RowReader | undefined,
  events: MergeEvents,
): Promise<void> {
  const { key, columns, keyless } = table;
  const compareField: CompareField[] = key.map(i =>
    !keyless && ordersAsNumber(columns[i]!) ? compareIntegers : compareBytes,
  );
  const tombstoneKey = key.map((_, place) => place);
  const newerField = columns.length;

  const compare = (a: Row, aKey: readonly number[], b: Row, bKey: readonly number[]): number => {
    for (let i = 0; i < compareField.length; i++) {
      const aField = aKey[i]!;
      const bField = bKey[i]!;
      const aStart = a.starts[aField]!;
      const bStart = b.starts[bField]!;
      // NULLs come last on both sides (in rows without a key).
      if (aStart < 0 || bStart < 0) {
        if (aStart >= 0) return -1;
        if (bStart >= 0) return 1;
        continue;
      }
      const difference = compareField[i]!(a.data, aStart, a.ends[aField]!, b.data, bStart, b.ends[bField]!);
      if (difference !== 0) return difference;
    }
    return 0;
  };

  /** A result that is not in this order would give false differences. */
  const step = (reader: RowReader, found: boolean, where: string): boolean => {
    if (found && reader.rows > 1 && compare(reader.previous, key, reader, key) > 0)
      throw new CdcError(
        'UNEXPECTED',
        `${where} does not give the rows of ${qualifiedName(table.source)} in the order of their key`,
      );
    return found;
  };

  /** Tombstones from the current row's key on, as far as they have come; -1: more have to be waited for. */
  const orderOfTombstone = (): number => {
    if (!tombstones) return 1;
    let order = tombstones.rows === 0 ? -1 : compare(tombstones, tombstoneKey, postgres, key);
    while (order < 0 && tombstones.advance()) order = compare(tombstones, tombstoneKey, postgres, key);
    return order < 0 && tombstones.ended ? 1 : order;
  };
  const waitForTombstone = async (): Promise<number> => {
    let order = -1;
    while (order < 0) order = (await tombstones!.next()) ? orderOfTombstone() : 1;
    return order;
  };

  let inPostgres = step(postgres, await postgres.next(), 'PostgreSQL');
  let inClickHouse = step(clickHouse, await clickHouse.next(), 'ClickHouse');
  while (inPostgres || inClickHouse) {
    const order = !inPostgres ? 1 : !inClickHouse ? -1 : compare(postgres, key, clickHouse, key);
    const newer = order >= 0 && clickHouse.data[clickHouse.starts[newerField]!] === 49;
    if (order === 0) events.both(newer);
    else if (order < 0) {
      let tombstone = orderOfTombstone();
      if (tombstone < 0) tombstone = await waitForTombstone();
      events.postgresOnly(tombstone === 0);
    } else events.clickHouseOnly(newer);
    if (order <= 0) inPostgres = step(postgres, postgres.advance() || (await postgres.next()), 'PostgreSQL');
    if (order >= 0)
      inClickHouse = step(clickHouse, clickHouse.advance() || (await clickHouse.next()), 'ClickHouse');
  }
}

type Row = Pick<RowReader, 'data' | 'starts' | 'ends'>;

export const compareBytes: CompareField = (a, aStart, aEnd, b, bStart, bEnd) => {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const length = Math.min(aLength, bLength);
  // A call into native code costs more than a short loop.
  if (length > 40) return a.compare(b, bStart, bEnd, aStart, aEnd);
  for (let i = 0; i < length; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
};

/** Texts of integers, by value. */
export const compareIntegers: CompareField = (a, aStart, aEnd, b, bStart, bEnd) => {
  const aNegative = a[aStart] === 45;
  const bNegative = b[bStart] === 45;
  if (aNegative !== bNegative) return aNegative ? -1 : 1;
  const byLength = aEnd - aStart - (bEnd - bStart);
  const magnitude = byLength !== 0 ? byLength : compareBytes(a, aStart, aEnd, b, bStart, bEnd);
  return aNegative ? -magnitude : magnitude;
};
