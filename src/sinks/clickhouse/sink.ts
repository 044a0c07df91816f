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
import { lacksValues, type RowEncoder } from './row-encoder.ts';
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
  /** Where the source is now. */
  sourcePosition(): Promise<Lsn>;
  /** A relation that no table is registered for: registers it if it is to be replicated. */
  adopt(relation: Relation): Promise<SinkTable | undefined>;
  /** Makes columns of `relation` that ClickHouse does not have yet, or throws SCHEMA_CHANGED. */
  addColumns(table: SinkTable, relation: Relation): Promise<void>;
  /** Ends the copy of a table that a truncate emptied; resolves when none of its chunks is in flight. */
  abandonCopy(table: SinkTable): Promise<void>;
}

const parallelTables = 4;

/** Writes batches to ClickHouse: one insert per table. */
export class ClickHouseSink implements Sink {
  readonly tables = new Map<number, SinkTable>();
  readonly #options: ClickHouseSinkOptions;
  readonly #bodies: ByteWriter[] = [];
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
    let finder: UnchangedValueFinder | undefined;
    while (from < until) {
      const mayLack = table.table.columns.some(column => column.toastable);
      let { lacking, end } = mayLack
        ? countLacking(data, group, from, finder?.keysPerLookup ?? Number.POSITIVE_INFINITY)
        : { lacking: 0, end: until };
      if (lacking === 0) {
        await this.#encodeAndInsert(table, encoder, group, from, Math.min(end, until), targets, (i, out) =>
          encoder.encodeChange(data, group, i, transactions, out),
        );
        from = end;
        continue;
      }
      const { clickhouse, epoch, metaColumns, fetchSourceRow } = this.#options;
      finder ??= new UnchangedValueFinder({
        encoder,
        clickhouse,
        table: table.shadow ?? table.plan.name,
        epoch,
        versionColumn: metaColumns.version,
        fetchSourceRow,
      });
      if (lacking > finder.keysPerLookup) ({ end } = countLacking(data, group, from, finder.keysPerLookup));
      end = Math.min(end, until);
      crashPoint('toast-lookup');
      const known = await finder.prepare(data, group, transactions, from, end, table.settledAt);
      if (!known) continue;
      if (table.state.phase !== 'streaming') table.settledAt = undefined;
      else if (known.hasAskedSource || table.settledAt === undefined)
        table.settledAt = await this.#options.sourcePosition();
      const { log } = this.#options;
      const lookUp = finder;
      await this.#encodeAndInsert(table, encoder, group, from, end, targets, (i, out) => {
        const { before, after } = lookUp.keys(data, group, i);
        const at = i * RowGroup.stride;
        const op = group.index[at + RowGroup.opAndPlace]! & 0xff;
        const reader = known.reader(i, before);
        if (op === Op.update && !reader && lacksValues(data, group.index[at]!)) {
          encoder.encodeVanished(data, group, i, transactions, out);
          log.debug({ table: table.name }, 'a later change removes a row whose unchanged values are gone');
          known.delete(before);
          return;
        }
        encoder.encodeChange(data, group, i, transactions, out, reader);
        if (op === Op.delete) known.delete(before);
        else {
          if (before !== after) known.delete(before);
          known.remember(after, encoder, out);
        }
      });
      from = end;
    }
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
    body.pos = 0;
    let failure: unknown;
    let i = from;
    try {
      for (; i < to; i++) encode(i, body);
    } catch (error) {
      failure = error;
    }
    if (body.pos > 0) {
      const unique = firstChangeOfOldRow(group, from, i) === i;
      for (const target of targets) await this.insert(target, encoder.insertColumns, body.written(), unique);
      this.#count(table, group, from, i);
    }
    if (body.buf.length <= 64 << 20 && this.#bodies.length < parallelTables) this.#bodies.push(body);
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
