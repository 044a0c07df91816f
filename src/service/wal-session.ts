import { setTimeout as sleep } from 'node:timers/promises';
import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import type { Checkpoint, TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import { type PgType, qualifiedName, type Relation } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Pipeline } from '../pipeline.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { quoteString, quoteTableName, targetName } from '../sinks/clickhouse/names.ts';
import { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import {
  buildCreateDatabaseSql,
  buildCreateTableSql,
  checkTarget,
  inspectTarget,
  planTarget,
} from '../sinks/clickhouse/target.ts';
import { decodesBinary } from '../sinks/clickhouse/types/registry.ts';
import { describeTables, listTables, publishedTables, type SourceTable } from '../sources/wal/catalog.ts';
import { connect } from '../sources/wal/connect.ts';
import { addToPublication, inspectPublication, type Publication } from '../sources/wal/publication.ts';
import {
  checkSlot,
  checkSlotAgainstCheckpoint,
  createSlot,
  dropSlot,
  inspectSlot,
  type SlotState,
} from '../sources/wal/slot.ts';
import { WalStream } from '../sources/wal/stream.ts';
import { addColumns } from './added-columns.ts';
import { type ClickHouseAddress, connectClickHouse, targetOptions } from './clickhouse-address.ts';
import { SourceRows } from './source-rows.ts';
import { ensurePublication, openSource, resolveScope, type SourceSession } from './source-setup.ts';
import { type CopyJob, createShadow, TableCopier } from './table-copier.ts';

export interface SessionOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  metrics: Metrics;
  log: Log;
  keepRows: boolean;
  /** Ends `run` once this position is queryable and no table is being copied. */
  until: 'current' | Lsn | undefined;
  /** Asks for tuples as text even if every column could come in binary. */
  textTuples?: boolean;
}

const copyWorkers = 2;
const sinkPatienceMs = 30_000;
const requestIntervalMs = 1000;
const monitorIntervalMs = 3000;

/**
 * One connection to the source and what hangs on it, from the checks at the start to the last ack. A failure that may
 * pass ends it; the service then opens another one, which goes on from what was saved.
 */
export class WalSession {
  readonly #options: SessionOptions;
  readonly #source: SourceSession;
  readonly #control: ControlTables;
  readonly #clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  readonly #sink: ClickHouseSink;
  readonly #rows: SourceRows;
  readonly #saved: Map<string, TableState>;
  #checkpoint: Checkpoint;
  #publication: Publication;
  #stream: WalStream | undefined;
  #pipeline: Pipeline | undefined;
  #copiers: TableCopier[] = [];
  #copying = 0;
  #until: Lsn | undefined;
  #stopped = false;
  #jobs: CopyJob[] = [];
  /** New tables that the publication could not take. */
  readonly #refused = new Set<string>();
  slot: SlotState | undefined;
  sourcePosition: Lsn | undefined;

