import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import { qualifiedName, type Relation } from '../../core/relation.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { writeChangeVersion, writeCopyVersion } from '../../core/version.ts';
import { quoteIdentifier } from './names.ts';
import type { Codec, Encode } from './types/codec.ts';
import { InvalidValue } from './types/codec.ts';
import { writeInteger } from './types/int64.ts';

/** µs between the Unix epoch and PostgreSQL's. */
const epochOffsetUs = 946_684_800_000_000;

export interface EncoderColumn {
  name: string;
  codec: Codec;
  nullable: boolean;
  key: boolean;
  /** A value that does not fit becomes NULL (`onInvalid: null`). */
  nullIfInvalid: boolean;
  /** Whether a `<column>__null` follows the row. */
  nullFlag: boolean;
}

/** Supplies encoded values of columns that a change left out because they did not change. */
export type UnchangedValues = (column: number, out: ByteWriter) => boolean;

/**
 * Encodes tuples of one relation as RowBinary rows of one ClickHouse table. Columns come in tuple order, then null
 * flags, then `_version`, `_is_deleted`, `_committed_at`: see `insertColumns`.
 */
export class RowEncoder {
  readonly relation: Relation;
  readonly columns: readonly EncoderColumn[];
  readonly insertColumns: string;
  /** Values that did not fit and became NULL. */
  nulled = 0;
  readonly #epoch: number;
  readonly #flags: number[];
  readonly #nullSeen: Uint8Array;
  readonly #binary: (Encode | undefined)[];
  readonly #text: Encode[];
  readonly #keyColumns: number[];
  /** Where each column of the last row began in the output, and where the last one ended. */
  readonly columnStarts: Float64Array;
  /** Column that was being encoded: names the culprit when a value does not fit. */
  #column = 0;

  constructor(
    relation: Relation,
    columns: EncoderColumn[],
    options: { epoch: number; metaColumns: string[]; key: string[] },
  ) {
    this.relation = relation;
    this.columns = columns;
    this.#epoch = options.epoch;
    this.#binary = columns.map(column => column.codec.binary);
    this.#text = columns.map(column => column.codec.text);
    this.#flags = columns.flatMap((column, i) => (column.nullFlag ? [i] : []));
    this.#nullSeen = new Uint8Array(columns.length);
    this.#keyColumns = options.key.map(name => columns.findIndex(column => column.name === name));
    this.columnStarts = new Float64Array(columns.length + 1);
    this.insertColumns = [
      ...columns.map(column => column.name),
      ...this.#flags.map(i => `${columns[i]!.name}__null`),
      ...options.metaColumns,
    ]
      .map(quoteIdentifier)
      .join(', ');
  }

  /** Appends row `i` of `group`; a changed key gives two rows, the tombstone first. */
  encodeChange(
    data: Buffer,
    group: RowGroup,
    i: number,
    transactions: Transactions,
    out: ByteWriter,
    unchanged?: UnchangedValues,
  ): void {
    const { index } = group;
    const at = i * RowGroup.stride;
    const offset = index[at]!;
    const op = index[at + RowGroup.opAndPlace]! & 0xff;
    if (op === Op.insert) {
      this.#encodeTuple(data, offset + 1, out, false, -1, unchanged);
      this.#finish(group, at, 0, 0, transactions, out);
    } else if (op === Op.delete) {
      this.#encodeTuple(data, offset + 1, out, true, -1);
      this.#finish(group, at, 0, 1, transactions, out);
    } else {
      const marker = data[offset]!;
      let tuple = offset + 1;
      let old = -1;
      if (marker !== Marker.new) {
        const fresh = skipTuple(data, tuple) + 1;
        if (this.keyChanged(data, tuple, fresh)) {
          this.#encodeTuple(data, tuple, out, true, -1);
          this.#finish(group, at, 0, 1, transactions, out);
        }
        if (marker === Marker.old) old = tuple;
        tuple = fresh;
      }
      this.#encodeTuple(data, tuple, out, false, old, unchanged);
      this.#finish(group, at, 1, 0, transactions, out);
    }
  }

  /**
   * Appends what is left of row `i`, an update whose unchanged values exist nowhere any more: the tombstone of the key that
   * it changed, if it did. Nothing stands for the row itself, which a later change removes or writes again: in a replay
   * it may be there already, at this very version.
   */
  encodeVanished(
    data: Buffer,
    group: RowGroup,
    i: number,
    transactions: Transactions,
    out: ByteWriter,
  ): void {
    const at = i * RowGroup.stride;
    const offset = group.index[at]!;
    if (data[offset] === Marker.new) return;
    const old = offset + 1;
    if (!this.keyChanged(data, old, skipTuple(data, old) + 1)) return;
    this.#encodeTuple(data, old, out, true, -1);
    this.#finish(group, at, 0, 1, transactions, out);
  }

