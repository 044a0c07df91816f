import { setTimeout as sleep } from 'node:timers/promises';
import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import type { Checkpoint, TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import type { PgType } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Pipeline } from '../pipeline.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { decodesBinary } from '../sinks/clickhouse/types/registry.ts';
import { describeTables, publishedTables } from '../sources/wal/catalog.ts';
import { connect } from '../sources/wal/connect.ts';
import { inspectPublication, type Publication } from '../sources/wal/publication.ts';
import { statusIntervalMs } from '../sources/wal/slot.ts';
import { WalStream } from '../sources/wal/stream.ts';
import { type ClickHouseAddress, connectClickHouse, targetOptions } from './clickhouse-address.ts';
import type { CopyJob } from './copy-plan.ts';
import { establishSlot } from './establish-slot.ts';
import { LetterUpkeep } from './letter-upkeep.ts';
import { markForCopy } from './mark-for-copy.ts';
import { requireSameMode } from './pipeline-claims.ts';
import type { PipelineSession } from './pipeline-service.ts';
import type { SourceFigures } from './source-figures.ts';
import { SourceRows } from './source-rows.ts';
import { ensurePublication, openSource, resolveScope, type SourceSession } from './source-setup.ts';
import { TableCopier } from './table-copier.ts';
import { TableRegister } from './table-register.ts';

export interface SessionOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  metrics: Metrics;
  log: Log;
  figures: SourceFigures;
  keepRows: boolean;
  /** Ends `run` once this position is queryable and no table is being copied. */
  until: 'current' | Lsn | undefined;
  /** Asks for tuples as text even if every column could come in binary. */
  textTuples?: boolean;
}

const copyWorkers = 2;
/** Longer outages are waited out without a connection to PostgreSQL: an open one would block its fast shutdown. */
const sinkPatienceMs = 10_000;
const requestIntervalMs = 1000;
const monitorIntervalMs = 3000;

/**
 * One connection to the source and what hangs on it, from the checks at the start to the last ack. A failure that may
 * pass ends it; the service then opens another one, which goes on from what was saved.
 */
