import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { crashPoint } from '../../core/crash-point.ts';
import { CdcError, withoutStack } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import { qualifiedName, type Relation } from '../../core/relation.ts';
import { Kind } from '../../core/tuple.ts';
import { columnAt, lacksValues } from '../../core/tuple-fields.ts';
import { encodeTombstone, loneChange } from './change-parts.ts';
import type { ClickHouse } from './client.ts';
import { type DeadLetter, keyText } from './dead-letter.ts';
import { type FoundRow, isTooLarge, KeyLookup } from './key-lookup.ts';
import { KnownValues } from './known-values.ts';
import { type LetterValues, lastBefore } from './letter-values.ts';
import type { TableName } from './names.ts';
import type { RowEncoder } from './row-encoder.ts';
import { isValidKey, RowSteps, type Step } from './row-steps.ts';
import { type LetterParts, RowValues, textField } from './row-values.ts';
import { InvalidValue } from './types/codec.ts';

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
  versionColumn: string;
  /** Absent where no source can be asked. */
  fetchSourceRow: FetchSourceRow | undefined;
  letters: LetterValues;
  /** What stands for such values in envelopes. */
  placeholder: string;
  /** Whether a change of one key comes behind the earlier ones of other keys. Not out of several partitions. */
  inOrder: boolean;
}

/**
 * Finds the values of columns that updates leave out because they did not change (TOAST): what the stream said of the row
 * before, its dead letter, the row in ClickHouse, the row at the source. Everything before a stretch must be durable.
 *
 * The source may have a later row under the key, and so may ClickHouse in a replay. For a row that keeps its key this does no
 * harm: a later change writes it again. A row that moves to another key would carry the wrong value away. So it takes what
 * it became itself, when ClickHouse has it at the very version of the change; else what is sure to come from its own past;
 * else what the source has under the *new* key: that is its own value, or a later change writes it again too. Where changes
 * come out of several partitions, nothing that is known of the key before is sure: its last value may be still to come.
 */
export class UnchangedValueFinder {
  readonly encoder: RowEncoder;
  readonly known: KnownValues;
  readonly #options: FinderOptions;
  readonly #lookup: KeyLookup;
  readonly #steps: RowSteps;
  /** How many rows that lack values one stretch may have. */
  keysPerLookup = maxKeys;
  /** Whether values of the last stretch came from the source. */
  hasAskedSource = false;
  /** Rows of the last stretch that may have values of another time. */
  readonly #unsureRows = new Set<number>();
  readonly #own: RowValues;
  /** Without a source: versions of keys that nothing was found for, as far as ClickHouse has something of them. */
  #newest: ReadonlyMap<string, bigint> = new Map();
  /** Keys whose rows went to the dead letters since the stretch was prepared. */
  readonly #spoiled = new Set<string>();