  /** Appends a row of a binary COPY that starts at `pos` with its field count. `baseHi`, `baseLo`: base of the copy, an LSN. */
  encodeCopied(
    data: Buffer,
    pos: number,
    textColumns: Uint8Array,
    baseHi: number,
    baseLo: number,
    ordinal: number,
    copiedAtUs: number,
    out: ByteWriter,
  ): void {
    const { columns } = this;
    pos += 2;
    try {
      for (let c = 0; c < columns.length; c++) {
        this.#column = c;
        this.columnStarts[c] = out.pos;
        const length = readInt32(data, pos);
        pos += 4;
        if (length < 0) this.#encodeNull(c, out, false);
        else {
          this.#encodeValue(c, textColumns[c] === 0, data, pos, pos + length, out);
          pos += length;
        }
      }
    } catch (error) {
      throw this.#invalid(error);
    }
    this.#writeFlags(out);
    writeCopyVersion(out, this.#epoch, baseHi, baseLo, ordinal);
    out.writeByte(0);
    writeInteger(out, copiedAtUs, 8);
  }

  /** Whether an update's old and new tuple have different keys; bytes are compared. */
  keyChanged(data: Buffer, old: number, fresh: number): boolean {
    for (const c of this.#keyColumns) {
      const a = columnAt(data, old, c);
      const b = columnAt(data, fresh, c);
      if (data[b] === Kind.unchanged) continue;
      const lengthA = valueLength(data, a);
      if (data[a] !== data[b] || lengthA !== valueLength(data, b)) return true;
      if (lengthA > 0 && data.compare(data, b + 5, b + 5 + lengthA, a + 5, a + 5 + lengthA) !== 0)
        return true;
    }
    return false;
  }

  /** Appends the key of a tuple, in ORDER BY order, as RowBinary; `fallback` has the columns that say "unchanged". */
  encodeKey(data: Buffer, tuple: number, fallback: number, out: ByteWriter): void {
    for (const c of this.#keyColumns) {
      let at = columnAt(data, tuple, c);
      if (data[at] === Kind.unchanged && fallback >= 0) at = columnAt(data, fallback, c);
      this.#encodeField(c, data, at, out);
    }
  }

  /** The key of a tuple as PostgreSQL sent it, in ORDER BY order. */
  rawKey(data: Buffer, tuple: number, fallback: number): { name: string; binary: boolean; value: Buffer }[] {
    return this.#keyColumns.map(c => {
      let at = columnAt(data, tuple, c);
      if (data[at] === Kind.unchanged && fallback >= 0) at = columnAt(data, fallback, c);
      const length = valueLength(data, at);
      return {
        name: this.columns[c]!.name,
        binary: data[at] === Kind.binary,
        value: Buffer.from(data.subarray(at + 5, at + 5 + length)),
      };
    });
  }

  get keyColumns(): readonly number[] {
    return this.#keyColumns;
  }

  /** One tuple. `old`: tuple that has the values of columns marked unchanged, or -1. */
  #encodeTuple(
    data: Buffer,
    tuple: number,
    out: ByteWriter,
    tombstone: boolean,
    old: number,
    unchanged?: UnchangedValues,
  ): void {
    const { columns } = this;
    const count = (data[tuple]! << 8) | data[tuple + 1]!;
    if (count !== columns.length)
      throw new CdcError(
        'PROTOCOL',
        `a tuple of ${qualifiedName(this.relation)} has ${count} columns, not ${columns.length}`,
      );
    let pos = tuple + 2;
    const rowStart = out.pos;
    try {
      for (let c = 0; c < count; c++) {
        this.#column = c;
        this.columnStarts[c] = out.pos;
        const kind = data[pos]!;
        if (kind === Kind.null) {
          pos++;
          if (tombstone && columns[c]!.key) throw keyGone(this.relation, columns[c]!.name);
          this.#encodeNull(c, out, tombstone);
        } else if (kind === Kind.unchanged) {
          pos++;
          if (tombstone) this.#encodeNull(c, out, true);
          else if (old >= 0) this.#encodeField(c, data, columnAt(data, old, c), out);
          else if (!unchanged?.(c, out))
            throw new CdcError('PROTOCOL', `the value of "${columns[c]!.name}" was not resolved`);
        } else {
          const length = readInt32(data, pos + 1);
          pos += 5;
          if (tombstone && !columns[c]!.key)
            this.#encodeOrDefault(c, kind === Kind.binary, data, pos, pos + length, out);
          else this.#encodeValue(c, kind === Kind.binary, data, pos, pos + length, out);
          pos += length;
        }
      }
      this.columnStarts[count] = out.pos;
    } catch (error) {
      const failure = this.#invalid(error);
      out.pos = rowStart;
      throw failure;
    }
  }

  #encodeField(c: number, data: Buffer, at: number, out: ByteWriter): void {
    if (data[at] === Kind.null) this.#encodeNull(c, out, false);
    else this.#encodeValue(c, data[at] === Kind.binary, data, at + 5, at + 5 + valueLength(data, at), out);
  }

  #encodeValue(c: number, binary: boolean, data: Buffer, start: number, end: number, out: ByteWriter): void {
    const column = this.columns[c]!;
    if (column.nullFlag) this.#nullSeen[c] = 0;
    if (column.nullIfInvalid) {
      this.#encodeOrNull(c, binary, data, start, end, out);
      return;
    }
    if (column.nullable) out.writeByte(0);
    if (binary) {
      const encode = this.#binary[c];
      if (!encode)
        throw new CdcError(
          'TUPLE_FORMAT',
          `column "${column.name}" came in a binary form that is not decoded`,
        );
      encode(data, start, end, out);
    } else this.#text[c]!(data, start, end, out);
  }

  #encodeOrNull(c: number, binary: boolean, data: Buffer, start: number, end: number, out: ByteWriter): void {
    const { pos } = out;
    out.writeByte(0);
    try {
      (binary ? this.#binary[c]! : this.#text[c]!)(data, start, end, out);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      out.pos = pos;
      out.writeByte(1);
      this.nulled++;
    }
  }

  /** Values beside the key do not matter in a tombstone: what does not fit is left empty. */
  #encodeOrDefault(
    c: number,
    binary: boolean,
    data: Buffer,
    start: number,
    end: number,
    out: ByteWriter,
  ): void {
    const { pos } = out;
    try {
      this.#encodeValue(c, binary, data, start, end, out);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      out.pos = pos;
      this.#encodeNull(c, out, true);
    }
  }

  #encodeNull(c: number, out: ByteWriter, tombstone: boolean): void {
    const column = this.columns[c]!;
    if (column.nullable) out.writeByte(1);
    else if (tombstone || !column.codec.canBeNullable) {
      column.codec.writeDefault(out);
      if (column.nullFlag) this.#nullSeen[c] = 1;
    } else throw new InvalidValue('NULL, but the ClickHouse column is not Nullable');
  }

  #finish(
    group: RowGroup,
    at: number,
    placeOffset: number,
    deleted: number,
    transactions: Transactions,
    out: ByteWriter,
  ): void {
    this.#writeFlags(out);
    const { index } = group;
    const transaction = index[at + RowGroup.transaction]!;
    writeChangeVersion(
      out,
      this.#epoch,
      transactions.commitHi[transaction]!,
      transactions.commitLo[transaction]! | 0,
      index[at + RowGroup.lsnHi]!,
      index[at + RowGroup.lsnLo]! | 0,
      (index[at + RowGroup.opAndPlace]! >>> 8) + placeOffset,
    );
    out.writeByte(deleted);
    writeInteger(out, transactions.committedAtUs[transaction]! + epochOffsetUs, 8);
  }

  #writeFlags(out: ByteWriter): void {
    const flags = this.#flags;
    for (let i = 0; i < flags.length; i++) out.writeByte(this.#nullSeen[flags[i]!]!);
  }

  #invalid(error: unknown): unknown {
    if (!(error instanceof InvalidValue)) return error;
    const column = this.columns[this.#column]!;
    const name = qualifiedName(this.relation);
    return new CdcError(
      'VALUE_INVALID',
      `table ${name}, column "${column.name}" (${column.codec.type}): ${error.message}`,
      {
        table: name,
        hint: `Set columns."${name}.${column.name}".onInvalid to ${column.key ? 'string' : 'null, clamp or string'}, or choose a wider type; then "wal-cdc resync ${name}".`,
      },
    );
  }
}

