import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import type { Checkpoint, TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { parseLsn } from '../core/lsn.ts';
import { qualifiedName, type Relation, type Table } from '../core/relation.ts';
import { composeVersion } from '../core/version.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { quoteIdentifier, quoteString, quoteTableName, targetName } from '../sinks/clickhouse/names.ts';
import type { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import {
  buildCreateDatabaseSql,
  checkTarget,
  createTable,
  inspectTarget,
  planTarget,
} from '../sinks/clickhouse/target.ts';
import {
  describeTables,
  listTables,
  type PublishedTable,
  publishedTables,
  type SourceTable,
} from '../sources/wal/catalog.ts';
import { addToPublication, type Publication } from '../sources/wal/publication.ts';
import { addColumns } from './added-columns.ts';
import { type connectClickHouse, targetOptions } from './clickhouse-address.ts';
import { compareColumns, knownColumns, sameColumns } from './column-changes.ts';
import type { CopyJob } from './copy-plan.ts';
import { copyAfresh } from './mark-for-copy.ts';
import { requireOwnTable } from './pipeline-claims.ts';
import { createShadow } from './shadow.ts';
import type { SourceSession } from './source-setup.ts';

export interface TableRegisterOptions {
  config: Config;
  log: Log;
  metrics: Metrics;
  keepRows: boolean;
  source: SourceSession;
  publication: Publication;
  clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  sink: ClickHouseSink;
  control: ControlTables;
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

  /** Forgets tables that are not part of the pipeline any more: should they come back, changes are missing. */
  async forgetOthers(described: readonly SourceTable[]): Promise<void> {
    const { control, log, saved, sink } = this.#options;
    const names = new Set(described.map(qualifiedName));
    for (const [id, { name }] of sink.tables) if (!names.has(name)) sink.tables.delete(id);
    for (const table of await control.loadTables()) {
      const name = qualifiedName(table);
      if (names.has(name)) continue;
      saved.delete(name);
      await control.forgetTable(table);
      log.warn({ table: name }, 'the table left the pipeline; if it comes back it is copied afresh');
    }
  }

  /**
   * Goes along with the catalog: tables that were created and match the patterns, or were added to a publication that is
   * not ours, are taken in; of the others, columns that were added are made, and changes that PostgreSQL does not put
   * into the stream stop the table. Returns those that must be copied afresh.
   */
  async followCatalog(between: (task: () => Promise<void>) => Promise<void>): Promise<string[]> {
    const { log, startCopy, sink, publication } = this.#options;
    const { client, types } = this.#options.source;
    await this.#publishNewTables();
    const described = await describeTables(
      client,
      types,
      await this.#published(),
      publication.generatedStored,
    );
    const isKnown = (source: SourceTable) => {
      const table = sink.tables.get(source.id);
      if (table && canBeReadNow(table.state, source)) return false;
      if (table?.state.phase !== 'streaming') return table;
      return sameColumns(table.state.columns, source.columns) && sameKey(table.state, source);
    };
    if (described.some(source => this.#isAnother(source)))
      throw new CdcError('COPY_AFRESH', 'a table was renamed, or dropped and made again');
    const here = new Set(described.map(source => source.id));
    if ([...sink.tables.keys()].some(id => !here.has(id))) await between(() => this.forgetOthers(described));
    const changed = described.filter(source => !isKnown(source));
    if (changed.length > 0)
      await between(async () => {
        for (const source of changed) {
          const table = sink.tables.get(source.id);
          if (table && !canBeReadNow(table.state, source)) await this.#followOrStop(table, source);
          else {
            log.info(
              { table: qualifiedName(source) },
              table ? 'a table can be read now' : 'a table was added',
            );
            const job = await this.register(source);
            if (job) startCopy(job);
          }
        }
      });
    const hasGap = (source: SourceTable) => {
      const state = sink.tables.get(source.id)?.state;
      return state?.phase === 'streaming' && state.membership !== source.membership;
    };
    return described.filter(hasGap).map(qualifiedName);
  }

  /** Whether another table had this name before, or the table another name: the session begins anew with what is there now. */
  #isAnother(source: Table): boolean {
    const name = qualifiedName(source);
    return [...this.#options.sink.tables].some(([id, table]) => (id === source.id) !== (table.name === name));
  }

  async #followOrStop(table: SinkTable, source: SourceTable): Promise<void> {
    try {
      await this.#followColumns(table, source);
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.action !== 'stop-table') throw failure;
      await this.#options.sink.stopTable(table, failure, this.#options.checkpoint.position);
    }
  }

  /** Tables of the publication that match the patterns. */
  async #published(): Promise<PublishedTable[]> {
    const { config, source } = this.#options;
    const published = await publishedTables(
      source.client,
      config.postgres.publication,
      source.info.serverVersion,
    );
    return published.filter(t => matchesPattern(config.tables, config.exclude, t.schema, t.name));
  }

  /** Adds tables that match the patterns to a publication of ours. */
  async #publishNewTables(): Promise<void> {
    const { config, log, source } = this.#options;
    const { publication, publicationGiven } = config.postgres;
    if (publicationGiven || this.#options.publication.allTables) return;
    const published = new Set((await this.#published()).map(qualifiedName));
    const created = (await listTables(source.client)).filter(
      table =>
        table.hasColumns &&
        matchesPattern(config.tables, config.exclude, table.schema, table.name) &&
        !published.has(qualifiedName(table)) &&
        !this.#refused.has(qualifiedName(table)),
    );
    if (created.length === 0) return;
    await addToPublication(source.client, publication, created).catch(error => {
      const names = created.map(qualifiedName);
      for (const name of names) this.#refused.add(name);
      log.warn({ tables: names }, `new tables are left out: ${asCdcError(error).message}`);
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
    if (this.#isAnother(table))
      throw new CdcError(
        'COPY_AFRESH',
        `${qualifiedName(table)} is another table now, which is copied afresh`,
      );
    log.info({ table: qualifiedName(relation) }, 'a table was added to the publication');
    const job = await this.register(table);
    if (job) this.#options.startCopy(job);
    return this.#options.sink.tables.get(table.id);
  }

  async addColumns(table: SinkTable, relation: Relation): Promise<void> {
    const source = await this.#describe(relation);
    if (source) await this.#followColumns(table, source); // else dropped since: the encoder says what is missing
  }

  /** Goes along with what happened to a table's columns, or throws SCHEMA_CHANGED when only a new copy is right. */
  async #followColumns(table: SinkTable, source: SourceTable): Promise<void> {
    const { added, rewritten } = compareColumns(table.state.columns, source.columns);
    if (rewritten)
      throw new CdcError(
        'SCHEMA_CHANGED',
        `table ${table.name}: ${rewritten}, and rows that did not change since are not in the stream`,
        {
          table: table.name,
        },
      );
    if (!sameKey(table.state, source))
      throw new CdcError(
        'SCHEMA_CHANGED',
        `table ${table.name} is told apart by (${source.key.join(', ')}) now, no longer by (${table.state.key.join(', ')})`,
        { table: table.name },
      );
    if (added.length > 0) {
      const { clickhouse, capabilities } = this.#options.clickhouse;
      const options = targetOptions(this.#options.config);
      const names = new Set(added.map(column => column.name));
      await addColumns(
        this.#options.source.client,
        clickhouse,
        table,
        source,
        { names, shared: false },
        options,
        capabilities,
      );
      this.#options.log.info({ table: table.name, columns: [...names] }, 'columns added');
    } else if (source.columns.length === table.state.columns.length) return;
    else table.adopt(source, table.types);
    table.state.columns = knownColumns(source.columns);
    await this.#options.sink.saveTable(table);
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
    const startsOver = known && (wasRefused(known) || canBeReadNow(known, source));
    const saved = startsOver ? this.#newState(source) : known;
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
        // It has no rows yet: nothing is saved, and the next start tries again. Or it is stopped already, for a reason of its own.
        state.phase = 'stopped';
        state.stopped ??= {
          code: failure.code,
          message: failure.message,
          hint: failure.hint,
          position: this.#options.checkpoint.position,
          at: new Date().toISOString(),
        };
        this.#options.metrics.setTableState(table.name, 'stopped');
        log.error(
          { table: table.name, code: state.stopped.code },
          `table left out: ${state.stopped.message}. ${state.stopped.hint}`,
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
      membership: source.membership,
      columns: knownColumns(source.columns),
      phase: 'copying',
      keyRule,
      key,
      live: false,
      copiedRows: 0,
    };
  }

  async #prepare(source: SourceTable, saved: TableState | undefined): Promise<CopyJob | undefined> {
    const { config, control, keepRows, log, metrics } = this.#options;
    const { clickhouse, capabilities } = this.#options.clickhouse;
    const options = targetOptions(config);
    const plan = planTarget(source, options, capabilities);
    await requireOwnTable(config, control, source, plan.name);
    // Before anything is made for it.
    if (!saved && config.snapshot === 'initial') requireReadable(source);
    await clickhouse.command(buildCreateDatabaseSql(plan.name.database, options));
    let actual = await inspectTarget(clickhouse, plan.name);
    let state = saved;
    if (
      state?.phase === 'copying' &&
      state.base !== undefined &&
      (!sameColumns(state.columns, source.columns) || state.membership !== source.membership)
    ) {
      // Chunks that are copied have other columns, or are of another table: the copy starts over.
      const { base: _base, leaves: _leaves, shadow: _shadow, ...rest } = state;
      state = rest;
    }
    if (state && quoteTableName(state.target) !== quoteTableName(plan.name)) {
      log.warn(
        { table: qualifiedName(source) },
        'it goes to another ClickHouse table now: it is copied afresh',
      );
      state = undefined;
    }
    if (state?.phase === 'streaming' && state.membership !== source.membership) {
      if (config.snapshot === 'none') throw leftForAWhile(source);
      log.warn(
        { table: qualifiedName(source) },
        'it left the publication for a while, is another table, or has another row filter or column list: it is copied afresh',
      );
      state = copyAfresh(state);
    }
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
    } else if (actual) {
      if (state?.phase === 'streaming') {
        const { epoch } = this.#options.checkpoint;
        await this.#followColumns(new SinkTable(source, plan, actual.columns, state, options, epoch), source);
        actual = (await inspectTarget(clickhouse, plan.name))!;
      }
      checkTarget(source, plan, actual, options);
    } else {
      await createTable(clickhouse, plan, options);
      actual = (await inspectTarget(clickhouse, plan.name))!;
      if (saved)
        log.warn({ table: qualifiedName(source) }, 'its ClickHouse table was gone: it is copied afresh');
      state = undefined;
    }
    const fresh = state === undefined;
    if (state && state.epoch !== this.#options.checkpoint.epoch) {
      // Positions of the time before a failover: a copy starts over, and no later change is below a truncate.
      const { target, membership, columns, phase, keyRule, key, live, copiedRows, stopped } = state;
      const { epoch } = this.#options.checkpoint;
      state = { epoch, target, membership, columns, phase, keyRule, key, live, copiedRows, stopped };
    }
    state ??= this.#newState(source);
    if (state.phase === 'copying' && state.base === undefined) {
      state.key = source.key;
      state.keyRule = source.keyRule;
      state.membership = source.membership;
      state.columns = knownColumns(source.columns);
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

/** The rule may be another one for the same columns: rows are then told apart as before. */
function sameKey(state: TableState, source: SourceTable): boolean {
  return state.key.join() === source.key.join();
}

function fits(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function leftForAWhile(source: SourceTable): CdcError {
  const table = qualifiedName(source);
  return new CdcError(
    'SCHEMA_CHANGED',
    `table ${table} left the publication for a while, is another one, or has another row filter or column list: changes are missing`,
    { table },
  );
}

export function requireReadable(source: SourceTable): void {
  const table = qualifiedName(source);
  if (source.unreadable)
    throw new CdcError('TABLE_UNREADABLE', `table ${table} cannot be copied: ${source.unreadable}`, {
      table,
    });
}

/** Whether the table was left out because it could not be read, and may be taken in now. */
function canBeReadNow({ stopped, base }: TableState, source: SourceTable): boolean {
  return stopped?.code === 'TABLE_UNREADABLE' && base === undefined && !source.unreadable;
}

/** Whether the table stopped before the first row of its copy. Then the next start tries again, as the hint says. */
export function wasRefused({ stopped, base }: TableState): boolean {
  return stopped?.position === '0/0' && base === undefined;
}
