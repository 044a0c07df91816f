import { isUtf8 } from 'node:buffer';
import type { ComparedTable } from './compared-table.ts';
import { compareBytes, type MergeEvents } from './merge.ts';
import type { RowReader } from './row-reader.ts';
import type { KeyTexts } from './table-sql.ts';

export interface CellDifference {
  name: string;
  /** Texts, shortened; null for NULL. */
  postgres: string | null;
  clickhouse: string | null;
}

export interface RowDifference {
  /** The key columns and their texts; of a keyless table all columns. */
  key: Record<string, string | null>;
  kind: 'missing in ClickHouse' | 'only in ClickHouse' | 'different';
  /** The columns that differ; of rows in both only. */
  columns?: CellDifference[];
  /** ID of the open dead letter that explains it. */
  letter?: string;
}

/**
 * A row that differs is looked at again before that counts: an update that leaves out a large value may have been given one
 * of later by the source, until the change that belongs to it arrives.
 */
const looksBeforeVerdict = 3;

/** Counts and names what a merge finds in one table, over all rounds. Memory is bounded by the two limits. */
export class TableComparison implements MergeEvents {
  rows = 0;
  equal = 0;
  differingCount = 0;
  readonly differing: RowDifference[] = [];
  inDeadLetters = 0;
  /** IDs of open dead letters, by the JSON of their key's texts. */
  letters: ReadonlyMap<string, string[]> = new Map();
  /** Keys whose rows are of later than the position, or differ; for the next round. */
  moving: KeyTexts[] = [];
  /** No other round comes. */
  isLastRound = false;
  /** Moving rows that are not in `moving`: there are too many, or they have no key. */
  movingForgotten = 0;

  readonly #table: ComparedTable;
  readonly #limits: { maxDiffering: number; maxMoving: number };
  /** How often rows were seen to differ, by key. */
  readonly #doubts = new Map<string, number>();
  #postgres!: RowReader;
  #clickHouse!: RowReader;

  constructor(table: ComparedTable, limits: { maxDiffering: number; maxMoving: number }) {
    this.#table = table;
    this.#limits = limits;
  }

  /** The readers of the merge that follows. */
  attach(postgres: RowReader, clickHouse: RowReader): void {
    this.#postgres = postgres;
    this.#clickHouse = clickHouse;
  }

  both(newer: boolean): void {
    // Without keys a row of both is equal, whenever it came.
    if (this.#table.keyless) {
      this.rows++;
      this.equal++;
    } else if (newer) this.#move(this.#postgres);
    else if (this.#isEqual()) {
      this.rows++;
      this.equal++;
    } else this.#differ('different', this.#postgres);
  }

  postgresOnly(deletedLater: boolean): void {
    if (deletedLater) this.#move(this.#postgres);
    else this.#differ('missing in ClickHouse', this.#postgres);
  }

  clickHouseOnly(newer: boolean): void {
    if (newer && this.#canBeLookedUp(this.#clickHouse)) this.#move(this.#clickHouse);
    else this.#differ('only in ClickHouse', this.#clickHouse);
  }

  /** A key that is not UTF-8 cannot be looked up in PostgreSQL, and cannot be in it. */
  #canBeLookedUp(reader: RowReader): boolean {
    return this.#table.key.every(i => isUtf8(fieldBytes(reader, i)));
  }

  #key(reader: RowReader): KeyTexts {
    return this.#table.key.map(i => reader.text(i)!);
  }

  #move(reader: RowReader): void {
    if (this.#table.keyless || this.moving.length >= this.#limits.maxMoving) this.movingForgotten++;
    else this.moving.push(this.#key(reader));
  }

  #isWorthAnotherLook(reader: RowReader): boolean {
    if (this.isLastRound || this.#table.keyless || this.moving.length >= this.#limits.maxMoving) return false;
    if (!this.#canBeLookedUp(reader)) return false;
    const key = this.#key(reader);
    const name = JSON.stringify(key);
    const looks = (this.#doubts.get(name) ?? 0) + 1;
    if (looks >= looksBeforeVerdict) return false;
    this.#doubts.set(name, looks);
    this.moving.push(key);
    return true;
  }

  #isEqual(): boolean {
    const { columns } = this.#table;
    for (let i = 0; i < columns.length; i++) if (!this.#isFieldEqual(i)) return false;
    return true;
  }

  #isFieldEqual(i: number): boolean {
    const a = this.#postgres;
    const b = this.#clickHouse;
    const aStart = a.starts[i]!;
    const bStart = b.starts[i]!;
    if (aStart < 0 || bStart < 0) return aStart === bStart;
    const aEnd = a.ends[i]!;
    const bEnd = b.ends[i]!;
    if (aEnd - aStart === bEnd - bStart && compareBytes(a.data, aStart, aEnd, b.data, bStart, bEnd) === 0)
      return true;
    const { equal } = this.#table.columns[i]!.form;
    return equal?.(a.text(i)!, b.text(i)!) ?? false;
  }

  #differ(kind: RowDifference['kind'], reader: RowReader): void {
    if (this.#isWorthAnotherLook(reader)) return;
    this.rows++;
    this.differingCount++;
    const letters = this.letters.get(JSON.stringify(this.#key(reader)));
    // Without keys there may be several equal ones.
    const letter = this.#table.keyless ? letters?.shift() : letters?.[0];
    if (letter !== undefined) this.inDeadLetters++;
    if (this.differing.length >= this.#limits.maxDiffering) {
      // Those that nothing explains are the ones to look at.
      const explained = letter === undefined ? this.differing.findLastIndex(row => row.letter) : -1;
      if (explained < 0) return;
      this.differing.splice(explained, 1);
    }
    const { columns, key, keyless } = this.#table;
    const shown = (from: RowReader, i: number) => readable(from.text(i), columns[i]!.form.readable);
    const difference: RowDifference = {
      key: Object.fromEntries(
        key.map(i => [columns[i]!.name, keyless ? cut(shown(reader, i), 0) : shown(reader, i)]),
      ),
      kind,
    };
    if (kind === 'different')
      difference.columns = columns.flatMap(({ name }, i) =>
        this.#isFieldEqual(i)
          ? []
          : [{ name, ...shownApart(shown(this.#postgres, i), shown(this.#clickHouse, i)) }],
      );
    if (letter !== undefined) difference.letter = letter;
    this.differing.push(difference);
  }
}

function fieldBytes(reader: RowReader, i: number): Buffer {
  return reader.data.subarray(Math.max(reader.starts[i]!, 0), Math.max(reader.ends[i]!, 0));
}

const longestShown = 200;

function readable(text: string | null, form: ((text: string) => string) | undefined): string | null {
  return text === null || !form ? text : form(text);
}

/** Long texts are cut to the letters around the place where they part. */
function shownApart(
  postgres: string | null,
  clickhouse: string | null,
): { postgres: string | null; clickhouse: string | null } {
  let same = 0;
  if (postgres !== null && clickhouse !== null)
    while (same < postgres.length && postgres[same] === clickhouse[same]) same++;
  const from = Math.max(0, same - longestShown / 4);
  return { postgres: cut(postgres, from), clickhouse: cut(clickhouse, from) };
}

function cut(text: string | null, from: number): string | null {
  if (text === null || text.length <= longestShown) return text;
  const part = text.slice(from, from + longestShown);
  return `${from > 0 ? '…' : ''}${part}${from + longestShown < text.length ? '…' : ''}`;
}
