import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError, withoutStack } from '../../core/errors.ts';
import { postgresEpochUs } from '../../core/postgres-epoch.ts';
import { qualifiedName, type Relation } from '../../core/relation.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { columnAt, readInt32, skipTuple, valueLength } from '../../core/tuple-fields.ts';
import { readVersion, type VersionScheme, writeCopyVersion, writeVersion } from '../../core/version.ts';
import type { ChangePart } from './change-parts.ts';
import { quoteIdentifier } from './names.ts';
import type { Codec, Encode } from './types/codec.ts';
import { InvalidValue } from './types/codec.ts';
import { writeInteger } from './types/int64.ts';

/** A time of PostgreSQL's as µs since 1970. */
export function microsOfPostgres(us: number): bigint {
  return BigInt(us) + BigInt(postgresEpochUs);
}

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
  readonly epoch: number;
  /** Values that did not fit and became NULL. */
  nulled = 0;
  readonly #versions: VersionScheme;
  /** What brings rows into ClickHouse whose values fit now; ends the hint about a value that does not. */
  readonly #remedy: string;
  readonly #flags: number[];
  readonly #nullSeen: Uint8Array;
  readonly #binary: (Encode | undefined)[];
  readonly #text: Encode[];
  readonly #json: (Encode | undefined)[];
  readonly #keyColumns: number[];
  /** The key, and what else the table is ordered by: a row moves in ClickHouse when one of them changes. */
  readonly #placeColumns: number[];
  /** Where each column of the last row began in the output, and where the last one ended. */
  readonly columnStarts: Float64Array;
  /** Column that was being encoded: names the culprit when a value does not fit. */
  #column = 0;

  constructor(
    relation: Relation,
    columns: EncoderColumn[],
    options: {
      epoch: number;
      versions: VersionScheme;
      metaColumns: string[];
      key: string[];
      /** Columns of ORDER BY beyond the key. */
      orderedBeyondKey?: string[];
      remedy: string;
    },
  ) {
    this.relation = relation;
    this.columns = columns;
    this.epoch = options.epoch;
    this.#versions = options.versions;
    this.#remedy = options.remedy;
    this.#binary = columns.map(column => column.codec.binary);
    this.#text = columns.map(column => column.codec.text);
    this.#json = columns.map(column => column.codec.json);
    this.#flags = columns.flatMap((column, i) => (column.nullFlag ? [i] : []));
    this.#nullSeen = new Uint8Array(columns.length);
    this.#keyColumns = options.key.map(name => columns.findIndex(column => column.name === name));
    const beyond = options.orderedBeyondKey ?? [];
    this.#placeColumns = [
      ...this.#keyColumns,
      ...columns.flatMap((column, i) => (beyond.includes(column.name) ? [i] : [])),
    ];
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

  /** Appends one of the rows that a change makes. */
  encodePart(
    { tuple, old, deleted, place }: ChangePart,
    { data, version, committedAtUs }: { data: Buffer; version: bigint; committedAtUs: bigint },
    out: ByteWriter,
    unchanged?: UnchangedValues,
  ): void {
    this.#encodeTuple(data, tuple, out, deleted === 1, old, unchanged);
    this.#writeFlags(out);
    writeVersion(out, version + BigInt(place));
    out.writeByte(deleted);
    writeInteger(out, Number(committedAtUs), 8);
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
          this.#encodeValue(c, textColumns[c] === 0 ? Kind.binary : Kind.text, data, pos, pos + length, out);
          pos += length;
        }
      }
    } catch (error) {
      throw this.#invalid(error);
    }
    this.#writeFlags(out);
    writeCopyVersion(out, this.epoch, baseHi, baseLo, ordinal);
    out.writeByte(0);
    writeInteger(out, copiedAtUs, 8);
  }

  /**
   * Whether an update's old and new tuple have different keys, or differ in what else the table is ordered by; bytes are
   * compared.
   */
  keyChanged(data: Buffer, old: number, fresh: number): boolean {
    for (const c of this.#placeColumns) {
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
      this.encodeField(c, data, at, out);
    }
  }

  /** The key of a tuple as PostgreSQL sends it, in ORDER BY order. */
  rawKey(data: Buffer, tuple: number, fallback: number): { name: string; binary: boolean; value: Buffer }[] {
    return this.#keyColumns.map(c => {
      let at = columnAt(data, tuple, c);
      if (data[at] === Kind.unchanged && fallback >= 0) at = columnAt(data, fallback, c);
      const end = at + 5 + valueLength(data, at);
      const { name, codec } = this.columns[c]!;
      const kind = data[at];
      if (!codec.toPostgresText || (kind !== Kind.text && kind !== Kind.json))
        return { name, binary: kind === Kind.binary, value: Buffer.from(data.subarray(at + 5, end)) };
      const text = new ByteWriter(64);
      codec.toPostgresText[kind === Kind.text ? 'text' : 'json'](data, at + 5, end, text);
      return { name, binary: false, value: text.written() };
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
          else if (old >= 0) this.encodeField(c, data, columnAt(data, old, c), out);
          else if (!unchanged?.(c, out))
            throw new CdcError('PROTOCOL', `the value of "${columns[c]!.name}" was not resolved`);
        } else {
          const length = readInt32(data, pos + 1);
          pos += 5;
          if (tombstone && !columns[c]!.key) this.#encodeOrDefault(c, kind, data, pos, pos + length, out);
          else this.#encodeValue(c, kind, data, pos, pos + length, out);
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

  /** Appends the value of column `c` whose field is at `at`. Throws `InvalidValue`. */
  encodeField(c: number, data: Buffer, at: number, out: ByteWriter): void {
    if (data[at] === Kind.null) this.#encodeNull(c, out, false);
    else this.#encodeValue(c, data[at]!, data, at + 5, at + 5 + valueLength(data, at), out);
  }

  #encodeValue(c: number, kind: number, data: Buffer, start: number, end: number, out: ByteWriter): void {
    const column = this.columns[c]!;
    if (column.nullFlag) this.#nullSeen[c] = 0;
    if (column.nullIfInvalid) {
      this.#encodeOrNull(c, kind, data, start, end, out);
      return;
    }
    if (column.nullable) out.writeByte(0);
    this.#encoder(c, kind)(data, start, end, out);
  }

  #encoder(c: number, kind: number): Encode {
    if (kind === Kind.text) return this.#text[c]!;
    const encode = kind === Kind.binary ? this.#binary[c] : this.#json[c];
    if (!encode)
      throw new CdcError(
        'TUPLE_FORMAT',
        `column "${this.columns[c]!.name}" came in a form (kind ${String.fromCharCode(kind)}) that is not decoded`,
      );
    return encode;
  }

  #encodeOrNull(c: number, kind: number, data: Buffer, start: number, end: number, out: ByteWriter): void {
    const { pos } = out;
    out.writeByte(0);
    try {
      this.#encoder(c, kind)(data, start, end, out);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      out.pos = pos;
      out.writeByte(1);
      this.nulled++;
    }
  }

  /** Values beside the key do not matter in a tombstone: what does not fit is left empty. */
  #encodeOrDefault(c: number, kind: number, data: Buffer, start: number, end: number, out: ByteWriter): void {
    const { pos } = out;
    try {
      this.#encodeValue(c, kind, data, start, end, out);
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
    this.#writeVersion(group, at, placeOffset, transactions, out);
    out.writeByte(deleted);
    const transaction = group.index[at + RowGroup.transaction]!;
    writeInteger(out, transactions.committedAtUs[transaction]! + postgresEpochUs, 8);
  }

  #writeVersion(
    group: RowGroup,
    at: number,
    placeOffset: number,
    transactions: Transactions,
    out: ByteWriter,
  ): void {
    const { index } = group;
    const transaction = index[at + RowGroup.transaction]!;
    this.#versions.write(
      out,
      this.epoch,
      transactions.commitHi[transaction]!,
      transactions.commitLo[transaction]! | 0,
      index[at + RowGroup.lsnHi]!,
      index[at + RowGroup.lsnLo]! | 0,
      (index[at + RowGroup.opAndPlace]! >>> 8) + placeOffset,
    );
  }

  /** The version of row `i`; of an update that of the tombstone of its old key, the row itself has one more. */
  versionOf(group: RowGroup, i: number, transactions: Transactions): bigint {
    const out = new ByteWriter(16);
    this.#writeVersion(group, i * RowGroup.stride, 0, transactions, out);
    return readVersion(out.buf, 0);
  }

  #writeFlags(out: ByteWriter): void {
    const flags = this.#flags;
    for (let i = 0; i < flags.length; i++) out.writeByte(this.#nullSeen[flags[i]!]!);
  }

  /** VALUE_INVALID for an `InvalidValue` of the column that was encoded last; other errors as they are. */
  #invalid(error: unknown): unknown {
    return error instanceof InvalidValue ? this.valueInvalid(this.#column, error.message) : error;
  }

  valueInvalid(c: number, reason: string): CdcError {
    const { name: column, codec, key } = this.columns[c]!;
    const name = qualifiedName(this.relation);
    const hint = `Set columns."${name}.${column}".onInvalid to ${key ? 'string' : 'null, clamp or string'}, or choose a wider type; then ${this.#remedy}.`;
    const message = `table ${name}, column "${column}" (${codec.type}): ${reason}`;
    // A column full of such values must not cost a stack each.
    return withoutStack(() => new CdcError('VALUE_INVALID', message, { table: name, hint }));
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
