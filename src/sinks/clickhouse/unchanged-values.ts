import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { crashPoint } from '../../core/crash-point.ts';
import { CdcError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Relation } from '../../core/relation.ts';
import { Marker } from '../../core/tuple.ts';
import { changeOrdinal, composeVersion } from '../../core/version.ts';
import type { ClickHouse } from './client.ts';
import { KnownValues } from './known-values.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName } from './names.ts';
import { type EncoderColumn, lacksValues, type RowEncoder, skipTuple } from './row-encoder.ts';
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

/** Keys per look-up at most, fewer while the values found are larger than this. */
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
  /** Names of the columns that an update may leave out. */
  columns: ReadonlySet<string>;
  clickhouse: ClickHouse;
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
 * Finds the values of columns that updates leave out because they did not change (TOAST): what the stream said of the row
 * before, the row in ClickHouse, the row at the source. Everything before a stretch must be durable.
 *
 * The source may have a later row under the key, and so may ClickHouse in a replay. For a row that keeps its key this does no
 * harm: a later change writes it again. A row that moves to another key would carry the wrong value away. So it takes what
 * it became itself, when ClickHouse has it at the very version of the change; else what is sure to come from its own past;
 * else what the source has under the *new* key: that is its own value, or a later change writes it again too.
 */
export class UnchangedValueFinder {
  readonly encoder: RowEncoder;
  readonly known: KnownValues;
  readonly #options: FinderOptions;
  readonly #key = new ByteWriter(256);
  /** How many rows that lack values one stretch may have. */
  keysPerLookup = maxKeys;
  /** Whether values of the last stretch came from the source. */
  hasAskedSource = false;
  /** Rows of the last stretch that may have values of another time. */
  readonly #unsureRows = new Set<number>();

  constructor(options: FinderOptions) {
    this.encoder = options.encoder;
    this.#options = options;
    this.known = new KnownValues(
      options.encoder.columns.flatMap((column, c) => (options.columns.has(column.name) ? [c] : [])),
    );
  }

  /**
   * Prepares rows `from` to `end`: `known` has what they lack. Shortens the look-up and returns false when the values are
   * too large at once. `settledAt`: see `SinkTable`.
   */
  async prepare(
    data: Buffer,
    group: RowGroup,
    transactions: Transactions,
    {
      from,
      end,
      table,
      settledAt,
    }: { from: number; end: number; table: TableName; settledAt: Lsn | undefined },
  ): Promise<boolean> {
    const { known } = this;
    const steps: Step[] = [];
    const wanted = new Set<string>();
    const written = new Set<string>();
    for (let i = from; i < end; i++) {
      const step = this.#step(data, group, i);
      const { before, after, lacking } = step;
      steps.push(step);
      if (lacking && (written.has(before) || !known.has(before))) {
        if (!written.has(before)) wanted.add(before);
        if (after !== undefined && after !== before) wanted.add(after);
      }
      if (before !== after) written.delete(before);
      if (after !== undefined) written.add(after);
    }
    this.hasAskedSource = false;
    this.#unsureRows.clear();
    if (wanted.size === 0) return true;
    crashPoint('toast-lookup');
    let found: Map<string, FoundRow>;
    try {
      found = await this.#fromClickHouse([...wanted], table);
    } catch (error) {
      if (!isTooLarge(error) || this.keysPerLookup === 1) throw error;
      this.keysPerLookup = Math.ceil(this.keysPerLookup / 4);
      return false;
    }
    this.keysPerLookup = Math.min(maxKeys, this.keysPerLookup * 2);
    for (const [key, { values }] of found) if (!known.has(key)) known.set(key, values, false);
    /** Rows that the stretch wrote, and whether their values are sure to be their own. */
    const sure = new Map<string, boolean>();
    for (const step of steps) {
      const { row, before, after } = step;
      let isSure = true;
      if (step.lacking && !(sure.get(before) ?? known.isSure(before))) {
        const commitLsn = transactions.commitLsn(group.index[row * RowGroup.stride + RowGroup.transaction]!);
        const version = this.#versionOf(group, row, commitLsn);
        const became = found.get(after!);
        const was = sure.has(before) ? undefined : found.get(before);
        const isSettled = settledAt !== undefined && commitLsn >= settledAt;
        if (became?.version === version + 1n) {
          // Before a crash it may have been given a value of later.
          known.setOwn(row, became.values);
          isSure = isSettled;
        } else if (!was || was.version > version || !isSettled) {
          isSure = false;
          await this.#askSource(step, !sure.has(before), data, group.relation);
        }
      }
      if (!isSure) this.#unsureRows.add(row);
      if (before !== after) sure.delete(before);
      if (after !== undefined) sure.set(after, isSure);
    }
    return true;
  }