  constructor(options: FinderOptions) {
    this.encoder = options.encoder;
    this.#options = options;
    this.#steps = new RowSteps(options.encoder);
    this.#lookup = new KeyLookup(options.encoder, options.clickhouse, options.versionColumn);
    const { encoder, columns, placeholder } = options;
    const places = encoder.columns.flatMap((column, c) => (columns.has(column.name) ? [c] : []));
    this.known = new KnownValues(
      places,
      places.map(c => {
        const { codec } = encoder.columns[c]!;
        const isText = encoder.relation.columns[c]!.wire !== undefined && /String/.test(codec.type);
        return isText ? encodePlaceholder(placeholder, encoder.columns[c]!.nullable) : undefined;
      }),
    );
    this.#own = new RowValues(options.encoder, this.known);
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
    const { letters } = this.#options;
    const steps: Step[] = [];
    const wanted = new Set<string>();
    const written = new Set<string>();
    /** Keys that may have letters, as those have them. */
    const lettered = new Map<string, string>();
    for (let i = from; i < end; i++) {
      const step = this.#steps.of(data, group, i);
      const { before, after, lacking } = step;
      steps.push(step);
      if (lacking && (this.#isUnordered(step) || written.has(before) || !known.has(before))) {
        if (!written.has(before)) wanted.add(before);
        if (after !== undefined && after !== before) wanted.add(after);
        if (!letters.isEmpty && !written.has(before)) this.#addLettered(step, data, lettered);
      }
      if (this.#endsKey(step)) written.delete(before);
      if (after !== undefined) written.add(after);
    }
    this.hasAskedSource = false;
    this.#unsureRows.clear();
    this.#own.clear();
    this.#spoiled.clear();
    if (wanted.size === 0) return true;
    crashPoint('toast-lookup');
    let found: Map<string, FoundRow>;
    try {
      found = await this.#lookup.rows([...wanted].filter(isValidKey), known.columns, table);
    } catch (error) {
      if (!isTooLarge(error) || this.keysPerLookup === 1) throw error;
      this.keysPerLookup = Math.ceil(this.keysPerLookup / 4);
      return false;
    }
    this.keysPerLookup = Math.min(maxKeys, this.keysPerLookup * 2);
    for (const [key, { values }] of found) if (!known.has(key)) known.set(key, values, false);
    const unknown = [...wanted].filter(key => isValidKey(key) && !found.has(key));
    this.#newest =
      this.#options.fetchSourceRow || unknown.length === 0
        ? new Map()
        : await this.#lookup.newestVersions(unknown, table);
    const set = lettered.size > 0 ? await letters.find(new Set(lettered.values())) : undefined;
    const newest = set?.size
      ? await this.#lookup.newestVersions([...lettered.keys()].filter(isValidKey), table)
      : undefined;
    const lettersOf = (key: string | undefined) => set?.get(lettered.get(key ?? '') ?? '');
    /** Rows that the stretch wrote, and whether their values are sure to be their own. */
    const sure = new Map<string, boolean>();
    for (const step of steps) {
      const { row, before, after } = step;
      let isSure = true;
      const isUnordered = this.#isUnordered(step);
      if (step.lacking && (isUnordered || !(sure.get(before) ?? known.isSure(before)))) {
        const commitLsn = transactions.commitLsn(group.index[row * RowGroup.stride + RowGroup.transaction]!);
        const version = this.encoder.versionOf(group, row, transactions);
        const became = found.get(after!);
        const was = sure.has(before) ? undefined : found.get(before);
        const isSettled = settledAt !== undefined && commitLsn >= settledAt;
        const own = lettersOf(after)?.find(other => other.version === version);
        const letter = sure.has(before)
          ? undefined
          : lastBefore(lettersOf(before), version, newest?.get(before));
        if (own && this.#takeFrom(own, step, data, group)) {
          // As the next one, but that the row went to the dead letters.
          isSure = isSettled;
        } else if (became?.version === version + 1n) {
          // Before a crash it may have been given a value of later.
          known.setOwn(row, became.values);
          isSure = isSettled;
        } else if (isUnordered && (await this.#askNewKey(step, data, group))) {
          isSure = false;
        } else if (letter) {
          isSure = isSettled || this.#isExact(letter, step, data);
          const isFound = !isSure && before !== after && (await this.#askNewKey(step, data, group));
          if (!isFound && !this.#takeFrom(letter, step, data, group)) {
            isSure = false;
            await this.#askSource(step, true, data, group);
          }
        } else if (!was || was.version > version || !isSettled) {
          isSure = false;
          await this.#askSource(step, !sure.has(before), data, group);
        }
      }
      if (!isSure) this.#unsureRows.add(row);
      if (this.#endsKey(step)) sure.delete(before);
      if (after !== undefined) sure.set(after, isSure);
    }
    return true;
  }

  /** Whether what is known of the key before may be older than the row that moved away from it. */
  #isUnordered({ before, after }: Step): boolean {
    return before !== after && !this.#options.inOrder;
  }

  /**
   * Whether there is no row under the key before any more. A move that comes out of another partition than the changes of that
   * key does not say so: in between another row may have taken the key.
   */
  #endsKey(step: Step): boolean {
    return step.before !== step.after && (step.after === undefined || !this.#isUnordered(step));
  }

  /** Whether row `i` of the stretch lacks what only a letter has that was written since the stretch was prepared. */
  needsLetters(data: Buffer, group: RowGroup, i: number): boolean {
    if (this.#spoiled.size === 0) return false;
    const { before, lacking } = this.#steps.of(data, group, i);
    return lacking !== undefined && this.#spoiled.has(before);
  }

  /** Appends row `i` of the stretch. Returns false when the values that it lacks exist nowhere any more. */
  encodeChange(
    data: Buffer,
    group: RowGroup,
    i: number,
    transactions: Transactions,
    out: ByteWriter,
  ): boolean {
    this.#own.requireFitting(i);
    const { encoder, known } = this;
    const step = this.#steps.of(data, group, i);
    const { before, after, lacking } = step;
    const values = known.reader(i, before);
    const respelled = this.#own.respelled(i);
    const isThere = !lacking || values !== undefined;
    if (respelled) encoder.encodeChange(respelled.data, respelled.group, 0, transactions, out, values);
    else if (isThere) encoder.encodeChange(data, group, i, transactions, out, values);
    else if (!this.#options.fetchSourceRow && !this.#isOutdated(group, i, transactions, before, after))
      throw withoutStack(() => missingValue(encoder, keyText(encoder, data, lacking.tuple, lacking.old)));
    else encodeTombstone(encoder, loneChange(encoder, data, group, i, transactions), out);
    if (this.#endsKey(step)) known.delete(before);
    if (after !== undefined) {
      this.#spoiled.delete(after);
      if (isThere) known.remember(after, encoder, out, !this.#unsureRows.has(i));
      else known.delete(after);
    }
    return isThere;
  }

  /** Whether ClickHouse has something newer of the row, a tombstone at least: then what it lacks is gone for good. */
  #isOutdated(
    group: RowGroup,
    i: number,
    transactions: Transactions,
    before: string,
    after: string | undefined,
  ): boolean {
    const version = this.encoder.versionOf(group, i, transactions);
    return [before, after].some(key => key !== undefined && (this.#newest.get(key) ?? 0n) > version);
  }

  /**
   * Row `i` of the stretch goes to the dead letters: gives what its letter is to hold, and forgets what was known of the row
   * before.
   */
  setAside(data: Buffer, group: RowGroup, i: number): LetterParts {
    const step = this.#steps.of(data, group, i);
    const { before, after } = step;
    const parts = this.#own.ofLetter(step, data, group);
    if (this.#endsKey(step)) {
      this.known.delete(before);
      this.#spoiled.delete(before);
    }
    if (after !== undefined) {
      this.known.delete(after);
      this.#spoiled.add(after);
    }
    return parts;
  }

  /** Forgets what is known of the rows that `from` to `end` change. */
  forget(data: Buffer, group: RowGroup, from: number, end: number): void {
    if (this.known.size === 0) return;
    for (let i = from; i < end; i++) {
      const { before, after } = this.#steps.of(data, group, i);
      this.known.delete(before);
      if (after !== undefined) this.known.delete(after);
    }
  }

  /** A changed key: by the new one. Else, or without success, by the one before, unless something is known of that. */
  async #askSource(step: Step, isFirst: boolean, data: Buffer, group: RowGroup): Promise<void> {
    const { encoder, known } = this;
    const { row, before, after, lacking } = step;
    const { tuple, old } = lacking!;
    if (before !== after && (await this.#askNewKey(step, data, group))) return;
    if (!isFirst || known.has(before)) return;
    const found = await this.#fromSource(group.relation, encoder.rawKey(data, old >= 0 ? old : tuple, -1));
    if (!found) return;
    const { values, fieldOf } = found;
    if (values.every(value => Buffer.isBuffer(value))) known.set(before, values, false);
    else this.#own.set(row, values, data, group, fieldOf);
  }

  async #askNewKey({ row, lacking }: Step, data: Buffer, group: RowGroup): Promise<boolean> {
    const { tuple, old } = lacking!;
    const found = await this.#fromSource(group.relation, this.encoder.rawKey(data, tuple, old));
    if (found) this.#own.set(row, found.values, data, group, found.fieldOf);
    return found !== undefined;
  }

  /** Whether a letter has what a row lacks as the stream said it: what was copied or looked up for it may be of later. */
  #isExact({ op, kept }: DeadLetter, { lacking }: Step, data: Buffer): boolean {
    return (
      op !== 'copy' &&
      !kept.some(({ column }) => {
        const c = this.encoder.columns.findIndex(({ name }) => name === column);
        return c >= 0 && data[columnAt(data, lacking!.tuple, c)] === Kind.unchanged;
      })
    );
  }

  /** Takes what a row lacks from a letter. False when that does not have it all. */
  #takeFrom(letter: DeadLetter, { row, lacking }: Step, data: Buffer, group: RowGroup): boolean {
    const { letters } = this.#options;
    const names = this.known.columns.map(c => this.encoder.columns[c]!.name);
    const values = letters.valuesOf(letter, names);
    const isComplete = this.known.columns.every(
      (c, n) => values[n] !== undefined || data[columnAt(data, lacking!.tuple, c)] !== Kind.unchanged,
    );
    if (!isComplete) return false;
    this.#own.set(row, values, data, group, n => letters.fieldOf(letter, names[n]!, group.relation));
    return true;
  }

  async #fromSource(
    relation: Relation,
    key: RawKeyColumn[],
  ): Promise<{ values: (Buffer | InvalidValue)[]; fieldOf: (n: number) => Buffer | undefined } | undefined> {
    const { columns } = this.known;
    const names = columns.map(c => this.encoder.columns[c]!.name);
    this.hasAskedSource = true;
    const row = await this.#options.fetchSourceRow?.(relation, key, names);
    return (
      row && {
        values: row.map((text, n) => this.#encodeText(columns[n]!, text)),
        fieldOf: n => (relation.columns[columns[n]!]!.wire ? undefined : textField(row[n]!)),
      }
    );
  }

  #addLettered({ before, after, lacking }: Step, data: Buffer, lettered: Map<string, string>): void {
    const { tuple, old } = lacking!;
    const add = (key: string, text: string) => {
      if (this.#options.letters.mayHave(text)) lettered.set(key, text);
    };
    add(before, keyText(this.encoder, data, old >= 0 ? old : tuple, -1));
    if (after !== undefined && after !== before) add(after, keyText(this.encoder, data, tuple, old));
  }

  #encodeText(c: number, text: string | null): Buffer | InvalidValue {
    const { codec, nullable, nullIfInvalid } = this.encoder.columns[c]!;
    const out = new ByteWriter(64);
    if (nullable) out.writeByte(text === null ? 1 : 0);
    if (text === null) {
      if (!nullable) codec.writeDefault(out);
      return out.written();
    }
    const bytes = Buffer.from(text);
    try {
      codec.postgresText(bytes, 0, bytes.length, out);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      return nullIfInvalid ? Buffer.from([1]) : error;
    }
    return out.written();
  }
}

function missingValue({ relation }: RowEncoder, key: string): CdcError {
  const table = qualifiedName(relation);
  return new CdcError(
    'VALUE_MISSING',
    `table ${table}: an update of row ${key} leaves out a large value that did not change, and ClickHouse does not have it`,
    { table },
  );
}

function encodePlaceholder(text: string, nullable: boolean): Buffer {
  const out = new ByteWriter(64);
  if (nullable) out.writeByte(0);
  const bytes = Buffer.from(text);
  out.writeString(bytes, 0, bytes.length);
  return out.written();
}
