import { Op, RowGroup } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import type { CdcError } from '../../core/errors.ts';
import { Kind } from '../../core/tuple.ts';
import { columnAt } from '../../core/tuple-fields.ts';
import { bytesOf, type ChangeBytes, type KeptValue, tuplesOf } from './dead-letter.ts';
import { columnType } from './key-lookup.ts';
import type { KnownValues } from './known-values.ts';
import { type Respelled, respell } from './letter-values.ts';
import type { RowEncoder, UnchangedValues } from './row-encoder.ts';
import type { Step } from './row-steps.ts';
import { InvalidValue } from './types/codec.ts';

/** What the letter of a row is to hold. */
export interface LetterParts {
  change: ChangeBytes;
  kept: KeptValue[];
  /** What the encoder asks for the columns that the change leaves out. */
  values: UnchangedValues | undefined;
}

/** Values that were found for single rows of a stretch, also such as ClickHouse cannot hold. */
export class RowValues {
  readonly #encoder: RowEncoder;
  readonly #known: KnownValues;
  readonly #respelled = new Map<number, Respelled>();
  /** Of rows whose values can be put in neither encoded nor raw. */
  readonly #failures = new Map<number, CdcError>();

  constructor(encoder: RowEncoder, known: KnownValues) {
    this.#encoder = encoder;
    this.#known = known;
  }

  clear(): void {
    this.#respelled.clear();
    this.#failures.clear();
  }

  /**
   * Values by the columns of `known`; `undefined` where the row needs none. One that cannot be encoded is put into the change
   * as it came (`fieldOf`), so that encoding the row fails as it would had the value come with it.
   */
  set(
    row: number,
    values: readonly (Buffer | InvalidValue | undefined)[],
    data: Buffer,
    group: RowGroup,
    fieldOf: (n: number) => Buffer | undefined,
  ): void {
    const { columns } = this.#known;
    this.#known.setOwn(
      row,
      values.map(value => (Buffer.isBuffer(value) ? value : undefined)),
    );
    const fields = new Map<number, Buffer>();
    const [tuple] = tuplesOf(data, group.index[row * RowGroup.stride]!, Op.update);
    for (const [n, value] of values.entries()) {
      const c = columns[n]!;
      if (!(value instanceof InvalidValue) || data[columnAt(data, tuple, c)] !== Kind.unchanged) continue;
      const field = fieldOf(n);
      if (field) fields.set(c, field);
      else this.#failures.set(row, this.#encoder.valueInvalid(c, value.message));
    }
    if (fields.size > 0) this.#respelled.set(row, respell(data, group, row, fields));
  }

  /** The row with such values put in, if it has any. */
  respelled(row: number): Respelled | undefined {
    return this.#respelled.get(row);
  }

  /** Throws VALUE_INVALID for a row with a value that could not be put in. */
  requireFitting(row: number): void {
    const failure = this.#failures.get(row);
    if (failure) throw failure;
  }

  ofLetter({ row, before, lacking }: Step, data: Buffer, group: RowGroup): LetterParts {
    const found = this.#known.reader(row, before);
    const failure = this.#failures.get(row);
    const values: typeof found = failure
      ? (c, out) => {
          if (found?.(c, out)) return true;
          throw failure;
        }
      : found;
    const respelled = this.#respelled.get(row);
    const change = respelled ? bytesOf(respelled.data, respelled.group, 0) : bytesOf(data, group, row);
    if (!lacking) return { change, kept: [], values };
    const [now] = tuplesOf(change.data, change.offset, Op.update);
    const kept = this.#known.columns.flatMap((c): KeptValue[] => {
      if (data[columnAt(data, lacking.tuple, c)] !== Kind.unchanged) return [];
      const column = this.#encoder.columns[c]!;
      // Put in: it needs no value beside it, but did not come with the stream.
      if (change.data[columnAt(change.data, now, c)] !== Kind.unchanged)
        return [{ column: column.name, type: '', value: Buffer.alloc(0) }];
      const out = new ByteWriter(64);
      return found?.(c, out) ? [{ column: column.name, type: columnType(column), value: out.written() }] : [];
    });
    return { change, kept, values };
  }
}

/** Kind, length and bytes of a value in PostgreSQL's text. */
export function textField(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.from([Kind.text, 0, 0, 0, 0]);
  head.writeInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
