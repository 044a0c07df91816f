import type { Batch, RowGroup, Truncate } from '../../core/batch.ts';
import type { TableState } from '../../core/checkpoint.ts';
import { crashPoint } from '../../core/crash-point.ts';
import { asCdcError, CdcError } from '../../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../core/lsn.ts';
import type { Relation } from '../../core/relation.ts';
import type { Sink } from '../../core/sink.ts';
import { composeVersion } from '../../core/version.ts';
import type { Log } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { ClickHouse } from './client.ts';
import type { ControlTables } from './control-tables.ts';
import { type DeadLetter, letterOfMessage } from './dead-letter.ts';
import { type DeadLetters, unsettled } from './dead-letters.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName } from './names.ts';
import { Patience } from './patience.ts';
import { firstChangeOfOldRow, RowWriter } from './row-writer.ts';
import { exchangeMarks } from './shadow-mark.ts';
import type { SinkTable } from './sink-table.ts';
import type { MetaColumns } from './target.ts';
import type { FetchSourceRow } from './unchanged-values.ts';

export interface ClickHouseSinkOptions {
  clickhouse: ClickHouse;
  control: ControlTables;
  mode: DeadLetter['mode'];
  letters: DeadLetters;
  epoch: number;
  metaColumns: MetaColumns;
  metrics: Metrics;
  log: Log;
  /** How long an outage is ridden out before `write` gives up. */
  patienceMs: number;
  /** Absent where no source can be asked. */
  fetchSourceRow: FetchSourceRow | undefined;
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

/** Writes batches to ClickHouse: one insert per table. */
export class ClickHouseSink implements Sink {
  readonly tables = new Map<number, SinkTable>();
  readonly #options: ClickHouseSinkOptions;
  readonly #patience: Patience;
  readonly #rows: RowWriter;

  constructor(options: ClickHouseSinkOptions) {
    this.#options = options;
    this.#patience = new Patience(options.patienceMs, options.log);
    this.#rows = new RowWriter({ ...options, patience: this.#patience, parallelTables });
  }

  async write(batch: Batch): Promise<void> {
    if (batch.poison) await this.writeLetters(batch.poison.map(letterOfMessage));
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

  /** Inserts RowBinary rows; their keys are `unique` when no two of them have the same one. */
  insert(target: TableName, columns: string, body: Buffer, unique: boolean): Promise<void> {
    return this.#rows.insert(target, columns, body, unique);
  }

  /** Resolves when what cannot be written is durable in the dead letters. */
  writeLetters(letters: readonly DeadLetter[]): Promise<void> {
    return this.#rows.writeLetters(letters);
  }

  /** Forgets what is known of rows: another instance may write them meanwhile. Not while a batch is written. */
  forgetValues(): void {
    for (const table of this.tables.values()) this.#rows.forget(table);
  }

  /** Makes inserts that ride out an outage give up. */
  stop(): void {
    this.#patience.stop();
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
    const until = table.isAppendOnly(group.relation)
      ? firstChangeOfOldRow(group, 0, group.count)
      : group.count;
    const firstLive = table.firstLiveRow(group, transactions);
    if (table.keyless && table.state.phase === 'copying') {
      // Its copy is a snapshot at one position: the shadow takes what committed behind it.
      const firstNew = Math.max(firstLive, table.firstRowAfterCopyPoint(group, transactions));
      if (table.shadow)
        await this.#rows.write(
          table,
          encoder,
          data,
          group,
          transactions,
          firstNew,
          until,
          [table.shadow],
          !table.state.live,
        );
      if (table.state.live)
        await this.#rows.write(table, encoder, data, group, transactions, firstLive, until, [
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
      await this.#rows.write(table, encoder, data, group, transactions, first, until, targets);
    }
    if (until < group.count)
      throw new CdcError(
        'KEYLESS_CHANGE',
        table.keyless
          ? `table ${table.name} has no key, and a row of it was updated or deleted`
          : `table ${table.name} is ordered by (${table.orderedBeyondKey.join(', ')}) beyond its key, and a row of it was updated or deleted without telling their old values`,
        {
          table: table.name,
          hint: table.keyless
            ? undefined
            : 'Leave these columns out of its orderBy, or, in mode wal, give the table REPLICA IDENTITY FULL; then "wal-cdc resync" it.',
        },
      );
  }

