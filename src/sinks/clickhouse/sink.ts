import { setTimeout as sleep } from 'node:timers/promises';
import { type Batch, Op, RowGroup, type Transactions, type Truncate } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { crashPoint } from '../../core/crash-point.ts';
import { asCdcError, CdcError } from '../../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../core/lsn.ts';
import type { Relation } from '../../core/relation.ts';
import type { Sink } from '../../core/sink.ts';
import { changeOrdinal, composeVersion } from '../../core/version.ts';
import type { Log } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { ClickHouse } from './client.ts';
import type { ControlTables } from './control-tables.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName } from './names.ts';
import type { RowEncoder } from './row-encoder.ts';
import type { SinkTable } from './sink-table.ts';
import type { MetaColumns } from './target.ts';
import { countLacking, type FetchSourceRow, UnchangedValueFinder } from './unchanged-values.ts';

export interface ClickHouseSinkOptions {
  clickhouse: ClickHouse;
  control: ControlTables;
  epoch: number;
  metaColumns: MetaColumns;
  metrics: Metrics;
  log: Log;
  /** How long an outage is ridden out before `write` gives up. */
  patienceMs: number;
  fetchSourceRow: FetchSourceRow;
  /** Waits until what was fetched is sure to stay at the source. Returns a position behind it. */
  settleSource(): Promise<Lsn>;
  /** A relation that no table is registered for: registers it if it is to be replicated. */
  adopt(relation: Relation): Promise<SinkTable | undefined>;
  /** Makes columns of `relation` that ClickHouse does not have yet, or throws SCHEMA_CHANGED. */
  addColumns(table: SinkTable, relation: Relation): Promise<void>;
  /** Ends the copy of a table that a truncate emptied; resolves when none of its chunks is in flight. */
  abandonCopy(table: SinkTable): Promise<void>;
}

const parallelTables = 4;
/** Values of unchanged columns that are kept in memory, of all tables. */
const knownBytes = 32 << 20;
/** An insert is not much larger than this: one large value may stand in many rows. */
const maxBodyBytes = 64 << 20;

/** Writes batches to ClickHouse: one insert per table. */
export class ClickHouseSink implements Sink {
  readonly tables = new Map<number, SinkTable>();
  readonly #options: ClickHouseSinkOptions;
  readonly #bodies: ByteWriter[] = [];
  /** Of tables with columns that updates may leave out. */
  readonly #finders = new Map<SinkTable, UnchangedValueFinder>();
  #stopped = false;

  constructor(options: ClickHouseSinkOptions) {
    this.#options = options;
  }

  async write(batch: Batch): Promise<void> {
    for (const truncate of batch.truncates) await this.#truncate(truncate);
    let next = 0;
    const worker = async () => {
      while (next < batch.groups.length) await this.#writeGroup(batch, batch.groups[next++]!);
    };
    // A failure is reported when nothing is in flight any more: rows that arrive later could outlive a truncate.
    const ended = await Promise.allSettled(
      Array.from({ length: Math.min(parallelTables, batch.groups.length) }, worker),
    );
    for (const result of ended) if (result.status === 'rejected') throw result.reason;
  }

  /** Makes inserts that ride out an outage give up. */
  stop(): void {
    this.#stopped = true;
  }