  /** Appends row `i` of the stretch. Returns false when the values that it lacks exist nowhere any more. */
  encodeChange(
    data: Buffer,
    group: RowGroup,
    i: number,
    transactions: Transactions,
    out: ByteWriter,
  ): boolean {
    const { encoder, known } = this;
    const { before, after, lacking } = this.#step(data, group, i);
    const values = known.reader(i, before);
    const isThere = !lacking || values !== undefined;
    if (isThere) encoder.encodeChange(data, group, i, transactions, out, values);
    else encoder.encodeVanished(data, group, i, transactions, out);
    if (before !== after) known.delete(before);
    if (after !== undefined) {
      if (isThere) known.remember(after, encoder, out, !this.#unsureRows.has(i));
      else known.delete(after);
    }
    return isThere;
  }

  /** Forgets what is known of the rows that `from` to `end` change. */
  forget(data: Buffer, group: RowGroup, from: number, end: number): void {
    if (this.known.size === 0) return;
    for (let i = from; i < end; i++) {
      const { before, after } = this.#step(data, group, i);
      this.known.delete(before);
      if (after !== undefined) this.known.delete(after);
    }
  }

  /** A changed key: by the new one. Else, or without success, by the one before, unless something is known of that. */
  async #askSource(
    { row, before, after, lacking }: Step,
    isFirst: boolean,
    data: Buffer,
    relation: Relation,
  ): Promise<void> {
    const { encoder, known } = this;
    const { tuple, old } = lacking!;
    if (before !== after) {
      const values = await this.#fromSource(relation, encoder.rawKey(data, tuple, old));
      if (values) {
        known.setOwn(row, values);
        return;
      }
    }
    if (!isFirst || known.has(before)) return;
    const values = await this.#fromSource(relation, encoder.rawKey(data, old >= 0 ? old : tuple, -1));
    if (values) known.set(before, values, false);
  }

  /** Of the tombstone that a changed key leaves; the version of the row itself is one higher. */
  #versionOf(group: RowGroup, i: number, commitLsn: Lsn): bigint {
    const { index } = group;
    const at = i * RowGroup.stride;
    const changeLsn = (BigInt(index[at + RowGroup.lsnHi]!) << 32n) | BigInt(index[at + RowGroup.lsnLo]!);
    const place = index[at + RowGroup.opAndPlace]! >>> 8;
    return composeVersion(this.#options.epoch, commitLsn, changeOrdinal(commitLsn, changeLsn, place));
  }

  async #fromSource(relation: Relation, key: RawKeyColumn[]): Promise<Buffer[] | undefined> {
    const { columns } = this.known;
    const names = columns.map(c => this.encoder.columns[c]!.name);
    this.hasAskedSource = true;
    const row = await this.#options.fetchSourceRow(relation, key, names);
    return row?.map((text, i) => this.#encodeText(columns[i]!, text));
  }

  #step(data: Buffer, group: RowGroup, i: number): Step {
    const at = i * RowGroup.stride;
    const offset = group.index[at]!;
    const op = group.index[at + RowGroup.opAndPlace]! & 0xff;
    if (op !== Op.update) {
      const key = this.#keyOf(data, offset + 1, -1);
      return { row: i, before: key, after: op === Op.insert ? key : undefined, lacking: undefined };
    }
    let tuple = offset + 1;
    let old = -1;
    if (data[offset] !== Marker.new) {
      old = tuple;
      tuple = skipTuple(data, tuple) + 1;
    }
    const after = this.#keyOf(data, tuple, old);
    const before = old >= 0 ? this.#keyOf(data, old, -1) : after;
    return { row: i, before, after, lacking: lacksValues(data, offset) ? { tuple, old } : undefined };
  }

  #keyOf(data: Buffer, tuple: number, fallback: number): string {
    this.#key.pos = 0;
    this.encoder.encodeKey(data, tuple, fallback, this.#key);
    return this.#key.buf.toString('latin1', 0, this.#key.pos);
  }

  #encodeText(c: number, text: string | null): Buffer {
    const { codec, nullable } = this.encoder.columns[c]!;
    const out = new ByteWriter(64);
    if (nullable) out.writeByte(text === null ? 1 : 0);
    if (text !== null) {
      const bytes = Buffer.from(text);
      codec.text(bytes, 0, bytes.length, out);
    } else if (!nullable) codec.writeDefault(out);
    return out.written();
  }

  async #fromClickHouse(keys: string[], table: TableName): Promise<Map<string, FoundRow>> {
    const { columns, keyColumns } = this.encoder;
    const { columns: wanted } = this.known;
    const { clickhouse, versionColumn } = this.#options;
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

function skipValue(column: EncoderColumn, buf: Buffer, pos: number): number {
  if (column.nullable && buf[pos++] === 1) return pos;
  return column.codec.skip(buf, pos);
}

function isTooLarge(error: unknown): boolean {
  return error instanceof CdcError && (error.cause as { code?: string } | undefined)?.code === resultTooLarge;
}