/** A tombstone must name its row: without the key it would hit another one. */
function keyGone(relation: Relation, column: string): CdcError {
  const name = qualifiedName(relation);
  return new CdcError(
    'SCHEMA_CHANGED',
    `table ${name} does not identify its rows by "${column}" any more: its primary key or replica identity was changed`,
    { table: name },
  );
}

/** Position behind a TupleData that starts at `pos` with its column count. */
export function skipTuple(data: Buffer, pos: number): number {
  const count = (data[pos]! << 8) | data[pos + 1]!;
  pos += 2;
  for (let c = 0; c < count; c++) pos = skipField(data, pos);
  return pos;
}

/** Position of column `c` in a TupleData. */
function columnAt(data: Buffer, pos: number, c: number): number {
  pos += 2;
  for (let i = 0; i < c; i++) pos = skipField(data, pos);
  return pos;
}

function skipField(data: Buffer, pos: number): number {
  const kind = data[pos]!;
  return kind === Kind.null || kind === Kind.unchanged ? pos + 1 : pos + 5 + readInt32(data, pos + 1);
}

function valueLength(data: Buffer, pos: number): number {
  const kind = data[pos]!;
  return kind === Kind.null || kind === Kind.unchanged ? 0 : readInt32(data, pos + 1);
}

/** Whether the new tuple of an update leaves out a value that its old tuple does not have either. */
export function lacksValues(data: Buffer, offset: number): boolean {
  const marker = data[offset]!;
  if (marker === Marker.old) return false;
  let pos = offset + 1;
  if (marker !== Marker.new) pos = skipTuple(data, pos) + 1;
  const count = (data[pos]! << 8) | data[pos + 1]!;
  pos += 2;
  for (let c = 0; c < count; c++) {
    if (data[pos] === Kind.unchanged) return true;
    pos = skipField(data, pos);
  }
  return false;
}

function readInt32(buf: Buffer, pos: number): number {
  return (buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!;
}
