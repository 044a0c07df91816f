import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Relation } from '../../core/relation.ts';
import { changeOrdinal, composeVersion } from '../../core/version.ts';
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

export interface FinderOptions {
  encoder: RowEncoder;
  clickhouse: ClickHouse;
  table: TableName;
  epoch: number;
  versionColumn: string;
  fetchSourceRow: FetchSourceRow;
}

/** What one row of a stretch does to its key. */
interface Step {
  row: number;
  before: string;
  /** Undefined for a delete. */
  after: string | undefined;
  /** Where the tuples are of an update that leaves values out. */
  lacking: { tuple: number; old: number } | undefined;
}

/** A row of ClickHouse. */
interface FoundRow {
  values: Buffer[];
  version: bigint;
}

/**
 * Finds the values of columns that updates leave out because they did not change (TOAST): an earlier row of the same
 * stretch, the row in ClickHouse, the row at the source. Everything before the stretch must be durable.
 *
 * The source may have a later row under the key, and so may ClickHouse in a replay. For a row that keeps its key this does no
 * harm: a later change writes it again. A row that moves to another key would carry the wrong value away. So it takes what
 * it became itself, when ClickHouse has it at the very version of the change; else what is sure to come from its own past;
 * else what the source has under the *new* key: that is its own value, or a later change writes it again too.
 */
export class UnchangedValueFinder {
  readonly #encoder: RowEncoder;
  readonly #options: FinderOptions;
  readonly #key = new ByteWriter(256);
  keysPerLookup = maxKeys;

  constructor(options: FinderOptions) {
    this.#encoder = options.encoder;
    this.#options = options;
  }

  /**
   * Prepares rows `from` to `end`. Halves the look-up and returns `undefined` when the values are too large at once.
   * `settledAt`: see `SinkTable`.
   */
  async prepare(
    data: Buffer,
    group: RowGroup,
    transactions: Transactions,
    from: number,
    end: number,
    settledAt: Lsn | undefined,
  ): Promise<KnownValues | undefined> {
    const columns = new Set<number>();
    const steps: Step[] = [];
    const wanted = new Set<string>();
    const written = new Set<string>();
    for (let i = from; i < end; i++) {
      const step = this.#step(data, group, i);
      const { before, after, lacking } = step;
      steps.push(step);
      if (lacking) {
        for (const c of unchangedColumns(data, lacking.tuple)) columns.add(c);
        if (!written.has(before)) wanted.add(before);
        if (after !== undefined && after !== before) wanted.add(after);
      }
      if (before !== after) written.delete(before);
      if (after !== undefined) written.add(after);
    }
    const known = new KnownValues([...columns]);
    if (wanted.size === 0) return known;
    let found: Map<string, FoundRow>;
    try {
      found = await this.#fromClickHouse([...wanted], known.columns);
    } catch (error) {
      if (!isTooLarge(error) || this.keysPerLookup === 1) throw error;
      this.keysPerLookup = Math.ceil(this.keysPerLookup / 4);
      return undefined;
    }
    for (const [key, { values }] of found) known.set(key, values);
    /** Rows that the stretch wrote, and whether their values are sure to be their own. */
    const sure = new Map<string, boolean>();
    for (const step of steps) {
      const { row, before, after } = step;
      let isSure = true;
      if (step.lacking && sure.get(before) !== true) {
        const commitLsn = transactions.commitLsn(group.index[row * RowGroup.stride + RowGroup.transaction]!);
        const version = this.#versionOf(group, row, commitLsn);
        const became = found.get(after!);
        const was = sure.has(before) ? undefined : found.get(before);
        if (became?.version === version + 1n) known.setOwn(row, became.values);
        else if (!was || was.version > version || settledAt === undefined || commitLsn < settledAt) {
          isSure = false;
          await this.#askSource(step, !sure.has(before), data, group.relation, known);
        }
      }
      if (before !== after) sure.delete(before);
      if (after !== undefined) sure.set(after, isSure);
    }
    return known;
  }