  async #writeGroup(batch: Batch, group: RowGroup): Promise<void> {
    const table = this.tables.get(group.relation.id) ?? (await this.#options.adopt(group.relation));
    if (!table) return;
    if (table.state.phase === 'stopped') {
      table.skipped += group.count;
      return;
    }
    try {
      await this.#writeRows(table, batch, group);
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.action !== 'stop-table') throw failure;
      await this.stopTable(table, failure, formatLsn(batch.position));
    }
  }

  async #writeRows(table: SinkTable, batch: Batch, group: RowGroup): Promise<void> {
    const { transactions } = batch;
    const data = batch.data.buf;
    if (group.relation.columns.some(column => !table.types.has(column.name)))
      await this.#options.addColumns(table, group.relation);
    const encoder = table.encoder(group.relation);
    const until = table.keyless ? firstChangeOfOldRow(group, 0, group.count) : group.count;
    const firstLive = table.firstLiveRow(group, transactions);
    if (table.keyless && table.state.phase === 'copying') {
      // Its copy is a snapshot at one position: the shadow takes what committed behind it.
      const firstNew = Math.max(firstLive, table.firstRowAfterCopyPoint(group, transactions));
      if (table.shadow)
        await this.#writeRange(table, encoder, data, group, transactions, firstNew, until, [table.shadow]);
      if (table.state.live)
        await this.#writeRange(table, encoder, data, group, transactions, firstLive, until, [
          table.plan.name,
        ]);
    } else {
      const targets = [
        ...(table.state.live || !table.shadow ? [table.plan.name] : []),
        ...(table.shadow ? [table.shadow] : []),
      ];
      // Without keys nothing absorbs a replay of changes that the copy has too.
      const copied = table.keyless && table.state.base !== undefined;
      const first = copied
        ? Math.max(firstLive, table.firstRowAfterCopyPoint(group, transactions))
        : firstLive;
      await this.#writeRange(table, encoder, data, group, transactions, first, until, targets);
    }
    if (until < group.count)
      throw new CdcError(
        'KEYLESS_CHANGE',
        `table ${table.name} has no key, and a row of it was updated or deleted`,
        {
          table: table.name,
        },
      );
  }

  /** Writes rows `from` to `until` of a group, in stretches that values of unchanged columns can be found for. */
  async #writeRange(
    table: SinkTable,
    encoder: RowEncoder,
    data: Buffer,
    group: RowGroup,
    transactions: Transactions,
    from: number,
    until: number,
    targets: TableName[],
  ): Promise<void> {
    const mayLack = table.table.columns.some(column => column.toastable);
    const finder = mayLack ? this.#finder(table, encoder) : undefined;
    while (from < until) {
      const { lacking, end: reached } = finder
        ? countLacking(data, group, from, finder.keysPerLookup)
        : { lacking: 0, end: until };
      const end = Math.min(reached, until);
      if (!finder || lacking === 0) {
        finder?.forget(data, group, from, end);
        await this.#encodeAndInsert(table, encoder, group, from, end, targets, (i, out) =>
          encoder.encodeChange(data, group, i, transactions, out),
        );
      } else if (await this.#findValues(table, finder, data, group, transactions, from, end)) {
        await this.#encodeAndInsert(table, encoder, group, from, end, targets, (i, out) => {
          if (finder.encodeChange(data, group, i, transactions, out)) return;
          this.#options.log.debug(
            { table: table.name },
            'a later change removes a row whose unchanged values are gone',
          );
        });
        finder.known.endStretch(Math.floor(knownBytes / this.#finders.size));
      } else continue;
      from = end;
    }
  }

  #finder(table: SinkTable, encoder: RowEncoder): UnchangedValueFinder {
    let finder = this.#finders.get(table);
    if (finder?.encoder !== encoder) {
      const { clickhouse, epoch, metaColumns, fetchSourceRow } = this.#options;
      const toastable = table.table.columns.filter(column => column.toastable);
      finder = new UnchangedValueFinder({
        encoder,
        columns: new Set(toastable.map(column => column.name)),
        clickhouse,
        epoch,
        versionColumn: metaColumns.version,
        fetchSourceRow,
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

  /** Encodes rows and inserts them. A row that does not fit ends the stretch: those before it are written first. */
  async #encodeAndInsert(
    table: SinkTable,
    encoder: RowEncoder,
    group: RowGroup,
    from: number,
    to: number,
    targets: TableName[],
    encode: (i: number, out: ByteWriter) => void,
  ): Promise<void> {
    const body = this.#bodies.pop() ?? new ByteWriter(1 << 20);
    let failure: unknown;
    while (from < to && !failure) {
      body.pos = 0;
      let i = from;
      try {
        for (; i < to && body.pos < maxBodyBytes; i++) encode(i, body);
      } catch (error) {
        failure = error;
      }
      if (body.pos > 0) {
        const unique = firstChangeOfOldRow(group, from, i) === i;
        for (const target of targets)
          await this.insert(target, encoder.insertColumns, body.written(), unique);
        this.#count(table, group, from, i);
      }
      from = i;
    }
    if (body.buf.length <= maxBodyBytes && this.#bodies.length < parallelTables) this.#bodies.push(body);
    if (failure) throw failure;
  }

  #count(table: SinkTable, group: RowGroup, from: number, to: number): void {
    let inserts = 0;
    let updates = 0;
    for (let i = from; i < to; i++) {
      const op = group.index[i * RowGroup.stride + RowGroup.opAndPlace]! & 0xff;
      if (op === Op.insert) inserts++;
      else if (op === Op.update) updates++;
    }
    const { metrics } = this.#options;
    const now = Date.now();
    table.rows += to - from;
    if (inserts > 0) metrics.rowsWritten(table.name, 'insert', inserts, now);
    if (updates > 0) metrics.rowsWritten(table.name, 'update', updates, now);
    const deletes = to - from - inserts - updates;
    if (deletes > 0) metrics.rowsWritten(table.name, 'delete', deletes, now);
  }

  /**
   * Inserts RowBinary rows; tries again, with the same bytes, while ClickHouse is away or full. Where their keys are `unique`,
   * ClickHouse is spared looking for rows that replace others of the same insert: a fifth of its work.
   */
  async insert(target: TableName, columns: string, body: Buffer, unique: boolean): Promise<void> {
    const settings = unique ? ' SETTINGS optimize_on_insert = 0' : '';
    const sql = `INSERT INTO ${quoteTableName(target)} (${columns})${settings} FORMAT RowBinary`;
    await this.#patiently(() => this.#options.clickhouse.insert(sql, body));
  }

  async #patiently<T>(run: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    for (let delayMs = 50; ; delayMs = Math.min(delayMs * 2, 2000)) {
      try {
        return await run();
      } catch (error) {
        const failure = asCdcError(error);
        if (failure.action !== 'retry' || this.#stopped) throw failure;
        if (performance.now() - startedAt > this.#options.patienceMs) throw failure;
        this.#options.log.warn({ code: failure.code }, `${failure.message}; trying again`);
        await sleep(delayMs);
      }
    }
  }

  async #truncate(truncate: Truncate): Promise<void> {
    const table = this.tables.get(truncate.relation.id) ?? (await this.#options.adopt(truncate.relation));
    if (!table || table.state.phase === 'stopped') return;
    const { state } = table;
    const baseKnown = state.phase === 'copying' && state.base !== undefined;
    const endsCopy = baseKnown && truncate.commitLsn >= parseLsn(state.base!);
    if (endsCopy) await this.#options.abandonCopy(table);
    this.#finders.delete(table);
    const { commitLsn, changeLsn } = truncate;
    state.truncated = { commitLsn: formatLsn(commitLsn), changeLsn: formatLsn(changeLsn) };
    await this.saveTable(table);
    crashPoint('truncate');
    const version = composeVersion(this.#options.epoch, commitLsn, changeOrdinal(commitLsn, changeLsn, 0));
    for (const target of [table.plan.name, ...(table.shadow ? [table.shadow] : [])]) {
      await this.#deleteBelow(target, version);
    }
    if (endsCopy) await this.finishCopy(table);
    this.#options.log.info({ table: table.name, position: formatLsn(commitLsn) }, 'truncated');
  }

  /** Ends the copy of a table: a shadow takes the place of the live table. Not while a batch is written. */
  async finishCopy(table: SinkTable): Promise<void> {
    const { state, shadow } = table;
    if (shadow) {
      if (table.keyless) await this.#dropWhatTheCopyHas(table, shadow);
      crashPoint('copy-exchange');
      const live = table.plan.name;
      // After a crash between exchange and save, or an answer that was lost, the shadow is the live table already.
      await this.#patiently(async () => {
        const [found] = await this.#options.clickhouse.query<{ uuid: string }>(
          `SELECT toString(uuid) AS uuid FROM system.tables
            WHERE database = ${quoteString(live.database)} AND name = ${quoteString(live.table)}`,
        );
        if (found?.uuid === state.shadow!.uuid) return;
        await this.#options.clickhouse.command(
          `EXCHANGE TABLES ${quoteTableName(live)} AND ${quoteTableName(shadow)}`,
        );
        crashPoint('copy-exchanged');
      });
    }
    state.phase = 'streaming';
    state.live = true;
    delete state.shadow;
    delete state.leaves;
    await this.saveTable(table);
    if (shadow)
      await this.#patiently(() =>
        this.#options.clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(shadow)}`),
      );
  }

  /** A keyless shadow also took changes that committed before the snapshot of its copy, while that was not known. */
  async #dropWhatTheCopyHas(table: SinkTable, shadow: TableName): Promise<void> {
    const version = composeVersion(this.#options.epoch, parseLsn(table.state.base ?? '0/0'), 0n);
    await this.#deleteBelow(shadow, version);
  }

  async #deleteBelow(target: TableName, version: bigint): Promise<void> {
    const column = quoteIdentifier(this.#options.metaColumns.version);
    const sql = `DELETE FROM ${quoteTableName(target)} WHERE ${column} < toUInt128('${version}')`;
    await this.#patiently(() => this.#options.clickhouse.command(sql));
  }

  async saveTable(table: SinkTable): Promise<void> {
    await this.#patiently(() => this.#options.control.saveTable(table.table, table.state));
    this.#options.metrics.setTableState(table.name, table.state.phase);
  }

  /** A stopped table does not hold back the others; its later changes are counted and left out. */
  async stopTable(table: SinkTable, error: CdcError, position: string): Promise<void> {
    this.#finders.delete(table);
    table.state.phase = 'stopped';
    table.state.stopped = {
      code: error.code,
      message: error.message,
      hint: error.hint,
      position,
      at: new Date().toISOString(),
    };
    this.#options.log.error(
      { table: table.name, code: error.code, position },
      `table stopped: ${error.message}. ${error.hint}`,
    );
    await this.saveTable(table);
  }
}

/** Index of the first update or delete; `until` when there is none. */
function firstChangeOfOldRow(group: RowGroup, from: number, until: number): number {
  for (let i = from; i < until; i++) {
    if ((group.index[i * RowGroup.stride + RowGroup.opAndPlace]! & 0xff) !== Op.insert) return i;
  }
  return until;
}
