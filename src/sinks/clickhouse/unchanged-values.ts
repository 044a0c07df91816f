import { Op, RowGroup } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import type { Relation } from '../../core/relation.ts';
import type { ClickHouse } from './client.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName } from './names.ts';
import {
  type EncoderColumn,
  lacksValues,
  type RowEncoder,
  skipTuple,
  type UnchangedValues,
} from './row-encoder.ts';
import { fullType } from './types/registry.ts';

/** One column of a key as PostgreSQL sent it. */
export interface RawKeyColumn {
  name: string;
  binary: boolean;
  value: Buffer;
}

/** Reads columns of one row of the source as it is now, as text; `undefined` when there is no such row. */
export type FetchSourceRow = (
  relation: Relation,
  key: RawKeyColumn[],
  columns: string[],
) => Promise<(string | null)[] | undefined>;

const markerNew = 0x4e; // 'N'
/** Keys per look-up at first; halved while the values found are larger than this. */
const maxKeys = 2000;
const maxResultBytes = 64 << 20;
const resultTooLarge = '396';

/** How many rows from `from` on lack values; rows beyond `limit` are not looked at. Returns the end of the stretch. */
export function countLacking(
  data: Buffer,
  group: RowGroup,
  from: number,
  limit: number,
): { lacking: number; end: number } {
  let lacking = 0;
  let i = from;
  for (; i < group.count && lacking < limit; i++) {
    const at = i * RowGroup.stride;
    if ((group.index[at + RowGroup.opAndPlace]! & 0xff) === Op.update && lacksValues(data, group.index[at]!))
      lacking++;
  }
  return { lacking, end: i };
}

/**
 * Finds the values of columns that updates leave out because they did not change (TOAST): an earlier row of the same
 * stretch, the row in ClickHouse, the row at the source. Everything before the stretch must be durable.
 */
export class UnchangedValueFinder {
  readonly #encoder: RowEncoder;
  readonly #clickhouse: ClickHouse;
  readonly #table: TableName;
  readonly #fetchSourceRow: FetchSourceRow;
  readonly #key = new ByteWriter(256);
  keysPerLookup = maxKeys;

  constructor(encoder: RowEncoder, clickhouse: ClickHouse, table: TableName, fetchSourceRow: FetchSourceRow) {
    this.#encoder = encoder;
    this.#clickhouse = clickhouse;
    this.#table = table;
    this.#fetchSourceRow = fetchSourceRow;
  }

