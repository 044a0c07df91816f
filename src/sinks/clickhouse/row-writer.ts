import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { crashPoint } from '../../core/crash-point.ts';
import { type CdcError, isFaultOfRow } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import type { Log } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { encodeWhatFits, loneChange } from './change-parts.ts';
import type { ClickHouse } from './client.ts';
import { bytesOf, type DeadLetter, letterOfChange, letterOwner } from './dead-letter.ts';
import type { DeadLetters } from './dead-letters.ts';
import { LetterValues } from './letter-values.ts';
import { quoteTableName, type TableName } from './names.ts';
import type { Patience } from './patience.ts';
import type { RowEncoder } from './row-encoder.ts';
import type { SinkTable } from './sink-table.ts';
import type { MetaColumns } from './target.ts';
import { countLacking, type FetchSourceRow, UnchangedValueFinder } from './unchanged-values.ts';

export interface RowWriterOptions {
  clickhouse: ClickHouse;
  metaColumns: MetaColumns;
  metrics: Metrics;
  log: Log;
  patience: Patience;
  /** Tables that are written at once. */
  parallelTables: number;
  mode: DeadLetter['mode'];
  letters: DeadLetters;
  /** Absent where no source can be asked. */
  fetchSourceRow: FetchSourceRow | undefined;
  /** Waits until what was fetched is sure to stay at the source. Returns a position behind it. */
  settleSource(): Promise<Lsn>;
}

/** Values of unchanged columns that are kept in memory, of all tables. */
const knownBytes = 32 << 20;
/** An insert is not much larger than this: one large value may stand in many rows. */
const maxBodyBytes = 64 << 20;
/** Room for most batches: what is not written to takes no memory, and outgrown buffers do until they are collected. */
const firstBodyBytes = 40 << 20;
/** Letters that are collected before they are written. */
const maxLetters = 10_000;

/** Rows of one table in a batch, and where they go. */
interface Work {
  table: SinkTable;
  encoder: RowEncoder;
  data: Buffer;
  group: RowGroup;
  transactions: Transactions;
  targets: TableName[];
  /** False when the same rows are written once more, to another target. */
  writesLetters: boolean;
  /** Rows below a truncate, where they are not all in front. */
  isGone: ((i: number) => boolean) | undefined;
}

/** Rows that cannot be written, in their order. */
interface SetAside {
  rows: number[];
  letters: DeadLetter[];
}

/** Encodes rows of a batch and inserts them. */
export class RowWriter {
  readonly #options: RowWriterOptions;
  readonly #bodies: ByteWriter[] = [];
  /** Of tables with columns that updates may leave out. */
  readonly #finders = new Map<SinkTable, UnchangedValueFinder>();

  constructor(options: RowWriterOptions) {
    this.#options = options;
  }

  /** Writes rows `from` to `until` of a group, in stretches that values of unchanged columns can be found for. */
  async write(
    table: SinkTable,
    encoder: RowEncoder,
    data: Buffer,
    group: RowGroup,
    transactions: Transactions,
    from: number,
    until: number,
    targets: TableName[],
    writesLetters = true,
  ): Promise<void> {
    const mayLack = table.table.columns.some(column => column.toastable);
    const finder = mayLack ? this.#finder(table, encoder) : undefined;
    const isGone = table.truncatedRows(group, encoder, transactions);
    const work = { table, encoder, data, group, transactions, targets, writesLetters, isGone };
    while (from < until) {
      const { lacking, end: reached } = finder
        ? countLacking(data, group, from, finder.keysPerLookup)
        : { lacking: 0, end: until };
      const end = Math.min(reached, until);
      if (!finder || lacking === 0) {
        finder?.forget(data, group, from, end);
        await this.#encodeAndInsert(work, from, end);
        from = end;
      } else if (await this.#findValues(table, finder, data, group, transactions, from, end)) {
        from = await this.#encodeAndInsert(work, from, end, finder);
        finder.known.endStretch(Math.floor(knownBytes / this.#finders.size));
      }
    }
  }

  #finder(table: SinkTable, encoder: RowEncoder): UnchangedValueFinder {
    let finder = this.#finders.get(table);
    if (finder?.encoder !== encoder) {
      const { clickhouse, metaColumns, fetchSourceRow, letters, mode } = this.#options;
      const toastable = table.table.columns.filter(column => column.toastable);
      finder = new UnchangedValueFinder({
        encoder,
        columns: new Set(toastable.map(column => column.name)),
        clickhouse,
        versionColumn: metaColumns.version,
        fetchSourceRow,
        letters: new LetterValues(letters, table),
        placeholder: table.placeholder,
        inOrder: mode !== 'cdc',
      });
      this.#finders.set(table, finder);
    }
    return finder;
  }

  /** Finds what rows `from` to `end` lack; false when that is too much at once. */
  async #findValues(
    table: SinkTable,
    finder: UnchangedValueFinder,
    data: Buffer,
    group: RowGroup,
    transactions: Transactions,
    from: number,
    end: number,
  ): Promise<boolean> {
    const stretch = { from, end, table: table.shadow ?? table.plan.name, settledAt: table.settledAt };
    if (!(await finder.prepare(data, group, transactions, stretch))) return false;
    const isCopied = table.state.phase !== 'streaming';
    if (finder.hasAskedSource || (table.settledAt === undefined && !isCopied))
      table.settledAt = await this.#options.settleSource();
    if (isCopied) table.settledAt = undefined;
    return true;
  }

