import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Random } from '../../src/demo/random.ts';
import { hugeTransaction, type Load } from './load.ts';
import { connect } from './servers.ts';
import { bulkRows, bulkTable, movableTables, storeOutOfLine, tableWithId } from './tables.ts';

export interface UpkeepOptions {
  url: string;
  seed: number;
  load: Load;
  isBehind(): boolean;
  publication: string;
  /** Live additions are at least this far apart. */
  additionIntervalMs: number;
}

/**
 * What administrators do beside the load: rewrite tables, so that their rows move under a copy, add tables that open
 * transactions have written to, import much at once.
 */
export class Upkeep {
  /** By kind. */
  readonly done = new Map<string, number>();
  readonly #options: UpkeepOptions;
  readonly #random: Random;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #additions = 0;
  #addedAtMs = performance.now();

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, 2000);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let client: pg.Client | undefined;
      try {
        client = await connect(this.#options.url);
        await client.query("SET lock_timeout = '2s'");
        while (!signal.aborted) {
          await delay(200 + this.#random.below(600), undefined, { signal }).catch(() => {});
          if (!this.#options.isBehind()) await this.#once(client);
        }
      } catch {
        await delay(200, undefined, { signal }).catch(() => {});
      }
      await client?.end().catch(() => {});
    }
  }

  async #once(client: pg.Client): Promise<void> {
    const random = this.#random;
    const { additionIntervalMs } = this.#options;
    try {
      if (performance.now() - this.#addedAtMs > additionIntervalMs) {
        this.#addedAtMs = performance.now();
        await this.#addTable(client);
        return;
      }
      const kind = random.below(20);
      if (kind < 9) await this.#query(client, 'VACUUM FULL', `VACUUM FULL ${random.pick(movableTables)}`);
      else if (kind < 13)
        await this.#query(client, 'CLUSTER', `CLUSTER ${bulkTable} USING ${bulkTable}_pkey`);
      else if (kind < 15) {
        await hugeTransaction(client, random);
        this.#count(`transaction of ${bulkRows} rows`);
      } else if (kind < 17) await this.#query(client, 'VACUUM', 'VACUUM');
      else if (kind < 19) await this.#query(client, 'CHECKPOINT', 'CHECKPOINT');
      else
        await this.#query(
          client,
          'logical message',
          `SELECT pg_logical_emit_message(${random.below(2) === 0}, 'chaos', 'text')`,
        );
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && error.severity === 'ERROR')) throw error;
      await client.query('ROLLBACK');
    }
  }

  async #query(client: pg.Client, kind: string, sql: string): Promise<void> {
    await client.query(sql);
    this.#count(kind);
  }

  #count(kind: string): void {
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
  }

  /** A table with rows joins the publication while transactions are open that wrote to it. */
  async #addTable(client: pg.Client): Promise<void> {
    const { url, publication, load } = this.#options;
    const random = this.#random;
    const table = tableWithId(`added_${++this.#additions}`);
    const { name } = table;
    await client.query(
      `CREATE TABLE ${name} (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, note text, doc text)`,
    );
    await storeOutOfLine(client, name);
    await client.query(
      `INSERT INTO ${name} SELECT n, n, 'seed', CASE WHEN n % 4 = 0 THEN long_text(n, 3000) END FROM generate_series(1, 2000) n`,
    );
    const open = await Promise.all([connect(url), connect(url)]);
    try {
      for (const [i, session] of open.entries()) {
        await session.query('BEGIN');
        await session.query(
          `INSERT INTO ${name} SELECT n, ${i}, 'before', long_text(n, 2500) FROM generate_series(${10_000 * (i + 1)}, ${10_000 * (i + 1) + 20}) n`,
        );
        await session.query(
          `UPDATE ${name} SET doc = long_text(${i}, 2600) WHERE id BETWEEN ${i * 20} AND ${i * 20 + 9}`,
        );
      }
      await client.query(`ALTER PUBLICATION ${publication} ADD TABLE ${name}`).catch(error => {
        // The service looks for new tables too, and may have been faster.
        if ((error as { code?: string }).code !== '42710') throw error;
      });
      await client.query(`INSERT INTO ${name} (id, note) VALUES (5001, 'after')`);
      for (const [i, session] of open.entries()) {
        await session.query(`UPDATE ${name} SET v = v + 1 WHERE id BETWEEN ${i * 20} AND ${i * 20 + 19}`);
        await session.query(`UPDATE ${name} SET v = v + 1 WHERE id >= ${10_000 * (i + 1)} AND id % 2 = ${i}`);
      }
      await delay(random.below(1500));
      await open[0]!.query('COMMIT');
      await delay(random.below(1500));
      await open[1]!.query(random.below(3) === 0 ? 'ROLLBACK' : 'COMMIT');
    } finally {
      for (const session of open) await session.end().catch(() => {});
      load.add(table);
    }
    this.#count('table added under open transactions');
  }
}