  private constructor(
    options: SessionOptions,
    source: SourceSession,
    clickhouse: Awaited<ReturnType<typeof connectClickHouse>>,
    control: ControlTables,
    checkpoint: Checkpoint,
    publication: Publication,
    saved: Map<string, TableState>,
  ) {
    this.#options = options;
    this.#source = source;
    this.#clickhouse = clickhouse;
    this.#control = control;
    this.#checkpoint = checkpoint;
    this.#publication = publication;
    this.#saved = saved;
    this.#rows = new SourceRows(source.address);
    this.#sink = new ClickHouseSink({
      clickhouse: clickhouse.clickhouse,
      control,
      epoch: checkpoint.epoch,
      metaColumns: options.config.metaColumns,
      metrics: options.metrics,
      log: options.log,
      patienceMs: sinkPatienceMs,
      fetchSourceRow: (relation, key, columns) => this.#rows.fetch(relation, key, columns),
      adopt: relation => this.#adopt(relation),
      addColumns: (table, relation) => this.#addColumns(table, relation),
      abandonCopy: async table => {
        await Promise.all(this.#copiers.map(copier => copier.abandon(table)));
      },
    });
  }

  /** Connects both sides, checks them, creates what is missing. Streams nothing yet. */
  static async open(options: SessionOptions): Promise<WalSession> {
    const { config } = options;
    const deadLetters = Object.entries(config.tableOptions).find(
      ([, table]) => table.onError === 'dead-letter',
    );
    if (deadLetters)
      throw new CdcError(
        'CONFIG_INVALID',
        `tableOptions.${deadLetters[0]}.onError: dead-letter is not available in mode wal`,
        {
          hint: 'Leave it out: a row that cannot be written stops its table; columns.….onInvalid says what happens to values.',
        },
      );
    const clickhouse = await connectClickHouse(options.clickhouse);
    let source: SourceSession | undefined;
    try {
      source = await openSource(config.postgres.address!);
      const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
      await control.create();
      const loaded = await control.loadCheckpoint();
      const scope = await resolveScope(source, config);
      if (loaded && !scope.publication)
        throw new CdcError(
          'PUBLICATION_MISSING',
          `publication "${config.postgres.publication}" was dropped: changes since may be missing`,
          { hint: 'Run "wal-cdc teardown" and start again: the tables are copied afresh.' },
        );
      for (const { name, reason } of scope.skipped)
        options.log.warn({ table: name }, `table left out: ${reason}`);
      const publication = await ensurePublication(source, config, scope);
      const checkpoint = await establishSlot(source, config, control, loaded, publication, options.log);
      const saved = new Map(
        loaded ? (await control.loadTables()).map(row => [`${row.schema}.${row.name}`, row.state]) : [],
      );
      const session = new WalSession(options, source, clickhouse, control, checkpoint, publication, saved);
      const published = await publishedTables(
        source.client,
        config.postgres.publication,
        source.info.serverVersion,
      );
      const described = await describeTables(
        source.client,
        source.types,
        published.filter(t => matchesPattern(config.tables, config.exclude, t.schema, t.name)),
        publication.generatedStored,
      );
      for (const table of described) await session.#register(table);
      session.#requireSomeTable();
      return session;
    } catch (error) {
      await source?.client.end().catch(() => {});
      await clickhouse.clickhouse.close();
      throw error;
    }
  }

  /** Streams and copies until `stop`, or until the position that was asked for. */
  async run(started: () => void): Promise<void> {
    try {
      await this.#streamAndCopy(started);
    } finally {
      await this.#close();
    }
  }

  async #streamAndCopy(started: () => void): Promise<void> {
    const { config, metrics, until } = this.#options;
    const position = parseLsn(this.#checkpoint.position);
    const binary =
      !this.#options.textTuples &&
      [...this.#sink.tables.values()].every(table =>
        table.table.columns.every(column => decodesBinary(column.type)),
      );
    const stream = new WalStream({
      client: await connect(this.#source.address, { replication: true }),
      slot: config.postgres.slot,
      publication: config.postgres.publication,
      position,
      binary,
      maxBatchBytes: config.batch.maxBytes,
      delayMs: config.batch.maxDelayMs,
      statusIntervalMs: await this.#statusIntervalMs(),
      loadTypes: oids => this.#loadTypes(oids),
    });
    this.#stream = stream;
    const pipeline = new Pipeline({
      source: stream,
      sink: this.#sink,
      metrics,
      position,
      maxDelayMs: config.batch.maxDelayMs,
      saveCheckpoint: async written => {
        this.#checkpoint = { ...this.#checkpoint, position: formatLsn(written) };
        await this.#control.saveCheckpoint(this.#checkpoint);
      },
    });
    this.#pipeline = pipeline;
    try {
      await stream.start();
      started();
      if (this.#stopped) return;
      if (until !== undefined) await this.#expect(until === 'current' ? await this.#currentLsn() : until);
      void this.#monitor(pipeline);
      const copies = this.#runCopies(this.#jobs).catch(error => pipeline.fail(error));
      try {
        await pipeline.run(
          written => this.#until !== undefined && this.#copying === 0 && written >= this.#until,
        );
      } finally {
        this.#stopped = true;
        for (const copier of this.#copiers) copier.stop();
        this.#sink.stop();
        await copies;
      }
    } finally {
      await stream.close();
    }
  }

  /** Finishes the insert in flight, saves and acks; `run` then resolves. */
  stop(): void {
    this.#stopped = true;
    for (const copier of this.#copiers) copier.stop();
    this.#sink.stop();
    this.#pipeline?.stop();
  }

  get tables(): readonly SinkTable[] {
    return [...this.#sink.tables.values()];
  }

  get written(): Lsn {
    return this.#pipeline?.written ?? parseLsn(this.#checkpoint.position);
  }

  get checkpointed(): Lsn {
    return this.#pipeline?.saved ?? parseLsn(this.#checkpoint.position);
  }

  get epoch(): number {
    return this.#checkpoint.epoch;
  }

  get copying(): boolean {
    return this.#copying > 0;
  }

  /** Makes the position known as soon as the stream has passed it, also when nothing is written. */
  expect(position: Lsn): void {
    this.#stream?.expect(position);
  }

  async #close(): Promise<void> {
    await this.#source.client.end().catch(() => {});
    await this.#rows.close();
    await this.#clickhouse.clickhouse.close();
  }

  async #expect(position: Lsn): Promise<void> {
    this.#until = position;
    this.#stream?.expect(position);
  }

  async #currentLsn(): Promise<Lsn> {
    const { rows } = await this.#source.client.query<{ lsn: string }>(
      'SELECT pg_current_wal_insert_lsn()::text AS lsn',
    );
    return parseLsn(rows[0]!.lsn);
  }

  async #statusIntervalMs(): Promise<number> {
    const { rows } = await this.#source.client.query<{ ms: number }>(
      "SELECT setting::int AS ms FROM pg_settings WHERE name = 'wal_sender_timeout'",
    );
    const timeoutMs = rows[0]!.ms;
    return timeoutMs > 0 ? Math.max(500, Math.min(10_000, timeoutMs / 3)) : 10_000;
  }

  async #loadTypes(oids: number[]): Promise<Map<number, PgType>> {
    await this.#source.types.load(this.#source.client, oids);
    return new Map(
      oids.flatMap(oid => {
        const type = this.#source.types.known(oid);
        return type ? [[oid, type] as const] : [];
      }),
    );
  }

  async #runCopies(jobs: CopyJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const { log, metrics } = this.#options;
    const pipeline = this.#pipeline!;
    const copier = new TableCopier({
      address: this.#source.address,
      clickhouse: this.#clickhouse.clickhouse,
      target: targetOptions(this.#options.config),
      sink: this.#sink,
      metrics,
      log,
      parallel: copyWorkers,
      between: task => pipeline.between(task),
    });
    this.#copiers.push(copier);
    this.#copying += jobs.length;
    try {
      await copier.run(jobs);
    } finally {
      this.#copying -= jobs.length;
    }
    if (this.#stopped) return;
    // Rows were copied as they are now: a batch job is complete when the stream has come this far too.
    if (this.#until !== undefined) await this.#expect(await this.#currentLsn());
  }

  /** Looks after slot, publication and requests of other commands while the pipeline runs. */
  async #monitor(pipeline: Pipeline): Promise<void> {
    const { config, metrics } = this.#options;
    let checkedAtMs = 0;
    while (!this.#stopped) {
      try {
        for (const { command, arguments: args } of await this.#control.takeRequests()) {
          if (command === 'checkpoint') this.expect(parseLsn(args));
          if (command === 'resync') await this.#resync(JSON.parse(args) as string[]);
        }
        if (performance.now() - checkedAtMs > monitorIntervalMs) {
          checkedAtMs = performance.now();
          await this.#checkPublication();
          await this.#addNewTables(pipeline);
          this.sourcePosition = await this.#currentLsn();
          this.slot = await inspectSlot(
            this.#source.client,
            config.postgres.slot,
            this.#source.info.serverVersion,
          );
          if (this.slot) metrics.setSlot(this.slot);
          metrics.setLag(
            Number(this.sourcePosition > this.written ? this.sourcePosition - this.written : 0n),
          );
        }
      } catch (error) {
        const failure = asCdcError(error);
        // An outage of either side shows up in the pipeline itself.
        if (failure.code === 'PUBLICATION_MISSING') {
          pipeline.fail(failure);
          return;
        }
      }
      for (let waited = 0; waited < requestIntervalMs && !this.#stopped; waited += 100) await sleep(100);
    }
  }

  /** Tables that came up since: created and matching the patterns, or added to a publication that is not ours. */
  async #addNewTables(pipeline: Pipeline): Promise<void> {
    const { config, log } = this.#options;
    const { client, info, types } = this.#source;
    const { publication, publicationGiven } = config.postgres;
    const isNew = (table: { schema: string; name: string }) =>
      matchesPattern(config.tables, config.exclude, table.schema, table.name) &&
      !this.tables.some(known => known.name === qualifiedName(table)) &&
      !this.#refused.has(qualifiedName(table));
    let published = (await publishedTables(client, publication, info.serverVersion)).filter(isNew);
    if (!publicationGiven && !this.#publication.allTables) {
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
    const described = await describeTables(client, types, published, this.#publication.generatedStored);
    await pipeline.between(async () => {
      const jobs: CopyJob[] = [];
      for (const table of described) {
        if (this.#sink.tables.has(table.id)) continue;
        log.info({ table: qualifiedName(table) }, 'a table was added');
        const job = await this.#register(table);
        if (job) jobs.push(job);
      }
      void this.#runCopies(jobs).catch(error => pipeline.fail(error));
    });
  }

  /** Marks tables for a copy afresh; the next session, which begins at once, carries it out. */
  async #resync(names: string[]): Promise<void> {
    await this.#pipeline!.between(() => markForCopy(this.#control, names));
    this.#pipeline!.fail(new CdcError('COPY_BROKEN', `copying ${names.join(', ')} afresh`));
  }

  /** PostgreSQL 18 skips a dropped publication silently, and rows vanish. */
  async #checkPublication(): Promise<void> {
    const { publication: name } = this.#options.config.postgres;
    const now = await inspectPublication(this.#source.client, name, this.#source.info.serverVersion);
    if (now?.oid !== this.#publication.oid)
      throw new CdcError('PUBLICATION_MISSING', `publication "${name}" was dropped while it was streamed`, {
        hint: 'Changes since may be missing: run "wal-cdc teardown" and start again, the tables are copied afresh.',
      });
  }

  async #addColumns(table: SinkTable, relation: Relation): Promise<void> {
    const source = await this.#describe(relation);
    if (!source) return; // dropped since: the encoder says which column is missing
    const options = targetOptions(this.#options.config);
    const { clickhouse, capabilities } = this.#clickhouse;
    await addColumns(this.#source.client, clickhouse, table, source, options, capabilities);
    const added = relation.columns.map(column => column.name).filter(name => table.types.has(name));
    this.#options.log.info({ table: table.name, columns: added }, 'columns added');
  }

  /** The table as the publication and the catalog have it now. */
  async #describe(relation: Relation): Promise<SourceTable | undefined> {
    const { client, types, info } = this.#source;
    const published = await publishedTables(
      client,
      this.#options.config.postgres.publication,
      info.serverVersion,
    );
    const found = published.filter(t => t.schema === relation.schema && t.name === relation.name);
    const [table] = await describeTables(client, types, found, this.#publication.generatedStored);
    return table?.id === relation.id ? table : undefined;
  }

  /** A relation that came up in the stream: a table that was added to the publication. */
  async #adopt(relation: Relation): Promise<SinkTable | undefined> {
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
    const job = await this.#register(table);
    if (job) void this.#runCopies([job]).catch(error => this.#pipeline?.fail(error));
    return this.#sink.tables.get(table.id);
  }

  /** Makes the ClickHouse table, or checks it, and says what is known of it. Trouble with one table stops only that one. */
  async #register(source: SourceTable): Promise<CopyJob | undefined> {
    const { config, log } = this.#options;
    const saved = this.#saved.get(qualifiedName(source));
    try {
      const job = await this.#prepare(source, saved);
      if (job) this.#jobs.push(job);
      return job;
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
      const state = saved ?? newState(source);
      const table = new SinkTable(source, plan, new Map(), state, options, this.#checkpoint.epoch);
      this.#sink.tables.set(source.id, table);
      if (saved && saved.phase === 'streaming')
        await this.#sink.stopTable(table, failure, this.#checkpoint.position);
      else {
        // It has no rows yet: nothing is saved, and the next start tries again.
        state.phase = 'stopped';
        state.stopped = {
          code: failure.code,
          message: failure.message,
          hint: failure.hint,
          position: this.#checkpoint.position,
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

  async #prepare(source: SourceTable, saved: TableState | undefined): Promise<CopyJob | undefined> {
    const { config, keepRows, log, metrics } = this.#options;
    const { clickhouse, capabilities } = this.#clickhouse;
    const options = targetOptions(config);
    const plan = planTarget(source, options, capabilities);
    await clickhouse.command(buildCreateDatabaseSql(plan.name.database, options));
    let actual = await inspectTarget(clickhouse, plan.name);
    let state = saved;
    if (actual && state?.phase === 'copying' && !fits(() => checkTarget(source, plan, actual!, options))) {
      // A copy afresh: what it fills is made anew, the live table stays as it is until it is exchanged.
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
    state ??= newState(source);
    if (state.phase === 'copying' && state.base === undefined) {
      state.key = source.key;
      state.keyRule = source.keyRule;
    }
    const table = new SinkTable(source, plan, actual.columns, state, options, this.#checkpoint.epoch);
    table.estimatedRows = source.estimatedRows;
    if (fresh && config.snapshot === 'none') {
      if (actual.rows > 0 && !keepRows)
        throw new CdcError(
          'TABLE_NOT_EMPTY',
          `ClickHouse table ${plan.name.database}.${plan.name.table} has ${actual.rows} rows that no checkpoint explains`,
        );
      state.phase = 'streaming';
      state.live = true;
    }
    if (state.phase === 'copying' && source.unreadable)
      throw new CdcError(
        'TABLE_UNREADABLE',
        `table ${qualifiedName(source)} cannot be copied: ${source.unreadable}`,
        {
          table: qualifiedName(source),
        },
      );
    if (state.shadow) await this.#recallShadow(table);
    else if (state.phase === 'copying' && state.base === undefined && !table.keyless) {
      // Rows that the source does not have any more would stay for ever.
      if (actual.rows > 0) await createShadow(clickhouse, table, options);
      else state.live = true;
    }
    this.#sink.tables.set(source.id, table);
    metrics.setTableState(table.name, state.phase);
    if (fresh || state.base === undefined) await this.#sink.saveTable(table);
    return state.phase === 'copying' ? { source, table } : undefined;
  }

  /** After a crash: the shadow is there, or it is the live table already, or it is gone and the copy starts over. */
  async #recallShadow(table: SinkTable): Promise<void> {
    const { clickhouse } = this.#clickhouse;
    const { shadow } = table.state;
    const found = await clickhouse.query<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = ${quoteString(table.plan.name.database)} AND toString(uuid) = ${quoteString(shadow!.uuid)}`,
    );
    if (found.length > 0) return;
    this.#options.log.warn(
      { table: table.name },
      'the table that its copy fills is gone: the copy starts over',
    );
    await clickhouse.command(`DROP TABLE IF EXISTS ${quoteTableName(table.shadow!)} SYNC`);
    delete table.state.base;
    delete table.state.leaves;
    await createShadow(clickhouse, table, targetOptions(this.#options.config));
    await this.#sink.saveTable(table);
  }

  #requireSomeTable(): void {
    const tables = this.tables;
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

/** Makes a later session copy the tables afresh, behind the live ones. Throws NO_TABLES for names that are not known. */
export async function markForCopy(control: ControlTables, names: string[]): Promise<void> {
  const known = await control.loadTables();
  const unknown = names.filter(name => !known.some(table => qualifiedName(table) === name));
  if (unknown.length > 0)
    throw new CdcError('NO_TABLES', `the pipeline does not replicate ${unknown.join(', ')}`, {
      hint: `It replicates ${known.map(qualifiedName).join(', ') || 'nothing yet'}.`,
    });
  for (const { schema, name, state } of known) {
    if (!names.includes(qualifiedName({ schema, name }))) continue;
    const { keyRule, key, truncated } = state;
    const live = state.phase !== 'copying' || state.live;
    await control.saveTable(
      { schema, name },
      { phase: 'copying', keyRule, key, live, copiedRows: 0, truncated },
    );
  }
}

function newState(source: SourceTable): TableState {
  return { phase: 'copying', keyRule: source.keyRule, key: source.key, live: false, copiedRows: 0 };
}

/** Slot and checkpoint belong together: see docs/architecture.md, "On start". */
async function establishSlot(
  source: SourceSession,
  config: Config,
  control: ControlTables,
  checkpoint: Checkpoint | undefined,
  publication: Publication,
  log: Log,
): Promise<Checkpoint> {
  const { client, info } = source;
  const { slot, slotGiven, publication: publicationName } = config.postgres;
  const state = await inspectSlot(client, slot, info.serverVersion);
  if (state) checkSlot(slot, state, info.database);
  if (checkpoint) {
    if (checkpoint.mode !== 'wal')
      throw new CdcError(
        'CONFIG_INVALID',
        `pipeline "${config.pipeline}" was run in mode ${checkpoint.mode} before`,
        {
          hint: 'Choose another --pipeline, or follow "Switching modes" in docs/architecture.md.',
        },
      );
    if (checkpoint.systemId !== info.systemId)
      throw new CdcError(
        'SOURCE_CHANGED',
        `the checkpoint is of PostgreSQL system ${checkpoint.systemId}, this is system ${info.systemId}`,
      );
    if (checkpoint.slot !== slot)
      throw new CdcError(
        'CONFIG_INVALID',
        `the checkpoint is of slot "${checkpoint.slot}", not of "${slot}"`,
        {
          hint: `Set postgres.slot to ${checkpoint.slot}, or choose another --pipeline.`,
        },
      );
    if (checkpoint.publicationOid !== publication.oid)
      throw new CdcError(
        'PUBLICATION_MISSING',
        `publication "${publicationName}" is not the one of the checkpoint: changes may be missing`,
        { hint: 'Run "wal-cdc teardown" and start again: the tables are copied afresh.' },
      );
    checkSlotAgainstCheckpoint(slot, state, parseLsn(checkpoint.position));
    if (checkpoint.timeline === info.timeline) return checkpoint;
    const next = { ...checkpoint, timeline: info.timeline, epoch: checkpoint.epoch + 1 };
    log.warn(
      { timeline: info.timeline, epoch: next.epoch },
      'the source was promoted: versions go on in a new epoch',
    );
    await control.saveCheckpoint(next);
    return next;
  }
  let position: Lsn;
  if (state && slotGiven) position = state.confirmedFlush;
  else {
    // One that we made and never saved a checkpoint for: its changes would be copied rows' changes twice at best.
    if (state) await dropSlot(client, slot);
    log.info({ slot }, 'creating the replication slot (waits for transactions that are open)');
    position = await createSlot(client, slot, info.serverVersion);
  }
  const first: Checkpoint = {
    mode: 'wal',
    epoch: 1,
    position: formatLsn(position),
    systemId: info.systemId,
    timeline: info.timeline,
    slot,
    publication: publicationName,
    publicationOid: publication.oid,
  };
  await control.saveCheckpoint(first);
  return first;
}