  /**
   * Encodes rows and inserts them. A row that does not fit goes to the dead letters, or ends the stretch: those before it are
   * written first. Returns the row it came to: one before `to` when that must be prepared anew.
   */
  async #encodeAndInsert(
    work: Work,
    from: number,
    to: number,
    finder?: UnchangedValueFinder,
  ): Promise<number> {
    const { table, encoder, data, group, transactions, isGone } = work;
    const body = this.#bodies.pop() ?? new ByteWriter(firstBodyBytes);
    let failure: unknown;
    let end = to;
    while (from < end && !failure) {
      body.pos = 0;
      let i = from;
      let rowStart = 0;
      const aside: SetAside = { rows: [], letters: [] };
      while (i < end && body.pos < maxBodyBytes && aside.letters.length < maxLetters && !failure) {
        try {
          for (; i < end && body.pos < maxBodyBytes; i++) {
            if (isGone?.(i)) continue;
            rowStart = body.pos;
            if (finder?.needsLetters(data, group, i)) {
              end = i;
              break;
            }
            if (!finder) encoder.encodeChange(data, group, i, transactions, body);
            else if (!finder.encodeChange(data, group, i, transactions, body))
              this.#options.log.debug(
                { table: table.name },
                'a later change removes a row whose unchanged values are gone',
              );
          }
        } catch (error) {
          if (table.setsAside && isFaultOfRow(error)) {
            body.pos = rowStart;
            this.#setAside(work, i++, error as CdcError, finder, body, aside);
          } else failure = error;
        }
      }
      await this.#insertAll(work, from, i, body, aside);
      from = i;
    }
    if (body.buf.length <= maxBodyBytes && this.#bodies.length < this.#options.parallelTables)
      this.#bodies.push(body);
    if (failure) throw failure;
    return end;
  }

  /** Makes the letter of row `i`, and appends what can be written of it. */
  #setAside(
    { encoder, data, group, transactions }: Work,
    i: number,
    error: CdcError,
    finder: UnchangedValueFinder | undefined,
    body: ByteWriter,
    aside: SetAside,
  ): void {
    const lone = loneChange(encoder, data, group, i, transactions);
    const { change, kept, values } = finder?.setAside(data, group, i) ?? {
      change: bytesOf(data, group, i),
      kept: [],
      values: undefined,
    };
    const { mode } = this.#options;
    aside.rows.push(i);
    aside.letters.push(letterOfChange(mode, encoder, group, i, transactions, change, kept, error));
    encodeWhatFits(encoder, { ...lone, data: change.data, offset: change.offset }, body, values);
  }

  async #insertAll(work: Work, from: number, to: number, body: ByteWriter, aside: SetAside): Promise<void> {
    const { table, encoder, group, targets, writesLetters } = work;
    if (writesLetters) await this.writeLetters(aside.letters);
    if (body.pos === 0) return;
    const unique = firstChangeOfOldRow(group, from, to) === to;
    for (const target of targets) await this.insert(target, encoder.insertColumns, body.written(), unique);
    this.#count(table, group, from, to, aside.rows);
  }

  /** Resolves when the letters are durable. */
  async writeLetters(letters: readonly DeadLetter[]): Promise<void> {
    if (letters.length === 0) return;
    const { metrics, log, patience } = this.#options;
    await patience.run(() => this.#options.letters.write(letters));
    crashPoint('dead-letters');
    for (const [owner, own] of Map.groupBy(letters, letterOwner)) {
      metrics.deadLettered(owner, own.length);
      const { id, reason, code } = own[0]!;
      log.warn({ table: owner, rows: own.length, letter: id, code }, `set aside: ${reason}`);
    }
  }

  /** Counts the rows that were written: those but `aside`. */
  #count(table: SinkTable, group: RowGroup, from: number, to: number, aside: readonly number[]): void {
    let inserts = 0;
    let updates = 0;
    let next = 0;
    for (let i = from; i < to; i++) {
      if (i === aside[next]) {
        next++;
        continue;
      }
      const op = group.index[i * RowGroup.stride + RowGroup.opAndPlace]! & 0xff;
      if (op === Op.insert) inserts++;
      else if (op === Op.update) updates++;
    }
    const { metrics } = this.#options;
    const now = Date.now();
    const rows = to - from - next;
    table.rows += rows;
    if (inserts > 0) metrics.rowsWritten(table.name, 'insert', inserts, now);
    if (updates > 0) metrics.rowsWritten(table.name, 'update', updates, now);
    const deletes = rows - inserts - updates;
    if (deletes > 0) metrics.rowsWritten(table.name, 'delete', deletes, now);
  }

  /**
   * Inserts RowBinary rows; tries again, with the same bytes, while ClickHouse is away or full. Where their keys are `unique`,
   * ClickHouse is spared looking for rows that replace others of the same insert: a fifth of its work.
   */
  async insert(target: TableName, columns: string, body: Buffer, unique: boolean): Promise<void> {
    const settings = unique ? ' SETTINGS optimize_on_insert = 0' : '';
    const sql = `INSERT INTO ${quoteTableName(target)} (${columns})${settings} FORMAT RowBinary`;
    await this.#options.patience.run(() => this.#options.clickhouse.insert(sql, body));
  }

  /** Forgets what is known of the table's rows. */
  forget(table: SinkTable): void {
    this.#finders.delete(table);
  }
}

/** Index of the first update or delete; `until` when there is none. */
export function firstChangeOfOldRow(group: RowGroup, from: number, until: number): number {
  for (let i = from; i < until; i++) {
    if ((group.index[i * RowGroup.stride + RowGroup.opAndPlace]! & 0xff) !== Op.insert) return i;
  }
  return until;
}
