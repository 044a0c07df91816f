import type pg from 'pg';
import type { LeafCopy } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { type Lsn, parseLsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import type { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import type { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import type { TargetOptions } from '../sinks/clickhouse/target.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import {
  connect,
  type PostgresAddress,
  queryError,
  quoteIdent,
  quoteLiteral,
  quoteTable,
} from '../sources/wal/connect.ts';
import { copyRows } from './copied-rows.ts';
import {
  type Chunk,
  type CopyJob,
  copySql,
  type LeafRow,
  leavesSql,
  pendingChunks,
  pendingChunksOf,
  planLeaf,
} from './copy-plan.ts';
import { findInvalidValue } from './invalid-values.ts';
import { waitForOpenTransactions } from './open-transactions.ts';
import { createShadow } from './shadow.ts';

export interface TableCopierOptions {
  address: PostgresAddress;
  clickhouse: ClickHouse;
  target: TargetOptions;
  sink: ClickHouseSink;
  metrics: Metrics;
  log: Log;
  /** Copies of chunks that run at once. */
  parallel: number;
  /** Waits until what was visible at the source is sure to stay. */
  settleSource(): Promise<Lsn>;
  /** Runs a task while no batch is being written. */
  between(task: () => Promise<void>): Promise<void>;
}

/**
 * Copies rows that exist while the stream runs beside. The rule that makes it exact, "base, wait, chunks", is in
 * docs/architecture.md: every transaction that committed before the base is visible to every chunk, every other one is
 * in the stream and beats the copied row.
 */
export class TableCopier {
  readonly #options: TableCopierOptions;
  readonly #abandoned = new Map<SinkTable, AbortController>();
  readonly #inFlight = new Map<SinkTable, Set<Promise<unknown>>>();
  readonly #stop = new AbortController();

  constructor(options: TableCopierOptions) {
    this.#options = options;
  }

  /** Copies all of `jobs`; resolves when each is done, abandoned for a truncate, or stopped. */
  async run(jobs: CopyJob[]): Promise<void> {
    for (const { table } of jobs) this.#abandoned.set(table, new AbortController());
    const keyed = jobs.filter(job => !job.table.keyless);
    const keyless = jobs.filter(job => job.table.keyless);
    await Promise.all([
      this.#copyKeyed(keyed),
      (async () => {
        for (const job of keyless) await this.#guard(job, () => this.#copyKeyless(job));
      })(),
    ]);
  }

  /** Stops copying a table; resolves when no chunk of it is in flight. */
  async abandon(table: SinkTable): Promise<void> {
    this.#abandoned.get(table)?.abort();
    await Promise.allSettled([...(this.#inFlight.get(table) ?? [])]);
  }

  /** Ends `run` with what was begun thrown away; a later run goes on behind the last finished chunk. */
  stop(): void {
    this.#stop.abort();
  }

  #signal(table: SinkTable): AbortSignal {
    return AbortSignal.any([this.#stop.signal, this.#abandoned.get(table)!.signal]);
  }

  #given(table: SinkTable): boolean {
    return (
      this.#stop.signal.aborted ||
      this.#abandoned.get(table)!.signal.aborted ||
      table.state.phase !== 'copying'
    );
  }

  /** A failure that concerns one table stops it; one that passes is thrown. */
  async #guard(job: CopyJob, run: () => Promise<void>): Promise<void> {
    try {
      if (!this.#given(job.table)) await run();
    } catch (error) {
      if (this.#given(job.table)) return;
      const failure = asCdcError(error);
      if (failure.action !== 'stop-table') throw failure;
      await this.#options.between(() =>
        this.#options.sink.stopTable(job.table, failure, job.table.state.base ?? '0/0'),
      );
    }
  }

  async #copyKeyed(jobs: CopyJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const queue: Chunk[] = [];
    const client = await connect(this.#options.address);
    try {
      for (const job of jobs) await this.#guard(job, () => this.#begin(client, job));
      const copying = jobs.filter(job => !this.#given(job.table));
      if (copying.length > 0) await this.#waitForOlderTransactions(client);
      for (const job of copying) {
        await this.#guard(job, async () => {
          if (!job.table.state.leaves) {
            job.table.state.leaves = await this.#planLeaves(client, job.source);
            await this.#options.sink.saveTable(job.table);
          }
          this.#measure(job.table);
          queue.push(...pendingChunks(job));
        });
      }
      // Tables whose last chunk was copied just before a crash, and empty ones.
      for (const job of copying) await this.#guard(job, () => this.#finishIfDone(job));
    } finally {
      await client.end().catch(() => {});
    }
    await Promise.all(Array.from({ length: this.#options.parallel }, () => this.#work(queue)));
  }

  /** Before the base: values that ClickHouse could not hold. Then the base itself, once and for all runs of this copy. */
  async #begin(client: pg.Client, { source, table }: CopyJob): Promise<void> {
    if (table.state.base !== undefined) return;
    const invalid = table.setsAside ? undefined : await findInvalidValue(client, source, table);
    if (invalid) throw invalid;
    // What is not flushed may be gone after a crash of PostgreSQL, and later transactions then commit at its positions.
    const { rows } = await query<{ lsn: string }>(client, 'SELECT pg_current_wal_flush_lsn()::text AS lsn');
    table.state.base = rows[0]!.lsn;
    await this.#options.sink.saveTable(table);
  }

  /** Only when every transaction that was open when the bases were taken has ended, any later snapshot sees all before the bases. */
  async #waitForOlderTransactions(client: pg.Client): Promise<void> {
    if (process.env.WAL_CDC_TEST_FAULT === 'copy-without-wait') return;
    await waitForOpenTransactions(client, this.#options.log, 'the copy', this.#stop.signal);
  }

  async #planLeaves(client: pg.Client, source: SourceTable): Promise<LeafCopy[]> {
    const { rows } = await query<LeafRow>(client, leavesSql(source.id));
    return rows.map(planLeaf);
  }

  #measure(table: SinkTable): void {
    const leaves = table.state.leaves ?? [];
    table.totalPages = leaves.reduce((sum, leaf) => sum + leaf.chunks, 0);
    table.copiedPages = leaves.reduce((sum, leaf) => sum + leaf.done.length, 0);
    table.copyStartedAtMs ||= performance.now();
  }

  async #work(queue: Chunk[]): Promise<void> {
    let client: pg.Client | undefined;
    try {
      for (let chunk = queue.shift(); chunk; chunk = queue.shift()) {
        if (this.#given(chunk.job.table)) continue;
        const { job } = chunk;
        const work = chunk;
        client ??= await connect(this.#options.address);
        const session = client;
        let intact = false;
        await this.#guard(job, async () => {
          const moved = await this.#track(job.table, this.#copyChunk(session, work));
          intact = true;
          // Another worker may have noticed before.
          if (moved && moved.filenode !== work.leaf.filenode) {
            // All chunks of this leaf are thrown away, also those that other workers have done.
            for (let i = queue.length - 1; i >= 0; i--) if (queue[i]!.leaf === work.leaf) queue.splice(i, 1);
            Object.assign(work.leaf, moved, { done: [] });
            await this.#options.sink.saveTable(job.table);
            queue.push(...pendingChunksOf(job, work.leaf));
          }
          this.#measure(job.table);
          await this.#finishIfDone(job);
        });
        if (!intact) {
          await client.end().catch(() => {});
          client = undefined;
        }
      }
    } finally {
      await client?.end().catch(() => {});
    }
  }

  async #track<T>(table: SinkTable, work: Promise<T>): Promise<T> {
    const set = this.#inFlight.get(table) ?? new Set();
    this.#inFlight.set(table, set);
    set.add(work);
    try {
      return await work;
    } finally {
      set.delete(work);
    }
  }

  /** Copies one chunk. Returns the leaf as it is now when its rows have moved (VACUUM FULL, CLUSTER, a rewrite). */
  async #copyChunk(client: pg.Client, chunk: Chunk): Promise<LeafCopy | undefined> {
    const { job, leaf, number } = chunk;
    const { filenode } = leaf;
    // One snapshot, which the first query takes, behind the lock: what it shows is on disk before any of it is copied.
    await query(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    try {
      await query(client, `LOCK TABLE ONLY ${quoteTable(leaf)} IN ACCESS SHARE MODE`);
      const { rows } = await query<LeafRow>(client, leavesSql(leaf.oid));
      const now = rows[0];
      if (!now) throw new CdcError('COPY_BROKEN', `${qualifiedName(leaf)} disappeared while it was copied`);
      if (now.filenode !== filenode) {
        this.#options.log.info(
          { table: job.table.name, leaf: leaf.name },
          'the rows of a table moved: its copy starts over',
        );
        await query(client, 'ROLLBACK');
        return planLeaf(now);
      }
      await this.#options.settleSource();
      const from = `ctid >= '(${number * leaf.chunkPages},0)'::tid`;
      const to = number + 1 < leaf.chunks ? ` AND ctid < '(${(number + 1) * leaf.chunkPages},0)'::tid` : '';
      const statement = copySql(job.source, `ONLY ${quoteTable(leaf)}`, `${from}${to}`);
      const base = parseLsn(job.table.state.base!);
      await this.#copyRows(client, job, statement, base, () => 0);
      await query(client, 'COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      throw error;
    }
    if (leaf.filenode === filenode && !leaf.done.includes(number)) leaf.done.push(number);
    await this.#options.sink.saveTable(job.table);
    return undefined;
  }

  async #copyRows(
    client: pg.Client,
    job: CopyJob,
    statement: ReturnType<typeof copySql>,
    base: Lsn,
    ordinal: () => number,
  ): Promise<void> {
    const { sink, metrics } = this.#options;
    await copyRows(client, job, statement, { base, ordinal, sink, metrics, signal: this.#signal(job.table) });
  }

  async #finishIfDone(job: CopyJob): Promise<void> {
    const { table } = job;
    if (this.#given(table) || !table.state.leaves?.every(leaf => leaf.done.length >= leaf.chunks)) return;
    await this.#options.between(async () => {
      if (this.#given(table)) return;
      await this.#options.sink.finishCopy(table);
      this.#options.log.info({ table: table.name, rows: table.state.copiedRows }, 'copied');
    });
  }

  /**
   * A table without a key is copied under the snapshot of a temporary slot: what committed before the slot's consistent
   * point is in the copy, everything else in the stream. A broken copy starts over.
   */
  async #copyKeyless(job: CopyJob): Promise<void> {
    const { address, sink } = this.#options;
    const { source, table } = job;
    if (!table.setsAside) {
      const client = await connect(address);
      try {
        const invalid = await findInvalidValue(client, source, table);
        if (invalid) throw invalid;
      } finally {
        await client.end().catch(() => {});
      }
    }
    // Until the consistent point is known the shadow takes every change; those that the copy has too are deleted later.
    await this.#options.between(async () => {
      if (this.#given(table)) return; // a truncate ended the copy meanwhile
      await this.#freshShadow(table);
      table.state.base = '0/0';
      table.state.copiedRows = 0;
      await sink.saveTable(table);
    });
    if (this.#given(table)) return;
    const exporter = await connect(address, { replication: true });
    const client = await connect(address);
    try {
      const name = `wal_cdc_copy_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;
      const slot = await query<{ consistent_point: string; snapshot_name: string }>(
        exporter,
        `CREATE_REPLICATION_SLOT ${quoteIdent(name)} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT`,
      );
      const { consistent_point: point, snapshot_name: snapshot } = slot.rows[0]!;
      await query(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await query(client, `SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`);
      await this.#options.between(async () => {
        if (this.#given(table)) return; // a truncate ended the copy meanwhile: its base stands
        table.state.base = point;
        await sink.saveTable(table);
      });
      if (this.#given(table)) return;
      table.copyStartedAtMs = performance.now();
      const statement = copySql(
        source,
        source.partitioned ? quoteTable(source) : `ONLY ${quoteTable(source)}`,
        'true',
      );
      let count = 0;
      await this.#track(
        table,
        this.#copyRows(client, job, statement, parseLsn(point), () => count++),
      );
    } finally {
      await client.end().catch(() => {});
      await exporter.end().catch(() => {});
    }
    await this.#options.between(async () => {
      if (this.#given(table)) return;
      await sink.finishCopy(table);
      this.#options.log.info({ table: table.name, rows: table.state.copiedRows }, 'copied');
    });
  }

  async #freshShadow(table: SinkTable): Promise<void> {
    await createShadow(this.#options.clickhouse, table, this.#options.target);
  }
}

async function query<T extends pg.QueryResultRow>(
  client: pg.Client,
  sql: string,
): Promise<pg.QueryResult<T>> {
  try {
    return await client.query<T>(sql);
  } catch (error) {
    throw queryError(error, 'copying');
  }
}
