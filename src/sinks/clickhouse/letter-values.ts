import { Op, RowGroup } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import type { Column, Relation } from '../../core/relation.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { columnAt, skipField } from '../../core/tuple-fields.ts';
import { type DeadLetter, rowVersion, tuplesOf } from './dead-letter.ts';
import { type DeadLetters, unsettled } from './dead-letters.ts';
import { columnType } from './key-lookup.ts';
import type { RowEncoder } from './row-encoder.ts';
import type { SinkTable } from './sink-table.ts';
import { InvalidValue } from './types/codec.ts';

/** A row that is written instead of one in the batch: what that left out has been put in. */
export interface Respelled {
  data: Buffer;
  group: RowGroup;
}

/** Finds the values that rows in dead letters had: for updates that leave them out. */
export class LetterValues {
  readonly #letters: DeadLetters;
  readonly #table: SinkTable;
  /** By the JSON of their relation. */
  readonly #encoders = new Map<string, RowEncoder>();

  constructor(letters: DeadLetters, table: SinkTable) {
    this.#letters = letters;
    this.#table = table;
  }

  /** Whether there may be a letter of the row with this key (JSON). */
  mayHave(key: string): boolean {
    return this.#letters.keysOf(this.#table.name).mayHave(key);
  }

  get isEmpty(): boolean {
    return this.#letters.keysOf(this.#table.name).isEmpty;
  }

  /** Letters by key; those of lower versions first. */
  async find(keys: Iterable<string>): Promise<Map<string, DeadLetter[]>> {
    const from = this.#table.oldestVersion;
    if (from === undefined) return new Map();
    const { schema, name } = this.#table.table;
    const tables = [{ schema, table: name }];
    const ids = await this.#letters.ids({ states: unsettled, tables, keys: [...keys], from });
    const letters = await this.#letters.read({ tables, ids });
    return Map.groupBy(letters, letter => letter.key);
  }

  /**
   * The values that the row in `letter` had, encoded, by name. `undefined`: the letter does not say. An `InvalidValue` for one
   * that ClickHouse cannot hold.
   */
  valuesOf(letter: DeadLetter, names: readonly string[]): (Buffer | InvalidValue | undefined)[] {
    const encoder = this.#encoderOf(letter);
    if (!encoder) return names.map(() => undefined);
    const { change, kept } = letter;
    return names.map(name => {
      const c = encoder.columns.findIndex(column => column.name === name);
      if (c < 0) return undefined;
      const at = fieldAt(letter, c);
      if (change[at] !== Kind.unchanged) return encodeOrFail(encoder, c, change, at);
      return kept.find(({ column, type }) => column === name && type === columnType(encoder.columns[c]!))
        ?.value;
    });
  }

  /** The field of a column as it stands in the letter, where tuples of `relation` would have the same bytes. */
  fieldOf(letter: DeadLetter, name: string, relation: Relation): Buffer | undefined {
    const { change } = letter;
    const columns = this.#encoderOf(letter)?.relation.columns ?? [];
    const c = columns.findIndex(column => column.name === name);
    const now = relation.columns.find(column => column.name === name);
    if (c < 0 || !now || !hasSameForm(columns[c]!, now)) return undefined;
    const at = fieldAt(letter, c);
    return change[at] === Kind.unchanged ? undefined : change.subarray(at, skipField(change, at));
  }

  /** `undefined` when the table has changed so much that its rows of then cannot be encoded. */
  #encoderOf({ relation }: DeadLetter): RowEncoder | undefined {
    const known = this.#encoders.get(relation);
    if (known) return known;
    try {
      const encoder = this.#table.encoder(JSON.parse(relation) as Relation);
      this.#encoders.set(relation, encoder);
      return encoder;
    } catch (error) {
      if (error instanceof CdcError && error.action === 'stop-table') return undefined;
      throw error;
    }
  }
}

/** Of the letters of a row the one that says what it was before `version`, unless ClickHouse has it newer. */
export function lastBefore(
  letters: readonly DeadLetter[] | undefined,
  version: bigint,
  newest: bigint | undefined,
): DeadLetter | undefined {
  const last = letters?.filter(letter => letter.version < version).at(-1);
  if (!last || last.op === 'delete') return undefined;
  return newest !== undefined && newest >= rowVersion(last) ? undefined : last;
}

function encodeOrFail(encoder: RowEncoder, c: number, data: Buffer, at: number): Buffer | InvalidValue {
  const out = new ByteWriter(64);
  try {
    encoder.encodeField(c, data, at, out);
    return out.written();
  } catch (error) {
    if (error instanceof InvalidValue) return error;
    throw error;
  }
}

/** Where the letter has column `c` of its row; the old tuple has what the new one leaves out if it is a whole row. */
function fieldAt({ change, op }: DeadLetter, c: number): number {
  const [tuple, old] = tuplesOf(change, 0, op === 'update' ? Op.update : Op.insert);
  const at = columnAt(change, tuple, c);
  return change[at] === Kind.unchanged && change[0] === Marker.old ? columnAt(change, old, c) : at;
}

function hasSameForm(a: Column, b: Column): boolean {
  const form = ({ type, typmod, wire }: Column) => JSON.stringify([type.oid, typmod, wire]);
  return form(a) === form(b);
}

/** Row `i` of a group with `fields` in place of columns that its new tuple leaves out, by place. */
export function respell(
  data: Buffer,
  group: RowGroup,
  i: number,
  fields: ReadonlyMap<number, Buffer>,
): Respelled {
  const { index } = group;
  const at = i * RowGroup.stride;
  const offset = index[at]!;
  const opAndPlace = index[at + RowGroup.opAndPlace]!;
  const [tuple] = tuplesOf(data, offset, opAndPlace & 0xff);
  const out = new ByteWriter(index[at + RowGroup.length]! + 1024);
  const count = (data[tuple]! << 8) | data[tuple + 1]!;
  let pos = tuple + 2;
  out.writeBytes(data, offset, pos);
  for (let c = 0; c < count; c++) {
    const end = skipField(data, pos);
    const field = data[pos] === Kind.unchanged ? fields.get(c) : undefined;
    if (field) out.writeBytes(field, 0, field.length);
    else out.writeBytes(data, pos, end);
    pos = end;
  }
  const alone = new RowGroup(group.relation);
  alone.add(
    0,
    out.pos,
    opAndPlace & 0xff,
    opAndPlace >>> 8,
    index[at + RowGroup.lsnHi]!,
    index[at + RowGroup.lsnLo]!,
    index[at + RowGroup.transaction]!,
  );
  return { data: out.written(), group: alone };
}