  /** Prepares rows `from` to `end`. Halves the look-up and returns `undefined` when the values are too large at once. */
  async prepare(data: Buffer, group: RowGroup, from: number, end: number): Promise<KnownValues | undefined> {
    const columns = new Set<number>();
    const wanted = new Map<string, { fresh: RawKeyColumn[]; old: RawKeyColumn[] | undefined }>();
    const written = new Set<string>();
    for (let i = from; i < end; i++) {
      const at = i * RowGroup.stride;
      const offset = group.index[at]!;
      const op = group.index[at + RowGroup.opAndPlace]! & 0xff;
      if (op !== Op.update) {
        const key = this.#keyOf(data, offset + 1, -1);
        if (op === Op.insert) written.add(key);
        else written.delete(key);
        continue;
      }
      const row = this.#update(data, offset);
      if (lacksValues(data, offset)) {
        for (const c of unchangedColumns(data, row.tuple)) columns.add(c);
        if (!written.has(row.before)) {
          wanted.set(row.before, {
            fresh: this.#encoder.rawKey(data, row.tuple, row.old),
            old: row.old >= 0 ? this.#encoder.rawKey(data, row.old, -1) : undefined,
          });
        }
      }
      if (row.before !== row.after) written.delete(row.before);
      written.add(row.after);
    }
    const known = new KnownValues([...columns]);
    if (wanted.size === 0) return known;
    try {
      await this.#fromClickHouse([...wanted.keys()], known);
    } catch (error) {
      if (!isTooLarge(error) || this.keysPerLookup === 1) throw error;
      this.keysPerLookup = Math.ceil(this.keysPerLookup / 4);
      return undefined;
    }
    for (const [key, raw] of wanted) {
      if (known.has(key)) continue;
      const names = known.columns.map(c => this.#encoder.columns[c]!.name);
      const row =
        (await this.#fetchSourceRow(group.relation, raw.fresh, names)) ??
        (raw.old && (await this.#fetchSourceRow(group.relation, raw.old, names)));
      if (row)
        known.set(
          key,
          row.map((text, i) => this.#encodeText(known.columns[i]!, text)),
        );
    }
    return known;
  }

  /** Where row `i`, an update, has its tuples, and the keys before and after it. */
  #update(data: Buffer, offset: number): { tuple: number; old: number; before: string; after: string } {
    let tuple = offset + 1;
    let old = -1;
    if (data[offset] !== markerNew) {
      old = tuple;
      tuple = skipTuple(data, tuple) + 1;
    }
    const after = this.#keyOf(data, tuple, old);
    return { tuple, old, before: old >= 0 ? this.#keyOf(data, old, -1) : after, after };
  }

  /** The keys before and after change `i`; equal but for a changed key. */
  keys(data: Buffer, group: RowGroup, i: number): { before: string; after: string } {
    const at = i * RowGroup.stride;
    const offset = group.index[at]!;
    if ((group.index[at + RowGroup.opAndPlace]! & 0xff) === Op.update) return this.#update(data, offset);
    const key = this.#keyOf(data, offset + 1, -1);
    return { before: key, after: key };
  }

  #keyOf(data: Buffer, tuple: number, fallback: number): string {
    this.#key.pos = 0;
    this.#encoder.encodeKey(data, tuple, fallback, this.#key);
    return this.#key.buf.toString('latin1', 0, this.#key.pos);
  }

  #encodeText(c: number, text: string | null): Buffer {
    const { codec, nullable } = this.#encoder.columns[c]!;
    const out = new ByteWriter(64);
    if (nullable) out.writeByte(text === null ? 1 : 0);
    if (text !== null) {
      const bytes = Buffer.from(text);
      codec.text(bytes, 0, bytes.length, out);
    } else if (!nullable) codec.writeDefault(out);
    return out.written();
  }

  async #fromClickHouse(keys: string[], known: KnownValues): Promise<void> {
    const { columns, keyColumns } = this.#encoder;
    const keyNames = keyColumns.map(c => quoteIdentifier(columns[c]!.name)).join(', ');
    const structure = keyColumns
      .map(
        c =>
          `${quoteIdentifier(columns[c]!.name)} ${fullType(columns[c]!.codec.type, true, columns[c]!.nullable)}`,
      )
      .join(', ');
    const hex = keys.map(key => Buffer.from(key, 'latin1').toString('hex')).join('');
    const selected = [...keyColumns, ...known.columns];
    const sql =
      `SELECT ${selected.map(c => quoteIdentifier(columns[c]!.name)).join(', ')} FROM ${quoteTableName(this.#table)} FINAL ` +
      `WHERE (${keyNames}) IN (SELECT ${keyNames} FROM format('RowBinary', ${quoteString(structure)}, unhex('${hex}'))) ` +
      'FORMAT RowBinary';
    const found = await this.#clickhouse.bytes(sql, {
      max_query_size: sql.length + 1024,
      max_result_bytes: String(maxResultBytes),
      result_overflow_mode: 'throw',
    });
    let pos = 0;
    while (pos < found.length) {
      const start = pos;
      for (const c of keyColumns) pos = skipValue(columns[c]!, found, pos);
      const key = found.toString('latin1', start, pos);
      const values = known.columns.map(c => {
        const valueStart = pos;
        pos = skipValue(columns[c]!, found, pos);
        return found.subarray(valueStart, pos);
      });
      known.set(key, values);
    }
  }
}

/** Encoded values by key, of the columns that some update of the stretch leaves out. */
export class KnownValues {
  readonly columns: readonly number[];
  readonly #values = new Map<string, Buffer[]>();

  constructor(columns: number[]) {
    this.columns = columns;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  set(key: string, values: Buffer[]): void {
    this.#values.set(key, values);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }

  /** What the row encoder asks for the columns of one row; `undefined` when the key has no values. */
  reader(key: string): UnchangedValues | undefined {
    const values = this.#values.get(key);
    if (!values) return undefined;
    return (column, out) => {
      const bytes = values[this.columns.indexOf(column)];
      if (!bytes) return false;
      out.writeBytes(bytes, 0, bytes.length);
      return true;
    };
  }

  /** Remembers the values of the row that was encoded last. */
  remember(key: string, encoder: RowEncoder, out: ByteWriter): void {
    this.#values.set(
      key,
      this.columns.map(c =>
        Buffer.from(out.buf.subarray(encoder.columnStarts[c]!, encoder.columnStarts[c + 1]!)),
      ),
    );
  }
}

function skipValue(column: EncoderColumn, buf: Buffer, pos: number): number {
  if (column.nullable && buf[pos++] === 1) return pos;
  return column.codec.skip(buf, pos);
}

function unchangedColumns(data: Buffer, tuple: number): number[] {
  const found: number[] = [];
  const count = data.readUInt16BE(tuple);
  let pos = tuple + 2;
  for (let c = 0; c < count; c++) {
    const kind = data[pos]!;
    if (kind === 0x75) found.push(c);
    pos += kind === 0x6e || kind === 0x75 ? 1 : 5 + data.readInt32BE(pos + 1);
  }
  return found;
}

function isTooLarge(error: unknown): boolean {
  return error instanceof CdcError && (error.cause as { code?: string } | undefined)?.code === resultTooLarge;
}
