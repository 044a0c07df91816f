import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import type { Checkpoint, TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { parseLsn } from '../core/lsn.ts';
import { qualifiedName, type Relation } from '../core/relation.ts';
import { composeVersion } from '../core/version.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { quoteIdentifier, quoteString, quoteTableName, targetName } from '../sinks/clickhouse/names.ts';
import type { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import {
  buildCreateDatabaseSql,
  buildCreateTableSql,
  checkTarget,
  inspectTarget,
  planTarget,
} from '../sinks/clickhouse/target.ts';
import { describeTables, listTables, publishedTables, type SourceTable } from '../sources/wal/catalog.ts';
import { addToPublication, type Publication } from '../sources/wal/publication.ts';
import { addColumns } from './added-columns.ts';
import { type connectClickHouse, targetOptions } from './clickhouse-address.ts';
import type { CopyJob } from './copy-plan.ts';
import type { SourceSession } from './source-setup.ts';
import { createShadow } from './table-copier.ts';

export interface TableRegisterOptions {
  config: Config;
  log: Log;
  metrics: Metrics;
  keepRows: boolean;
  source: SourceSession;
  publication: Publication;
  clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  sink: ClickHouseSink;
  checkpoint: Checkpoint;
  /** States of the pipeline's tables, by `schema.table`. */
  saved: Map<string, TableState>;
  /** Starts the copy of a table that came up in the stream. */
  startCopy(job: CopyJob): void;
}

/** The tables of a session: which there are, what their ClickHouse tables look like, what of them must be copied. */
export class TableRegister {
  readonly #options: TableRegisterOptions;
  /** New tables that the publication could not take. */
  readonly #refused = new Set<string>();

  constructor(options: TableRegisterOptions) {
    this.#options = options;
  }

  get tables(): SinkTable[] {
    return [...this.#options.sink.tables.values()];
  }

  /** Tables that came up since: created and matching the patterns, or added to a publication that is not ours. */
  async takeInNewTables(between: (task: () => Promise<void>) => Promise<void>): Promise<void> {
    const { config, log, startCopy } = this.#options;
    const { client, info, types } = this.#options.source;
    const { publication, publicationGiven } = config.postgres;
    const isNew = (table: { schema: string; name: string }) =>
      matchesPattern(config.tables, config.exclude, table.schema, table.name) &&
      !this.tables.some(known => known.name === qualifiedName(table)) &&
      !this.#refused.has(qualifiedName(table));
    let published = (await publishedTables(client, publication, info.serverVersion)).filter(isNew);
    if (!publicationGiven && !this.#options.publication.allTables) {
      const isPublished = (table: { schema: string; name: string }) =>
        published.some(other => qualifiedName(other) === qualifiedName(table));
      const created = (await listTables(client)).filter(t => t.hasColumns && isNew(t) && !isPublished(t));
      if (created.length > 0) {
        await addToPublication(client, publication, created).catch(error => {
          for (const table of created) this.#refused.add(qualifiedName(table));
          log.warn(
            { tables: created.map(qualifiedName) },
            `new tables are left out: ${asCdcError(error).message}`,
          );
        });
        published = (await publishedTables(client, publication, info.serverVersion)).filter(isNew);
      }
    }
    if (published.length === 0) return;
    const described = await describeTables(
      client,
      types,
      published,
      this.#options.publication.generatedStored,
    );
    await between(async () => {
      for (const table of described) {
        if (this.#options.sink.tables.has(table.id)) continue;
        log.info({ table: qualifiedName(table) }, 'a table was added');
        const job = await this.register(table);
        if (job) startCopy(job);
      }
    });
  }

  /** A relation that came up in the stream: a table that was added to the publication. */
  async adopt(relation: Relation): Promise<SinkTable | undefined> {
    const { config, log } = this.#options;
    if (!matchesPattern(config.tables, config.exclude, relation.schema, relation.name)) return undefined;
    const table = await this.#describe(relation);
    if (!table) {
      log.warn(
        { table: qualifiedName(relation) },
        'changes of a table that is not published any more are left out',
      );
      return undefined;
    }
    log.info({ table: qualifiedName(relation) }, 'a table was added to the publication');
    const job = await this.register(table);
    if (job) this.#options.startCopy(job);
    return this.#options.sink.tables.get(table.id);
  }

  async addColumns(table: SinkTable, relation: Relation): Promise<void> {
    const source = await this.#describe(relation);
    if (!source) return; // dropped since: the encoder says which column is missing
    const options = targetOptions(this.#options.config);
    const { clickhouse, capabilities } = this.#options.clickhouse;
    await addColumns(this.#options.source.client, clickhouse, table, source, options, capabilities);
    const added = relation.columns.map(column => column.name).filter(name => table.types.has(name));
    this.#options.log.info({ table: table.name, columns: added }, 'columns added');
  }

  /** The table as the publication and the catalog have it now. */
  async #describe(relation: Relation): Promise<SourceTable | undefined> {
    const { client, types, info } = this.#options.source;
    const published = await publishedTables(
      client,
      this.#options.config.postgres.publication,
      info.serverVersion,
    );
    const found = published.filter(t => t.schema === relation.schema && t.name === relation.name);
    const [table] = await describeTables(client, types, found, this.#options.publication.generatedStored);
    return table?.id === relation.id ? table : undefined;
  }

  /** Makes the ClickHouse table, or checks it, and says what is known of it. Trouble with one table stops only that one. */
  async register(source: SourceTable): Promise<CopyJob | undefined> {
    const { config, log } = this.#options;
    const known = this.#options.saved.get(qualifiedName(source));
    const saved = known && wasRefused(known) ? this.#newState(source) : known;
    try {
      return await this.#prepare(source, saved);
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.action !== 'stop-table') throw failure;
      const options = targetOptions(config);
      const plan = {
        name: targetName(options.database, source),
        columns: [],
        orderBy: [],
        partitionBy: undefined,
        nullFlags: new Map<string, string>(),
      };
      const state = saved ?? this.#newState(source);
      const table = new SinkTable(source, plan, new Map(), state, options, this.#options.checkpoint.epoch);
      this.#options.sink.tables.set(source.id, table);
      if (saved && saved.phase === 'streaming')
        await this.#options.sink.stopTable(table, failure, this.#options.checkpoint.position);
      else {
        // It has no rows yet: nothing is saved, and the next start tries again.
        state.phase = 'stopped';
        state.stopped = {
          code: failure.code,
          message: failure.message,
          hint: failure.hint,
          position: this.#options.checkpoint.position,
          at: new Date().toISOString(),
        };
        this.#options.metrics.setTableState(table.name, 'stopped');
        log.error(
          { table: table.name, code: failure.code },
          `table left out: ${failure.message}. ${failure.hint}`,
        );
      }
      return undefined;
    }
  }

  #newState(source: SourceTable): TableState {
    const { checkpoint, config } = this.#options;
    const { keyRule, key } = source;
    const target = targetName(config.clickhouse.database, source);
    return {
      epoch: checkpoint.epoch,
      target,
      phase: 'copying',
      keyRule,
      key,
      live: false,
      copiedRows: 0,
    };
  }

  async #prepare(source: SourceTable, saved: TableState | undefined): Promise<CopyJob | undefined> {
    const { config, keepRows, log, metrics } = this.#options;
    const { clickhouse, capabilities } = this.#options.clickhouse;
    const options = targetOptions(config);
    const plan = planTarget(source, options, capabilities);
    // Before anything is made for it.
    if (!saved && config.snapshot === 'initial') requireReadable(source);
    await clickhouse.command(buildCreateDatabaseSql(plan.name.database, options));
    let actual = await inspectTarget(clickhouse, plan.name);
    let state = saved;
    let isMadeAnew = false;
    if (actual && state?.phase === 'copying' && !fits(() => checkTarget(source, plan, actual!, options))) {
      // A copy afresh: what it fills is made anew, the live table stays as it is until it is exchanged.
      isMadeAnew = true;
      state.live = false;
      actual = (state.shadow &&
        (await inspectTarget(clickhouse, { ...plan.name, table: state.shadow.table }))) ?? {
        ...actual,
        columns: new Map(plan.columns.map(column => [column.name, column.type])),
      };
    } else if (actual) checkTarget(source, plan, actual, options);
    else {
      await clickhouse.command(buildCreateTableSql(plan, options));
      actual = (await inspectTarget(clickhouse, plan.name))!;
      if (saved)
        log.warn({ table: qualifiedName(source) }, 'its ClickHouse table was gone: it is copied afresh');
      state = undefined;
    }
    if (state?.phase === 'streaming' && state.key.join() !== source.key.join())
      throw new CdcError(
        'SCHEMA_CHANGED',
        `table ${qualifiedName(source)} is told apart by (${source.key.join(', ')}) now, no longer by (${state.key.join(', ')})`,
      );
    const fresh = state === undefined;
    if (state && state.epoch !== this.#options.checkpoint.epoch) {
      // Positions of the time before a failover: a copy starts over, and no later change is below a truncate.
      const { target, phase, keyRule, key, live, copiedRows, stopped } = state;
      const { epoch } = this.#options.checkpoint;
      state = { epoch, target, phase, keyRule, key, live, copiedRows, stopped };
    }
    state ??= this.#newState(source);
    if (state.phase === 'copying' && state.base === undefined) {
      state.key = source.key;
      state.keyRule = source.keyRule;
    }
    const table = new SinkTable(source, plan, actual.columns, state, options, this.#options.checkpoint.epoch);
    table.estimatedRows = source.estimatedRows;
    if (fresh && config.snapshot === 'none') {
      if (actual.rows > 0 && !keepRows)
        throw new CdcError(
          'TABLE_NOT_EMPTY',
          `ClickHouse table ${plan.name.database}.${plan.name.table} has ${actual.rows} rows that no checkpoint explains`,
        );
      if (actual.rows > 0) await this.#requireOlderRows(table);
      state.phase = 'streaming';
      state.live = true;
    }
    if (state.phase === 'copying') requireReadable(source);
    if (state.shadow) await this.#recallShadow(table);
    else if (state.phase === 'copying' && state.base === undefined && !table.keyless) {
      // Rows that the source does not have any more would stay for ever.
      if (actual.rows > 0 || isMadeAnew) await createShadow(clickhouse, table, options);
      else state.live = true;
    }
    this.#options.sink.tables.set(source.id, table);
    metrics.setTableState(table.name, state.phase);
    if (fresh || state.base === undefined) await this.#options.sink.saveTable(table);
    return state.phase === 'copying' ? { source, table } : undefined;
  }

  /** Rows that are kept must be below every change to come, which would lose against them otherwise. */
  async #requireOlderRows(table: SinkTable): Promise<void> {
    const { clickhouse, config, checkpoint } = this.#options;
    const [row] = await clickhouse.clickhouse.query<{ newest: string }>(
      `SELECT toString(max(${quoteIdentifier(config.metaColumns.version)})) AS newest FROM ${quoteTableName(table.plan.name)}`,
    );
    if (BigInt(row!.newest) < composeVersion(checkpoint.epoch, parseLsn(checkpoint.position), 0n)) return;
    throw new CdcError(
      'TABLE_NOT_EMPTY',
      `rows of ${table.plan.name.database}.${table.plan.name.table} have versions above those of changes to come`,
      {
        table: table.name,
        hint: 'Let the table be copied (without --snapshot none): the copy replaces these rows.',
      },
    );
  }

  /** After a crash: the shadow is there, or it is the live table already, or it is gone and the copy starts over. */
  async #recallShadow(table: SinkTable): Promise<void> {
    const { clickhouse } = this.#options.clickhouse;
    const { shadow } = table.state;
    const found = await clickhouse.query<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = ${quoteString(table.plan.name.database)} AND toString(uuid) = ${quoteString(shadow!.uuid)}`,
    );
    if (found[0]?.name === table.plan.name.table) {
      // Before any change comes: under the shadow's name stands the old table now.
      await this.#options.sink.finishCopy(table);
      return;
    }
    if (found.length > 0) return;
    this.#options.log.warn(
      { table: table.name },
      'the table that its copy fills is gone: the copy starts over',
    );
    await clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(table.shadow!)} SYNC`);
    delete table.state.base;
    delete table.state.leaves;
    await createShadow(clickhouse, table, targetOptions(this.#options.config));
    await this.#options.sink.saveTable(table);
  }

  /** Throws when there is none, or all are stopped. */
  requireSomeTable(): void {
    const { tables } = this;
    const stopped = tables.filter(table => table.state.phase === 'stopped');
    if (tables.length === 0) throw new CdcError('NO_TABLES', 'no table is left to replicate');
    if (stopped.length < tables.length) return;
    const first = stopped[0]!.state.stopped!;
    throw new CdcError(
      first.code as CdcError['code'],
      stopped.length === 1 ? first.message : `every table is stopped; the first one: ${first.message}`,
      { hint: first.hint },
    );
  }
}

function fits(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

export function requireReadable(source: SourceTable): void {
  const table = qualifiedName(source);
  if (source.unreadable)
    throw new CdcError('TABLE_UNREADABLE', `table ${table} cannot be copied: ${source.unreadable}`, {
      table,
    });
}

/** Whether the table stopped before the first row of its copy. Then the next start tries again, as the hint says. */
export function wasRefused({ stopped, base }: TableState): boolean {
  return stopped?.position === '0/0' && base === undefined;
}