  async #truncate(truncate: Truncate): Promise<void> {
    const table = this.tables.get(truncate.relation.id) ?? (await this.#options.adopt(truncate.relation));
    if (!table || table.state.phase === 'stopped' || table.isBehindTruncate(truncate)) return;
    const { state } = table;
    const baseKnown = state.phase === 'copying' && state.base !== undefined;
    const endsCopy = baseKnown && truncate.commitLsn >= parseLsn(state.base!);
    if (endsCopy) await this.#options.abandonCopy(table);
    const { commitLsn, changeLsn } = truncate;
    await this.deleteTruncated(table, { commitLsn: formatLsn(commitLsn), changeLsn: formatLsn(changeLsn) });
    if (endsCopy) await this.finishCopy(table);
    this.#options.log.info({ table: table.name, position: formatLsn(commitLsn) }, 'truncated');
  }

  /** Removes what is below a truncate, and leaves it out from then on. Not while a batch is written. */
  async deleteTruncated(table: SinkTable, truncated: NonNullable<TableState['truncated']>): Promise<void> {
    this.#rows.forget(table);
    table.state.truncated = truncated;
    await this.saveTable(table);
    crashPoint('truncate');
    const version = table.truncateVersion()!;
    for (const target of [table.plan.name, ...(table.shadow ? [table.shadow] : [])]) {
      await this.deleteBelow(target, version);
    }
    await this.#supersedeLetters(table);
  }

  /** Ends the copy of a table: a shadow takes the place of the live table. Not while a batch is written. */
  async finishCopy(table: SinkTable): Promise<void> {
    const { state, shadow } = table;
    if (shadow) {
      if (table.keyless) await this.#dropWhatTheCopyHas(table, shadow);
      crashPoint('copy-exchange');
      const live = table.plan.name;
      // After a crash between exchange and save, or an answer that was lost, the shadow is the live table already.
      await this.#patience.run(async () => {
        const [found] = await this.#options.clickhouse.query<{ uuid: string }>(
          `SELECT toString(uuid) AS uuid FROM system.tables
            WHERE database = ${quoteString(live.database)} AND name = ${quoteString(live.table)}`,
        );
        if (found?.uuid !== state.shadow!.uuid) {
          await this.#options.clickhouse.command(
            `EXCHANGE TABLES ${quoteTableName(live)} AND ${quoteTableName(shadow)}`,
          );
          crashPoint('copy-exchanged');
        }
        await exchangeMarks(this.#options.clickhouse, live, shadow);
      });
    }
    await this.#supersedeLetters(table);
    state.phase = 'streaming';
    state.live = true;
    delete state.shadow;
    delete state.leaves;
    await this.saveTable(table);
    if (shadow)
      await this.#patience.run(() =>
        this.#options.clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(shadow)}`),
      );
  }

  /** Letters of rows that a truncate removed, or that a copy has as they are now, need nobody any more. */
  async #supersedeLetters(table: SinkTable): Promise<void> {
    const { letters, epoch } = this.#options;
    const from = table.oldestVersion;
    if (from === undefined || letters.keysOf(table.name).isEmpty) return;
    const { schema, name } = table.table;
    const filter = {
      states: unsettled,
      tables: [{ schema, table: name }],
      // Higher epochs are of a life before "teardown".
      outside: [from, composeVersion(epoch + 1, 0n, 0n)] as const,
    };
    await this.#patience.run(() => letters.settle(filter, 'superseded'));
  }

  /** A keyless shadow also took changes that committed before the snapshot of its copy, while that was not known. */
  async #dropWhatTheCopyHas(table: SinkTable, shadow: TableName): Promise<void> {
    const version = composeVersion(this.#options.epoch, parseLsn(table.state.base ?? '0/0'), 0n);
    await this.deleteBelow(shadow, version);
  }

  /** Removes rows of lower versions. Also while a batch is written. */
  async deleteBelow(target: TableName, version: bigint): Promise<void> {
    const column = quoteIdentifier(this.#options.metaColumns.version);
    const sql = `DELETE FROM ${quoteTableName(target)} WHERE ${column} < toUInt128('${version}')`;
    await this.#patience.run(() => this.#options.clickhouse.command(sql));
  }

  async saveTable(table: SinkTable): Promise<void> {
    await this.#patience.run(() => this.#options.control.saveTable(table.table, table.state));
    this.#options.metrics.setTableState(table.name, table.state.phase);
  }

  /** A stopped table does not hold back the others; its later changes are counted and left out. */
  async stopTable(table: SinkTable, error: CdcError, position: string): Promise<void> {
    this.#rows.forget(table);
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