export class WalSession implements PipelineSession {
  readonly #options: SessionOptions;
  readonly #source: SourceSession;
  readonly #control: ControlTables;
  readonly #clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  readonly #sink: ClickHouseSink;
  readonly #rows: SourceRows;
  readonly #register: TableRegister;
  #checkpoint: Checkpoint;
  readonly #publication: Publication;
  /** Kinds of change that the publication leaves out, as far as they were warned of. */
  #leftOut = '';
  #stream: WalStream | undefined;
  #pipeline: Pipeline | undefined;
  #copiers: TableCopier[] = [];
  #copying = 0;
  #until: Lsn | undefined;
  #stopped = false;
  readonly #jobs: CopyJob[] = [];
  readonly letters: DeadLetters;

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
    this.#rows = new SourceRows(source.address);
    this.letters = new DeadLetters(clickhouse.clickhouse, options.config.pipeline);
    this.#sink = new ClickHouseSink({
      clickhouse: clickhouse.clickhouse,
      control,
      mode: 'wal',
      letters: this.letters,
      epoch: checkpoint.epoch,
      metaColumns: options.config.metaColumns,
      metrics: options.metrics,
      log: options.log,
      patienceMs: sinkPatienceMs,
      fetchSourceRow: (relation, key, columns) => this.#rows.fetch(relation, key, columns),
      settleSource: () => this.#rows.settle(),
      adopt: relation => this.#register.adopt(relation),
      addColumns: (table, relation) => this.#register.addColumns(table, relation),
      abandonCopy: async table => {
        await Promise.all(this.#copiers.map(copier => copier.abandon(table)));
      },
    });
    this.#register = new TableRegister({
      config: options.config,
      log: options.log,
      metrics: options.metrics,
      keepRows: options.keepRows,
      source,
      publication,
      clickhouse,
      sink: this.#sink,
      control,
      checkpoint,
      saved,
      startCopy: job => void this.#runCopies([job]).catch(error => this.#pipeline?.fail(error)),
    });
  }

  /** Connects both sides, checks them, creates what is missing. Streams nothing yet. */
  static async open(options: SessionOptions, isRunning: boolean): Promise<WalSession> {
    const { config } = options;
    const clickhouse = await connectClickHouse(options.clickhouse, `wal-cdc/${config.pipeline}`);
    let source: SourceSession | undefined;
    try {
      source = await openSource(config.postgres.address!);
      const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
      await control.create();
      const loaded = await control.loadCheckpoint();
      requireSameMode(config, loaded, isRunning);
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
      session.#warnOfLeftOut(publication);
      await session.letters.loadKeys();
      await session.letters.countOpen();
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
      await session.#register.forgetOthers(described);
      for (const table of described) {
        const job = await session.#register.register(table);
        if (job) session.#jobs.push(job);
      }
      session.#register.requireSomeTable();
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
      statusIntervalMs: await statusIntervalMs(this.#source.client),
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
      // The slot is held: whoever held it before writes no more, but for what is under way.
      await this.#clickhouse.clickhouse.endLeftovers();
      started();
      if (this.#stopped) return;
      if (until !== undefined) await this.#expect(until === 'current' ? await this.#flushedLsn() : until);
      void this.#monitor(pipeline);
      void this.#followSource();
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

  get writingSince(): number | undefined {
    return this.#pipeline?.writingSince;
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

  /**
   * A position behind every transaction that has committed, and flushed: a walsender sends nothing else, and records of no
   * commit may stay unflushed for many seconds.
   */
  async #flushedLsn(): Promise<Lsn> {
    const { rows } = await this.#source.client.query<{ lsn: string }>(
      "SELECT pg_logical_emit_message(true, 'wal_cdc', '')::text AS lsn",
    );
    return parseLsn(rows[0]!.lsn);
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
      settleSource: () => this.#rows.settle(),
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
    if (this.#until !== undefined) await this.#expect(await this.#flushedLsn());
  }

  /** Looks after slot, publication and requests of other commands while the pipeline runs. */
  async #monitor(pipeline: Pipeline): Promise<void> {
    const { config } = this.#options;
    const letters = new LetterUpkeep(this.letters, this.#clickhouse.clickhouse, config);
    let checkedAtMs = 0;
    let said = '';
    while (!this.#stopped) {
      try {
        for (const { command, arguments: args } of await this.#control.takeRequests()) {
          if (command === 'checkpoint') this.expect(parseLsn(args));
          if (command === 'resync') await this.#resync(JSON.parse(args) as string[]);
        }
        if (performance.now() - checkedAtMs > monitorIntervalMs) {
          checkedAtMs = performance.now();
          await this.#checkPublication();
          const gaps = await this.#register.followCatalog(task => pipeline.between(task));
          if (gaps.length > 0) await this.#resync(gaps);
          await letters.tend();
        }
      } catch (error) {
        const failure = asCdcError(error);
        if (failure.code === 'PUBLICATION_MISSING' || failure.code === 'COPY_AFRESH') {
          pipeline.fail(failure);
          return;
        }
        // An outage of either side shows up in the pipeline itself.
        if (failure.action !== 'retry' && failure.message !== said) {
          said = failure.message;
          this.#options.log.warn({ code: failure.code }, `${failure.message}. ${failure.hint}`);
        }
      }
      await this.#pause(requestIntervalMs);
    }
  }

  /** Apart from the monitor, which waits for ClickHouse: the source's figures matter most while that is away. */
  async #followSource(): Promise<void> {
    while (!this.#stopped) {
      // An outage shows up in the stream.
      await this.#options.figures.read(this.#source.client, this.written).catch(() => {});
      await this.#pause(monitorIntervalMs);
    }
  }

  /** Ends early when the session does. */
  async #pause(ms: number): Promise<void> {
    for (let waited = 0; waited < ms && !this.#stopped; waited += 100) await sleep(100);
  }

  /** Marks tables for a copy afresh; the next session, which begins at once, carries it out. */
  async #resync(names: string[]): Promise<void> {
    await this.#pipeline!.between(() => markForCopy(this.#control, names));
    this.#pipeline!.fail(new CdcError('COPY_AFRESH', `copying ${names.join(', ')} afresh`));
  }

  /** PostgreSQL 18 skips a dropped publication silently, and rows vanish. */
  async #checkPublication(): Promise<void> {
    const { publication: name } = this.#options.config.postgres;
    const now = await inspectPublication(this.#source.client, name, this.#source.info.serverVersion);
    if (now?.oid !== this.#publication.oid)
      throw new CdcError('PUBLICATION_MISSING', `publication "${name}" was dropped while it was streamed`, {
        hint: 'Changes since may be missing: run "wal-cdc teardown" and start again, the tables are copied afresh.',
      });
    this.#warnOfLeftOut(now);
  }

  #warnOfLeftOut({ leavesOut }: Publication): void {
    const kinds = leavesOut.join(', ');
    if (kinds === this.#leftOut) return;
    this.#leftOut = kinds;
    const { publication } = this.#options.config.postgres;
    if (kinds !== '')
      this.#options.log.warn(
        { publication, leavesOut },
        `the publication leaves out ${kinds}: ClickHouse will differ from PostgreSQL after these`,
      );
  }
}