  /** A changed key: by the new one. Else, or without success, by the one before, unless something is known of that. */
  async #askSource(
    { row, before, after, lacking }: Step,
    isFirst: boolean,
    data: Buffer,
    relation: Relation,
    known: KnownValues,
  ): Promise<void> {
    const { tuple, old } = lacking!;
    if (before !== after) {
      const values = await this.#fromSource(relation, this.#encoder.rawKey(data, tuple, old), known);
      if (values) {
        known.setOwn(row, values);
        return;
      }
    }
    if (!isFirst || known.has(before)) return;
    const values = await this.#fromSource(
      relation,
      this.#encoder.rawKey(data, old >= 0 ? old : tuple, -1),
      known,
    );
    if (values) known.set(before, values);
  }

  /** Of the tombstone that a changed key leaves; the version of the row itself is one higher. */
  #versionOf(group: RowGroup, i: number, commitLsn: Lsn): bigint {
    const { index } = group;
    const at = i * RowGroup.stride;
    const changeLsn = (BigInt(index[at + RowGroup.lsnHi]!) << 32n) | BigInt(index[at + RowGroup.lsnLo]!);
    const place = index[at + RowGroup.opAndPlace]! >>> 8;
    return composeVersion(this.#options.epoch, commitLsn, changeOrdinal(commitLsn, changeLsn, place));
  }

  async #fromSource(
    relation: Relation,
    key: RawKeyColumn[],
    known: KnownValues,
  ): Promise<Buffer[] | undefined> {
    const names = known.columns.map(c => this.#encoder.columns[c]!.name);
    known.hasAskedSource = true;
    const row = await this.#options.fetchSourceRow(relation, key, names);
    return row?.map((text, i) => this.#encodeText(known.columns[i]!, text));
  }

  #step(data: Buffer, group: RowGroup, i: number): Step {
    const at = i * RowGroup.stride;
    const offset = group.index[at]!;
    const op = group.index[at + RowGroup.opAndPlace]! & 0xff;
    if (op !== Op.update) {
      const key = this.#keyOf(data, offset + 1, -1);
      return { row: i, before: key, after: op === Op.insert ? key : undefined, lacking: undefined };
    }
    const { tuple, old, before, after } = this.#update(data, offset);
    return { row: i, before, after, lacking: lacksValues(data, offset) ? { tuple, old } : undefined };
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

  async #fromClickHouse(keys: string[], wanted: readonly number[]): Promise<Map<string, FoundRow>> {
    const { columns, keyColumns } = this.#encoder;
    const { clickhouse, table, versionColumn } = this.#options;
    const keyNames = keyColumns.map(c => quoteIdentifier(columns[c]!.name)).join(', ');
    const structure = keyColumns
      .map(
        c =>
          `${quoteIdentifier(columns[c]!.name)} ${fullType(columns[c]!.codec.type, true, columns[c]!.nullable)}`,
      )
      .join(', ');
    const hex = keys.map(key => Buffer.from(key, 'latin1').toString('hex')).join('');
    const selected = [...[...keyColumns, ...wanted].map(c => columns[c]!.name), versionColumn];
    const sql =
      `SELECT ${selected.map(quoteIdentifier).join(', ')} FROM ${quoteTableName(table)} FINAL ` +
      `WHERE (${keyNames}) IN (SELECT ${keyNames} FROM format('RowBinary', ${quoteString(structure)}, unhex('${hex}'))) ` +
      'FORMAT RowBinary';
    const bytes = await clickhouse.bytes(sql, {
      max_query_size: sql.length + 1024,
      max_result_bytes: String(maxResultBytes),
      result_overflow_mode: 'throw',
    });
    const found = new Map<string, FoundRow>();
    let pos = 0;
    while (pos < bytes.length) {
      const start = pos;
      for (const c of keyColumns) pos = skipValue(columns[c]!, bytes, pos);
      const key = bytes.toString('latin1', start, pos);
      const values = wanted.map(c => {
        const valueStart = pos;
        pos = skipValue(columns[c]!, bytes, pos);
        return bytes.subarray(valueStart, pos);
      });
      const version = (bytes.readBigUInt64LE(pos + 8) << 64n) | bytes.readBigUInt64LE(pos);
      pos += 16;
      found.set(key, { values, version });
    }
    return found;
  }
}

/** Encoded values by key, of the columns that some update of the stretch leaves out. */
export class KnownValues {
  readonly columns: readonly number[];
  hasAskedSource = false;
  readonly #values = new Map<string, Buffer[]>();
  readonly #own = new Map<number, Buffer[]>();

  constructor(columns: number[]) {
    this.columns = columns;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  set(key: string, values: Buffer[]): void {
    this.#values.set(key, values);
  }

  /** Values of one row of the stretch alone. */
  setOwn(row: number, values: Buffer[]): void {
    this.#own.set(row, values);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }

  /** What the row encoder asks for the columns of one row; `undefined` when neither row nor key has values. */
  reader(row: number, key: string): UnchangedValues | undefined {
    const values = this.#own.get(row) ?? this.#values.get(key);
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
