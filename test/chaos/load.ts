import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Random } from '../../src/demo/random.ts';
import { connect } from './servers.ts';
import { bulkRows, bulkTable, copyFromFileSql, keyedTables, keylessTable, type LoadTable } from './tables.ts';

export interface LoadOptions {
  url: string;
  seed: number;
  connections: number;
  /** Whether the service falls behind: on a busy machine a load that does not care would never be caught up with. */
  isBehind(): boolean;
}

export interface LoadStats {
  committed: number;
  rolledBack: number;
  /** Refused by PostgreSQL (a duplicate key, a deadlock) or broken off by a crash. */
  failed: number;
}

interface Session {
  client: pg.Client;
  random: Random;
  connection: number;
}

/**
 * Random transactions on several connections until `stop`; reconnects for as long as it takes. What a connection does
 * depends on the seed alone; what comes of it also on the others.
 */
export class Load {
  readonly stats: LoadStats = { committed: 0, rolledBack: 0, failed: 0 };
  readonly #options: LoadOptions;
  readonly #tables = [...keyedTables];
  readonly #stopping = new AbortController();
  #running: Promise<void>[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = Array.from({ length: this.#options.connections }, (_, i) => this.#connection(i));
  }

  /** A table that came up meanwhile. */
  add(table: LoadTable): void {
    this.#tables.push(table);
  }

  /** Resolves when the transactions in flight have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  async #connection(connection: number): Promise<void> {
    const { url, seed } = this.#options;
    const random = new Random(seed, 1000 + connection);
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let client: pg.Client | undefined;
      try {
        client = await connect(url);
        await resolvePrepared({ client, random, connection });
        while (!signal.aborted) {
          while (this.#options.isBehind() && !signal.aborted) await delay(100);
          await this.#transaction({ client, random, connection });
          await delay(random.below(30), undefined, { signal }).catch(() => {});
        }
      } catch {
        await delay(100, undefined, { signal }).catch(() => {});
      }
      await client?.end().catch(() => {});
    }
  }

  /** @throws when the connection is of no more use */
  async #transaction(session: Session): Promise<void> {
    const { client, random } = session;
    const chance = random.below(100);
    const special = random.below(100);
    try {
      await client.query('BEGIN');
      if (special < 2) await truncateAndFill(session);
      else if (special < 6) await appendKeyless(session);
      else await this.#someChanges(session);
      // Long ones end after others that began later.
      if (chance < 6) await delay(50 + random.below(1000));
      if (chance >= 95) {
        await client.query('ROLLBACK');
        this.stats.rolledBack++;
      } else if (chance >= 93) {
        await client.query(`PREPARE TRANSACTION '${preparedName(session)}'`);
        await delay(random.below(300));
        await resolvePrepared(session);
        this.stats.committed++;
      } else {
        await client.query('COMMIT');
        this.stats.committed++;
      }
    } catch (error) {
      this.stats.failed++;
      if (!(error instanceof pg.DatabaseError && error.severity === 'ERROR')) throw error;
      await client.query('ROLLBACK');
    }
  }

  async #someChanges(session: Session): Promise<void> {
    const { client, random } = session;
    for (let left = 1 + random.below(5); left > 0; left--) {
      const table = random.pick(this.#tables);
      if (random.below(6) > 0) {
        await change(session, table);
        continue;
      }
      await client.query('SAVEPOINT s');
      await change(session, table);
      await change(session, random.pick(this.#tables));
      await client.query(random.below(2) === 0 ? 'ROLLBACK TO SAVEPOINT s' : 'RELEASE SAVEPOINT s');
    }
  }
}

const preparedName = (session: Session) => `chaos ${session.connection}`;

/** Also what a crash left. */
async function resolvePrepared(session: Session): Promise<void> {
  const { client, random } = session;
  const { rowCount } = await client.query('SELECT FROM pg_prepared_xacts WHERE gid = $1', [
    preparedName(session),
  ]);
  if (rowCount === 0) return;
  await client.query(`${random.below(2) === 0 ? 'COMMIT' : 'ROLLBACK'} PREPARED '${preparedName(session)}'`);
}

/** One of the things that an application does to a row; those that find no row change nothing. */
async function change(session: Session, table: LoadTable): Promise<void> {
  const { client, random, connection } = session;
  const key = table.randomKey(random);
  const other = table.randomKey(random);
  const kind = random.below(14);
  const run = (sql: string) => client.query(sql);
  switch (kind) {
    case 0:
    case 1:
      await run(insertSql(table, key, random));
      break;
    case 2:
      await run(
        `${insertSql(table, key, random, true)} ON CONFLICT (${table.key}) DO UPDATE SET v = excluded.v, doc = excluded.doc`,
      );
      break;
    case 3:
    case 4:
    case 5:
      await run(touchSql(table, key));
      break;
    case 6:
      await run(`UPDATE ${table.name} SET doc = ${docSql(random)} WHERE ${is(table, key)}`);
      break;
    case 7:
      await run(`DELETE FROM ${table.name} WHERE ${is(table, key)}`);
      break;
    case 8:
      await run(moveSql(table, key, other));
      break;
    case 9:
      // A chain: each link leaves the document out.
      await run(touchSql(table, key));
      await run(moveSql(table, key, other));
      await run(moveSql(table, other, table.randomKey(random)));
      break;
    case 10: {
      const spare = table.spareKey(connection);
      await run(moveSql(table, key, spare));
      await run(moveSql(table, other, key));
      await run(moveSql(table, spare, other));
      break;
    }
    case 11:
      // The key that became free is taken at once.
      await run(moveSql(table, key, other));
      await run(insertSql(table, key, random));
      break;
    case 12:
      await run(`DELETE FROM ${table.name} WHERE ${is(table, key)}`);
      await run(insertSql(table, key, random));
      await run(touchSql(table, key));
      break;
    default:
      await run(`UPDATE ${table.name} SET v = v + 1 WHERE v % 97 = ${random.below(97)}`);
  }
}

const is = (table: LoadTable, key: string[]) => `(${table.key}) = (${key})`;

function touchSql(table: LoadTable, key: string[]): string {
  return `UPDATE ${table.name} SET v = v + 1 WHERE ${is(table, key)}`;
}

function moveSql(table: LoadTable, from: string[], to: string[]): string {
  const set = table.key.map((name, i) => `${name} = ${to[i]}`);
  return `UPDATE ${table.name} SET ${set} WHERE ${is(table, from)} AND NOT EXISTS (SELECT FROM ${table.name} WHERE ${is(table, to)})`;
}

function insertSql(table: LoadTable, key: string[], random: Random, mayExist = false): string {
  return (
    `INSERT INTO ${table.name} (${table.key}, v, note, doc) VALUES (${key}, ${random.below(1000)}, 'n', ${docSql(random)})` +
    (mayExist ? '' : ' ON CONFLICT DO NOTHING')
  );
}

function docSql(random: Random): string {
  const seed = random.below(1_000_000);
  if (random.below(3) === 0) return random.below(2) === 0 ? 'NULL' : `'short ${seed}'`;
  return `long_text(${seed}, ${2200 + random.below(4000)})`;
}

async function truncateAndFill({ client, random }: Session): Promise<void> {
  const variant = random.below(5);
  if (variant === 0) await client.query('TRUNCATE volatile');
  else if (variant === 1) {
    await client.query(
      `INSERT INTO volatile SELECT n, -1, 'gone', NULL FROM generate_series(200000, 200050) n`,
    );
    await client.query('TRUNCATE volatile');
    await client.query(copyFromFileSql('volatile', 'id, note'));
  } else if (variant === 2) {
    await client.query(`TRUNCATE volatile, ${keylessTable}`);
    await client.query(copyFromFileSql(keylessTable, 'who, doc'));
  } else if (variant === 3) {
    await client.query('SAVEPOINT s');
    await client.query('TRUNCATE volatile');
    await client.query('ROLLBACK TO SAVEPOINT s');
    await client.query(`UPDATE volatile SET v = v + 1 WHERE id < 50`);
  } else {
    await client.query('TRUNCATE volatile');
    await client.query(
      `INSERT INTO volatile SELECT n, n, 'filled', long_text(n, 2500) FROM generate_series(1, ${20 + random.below(200)}) n`,
    );
    await client.query('UPDATE volatile SET v = v + 1 WHERE id % 2 = 0');
  }
}

async function appendKeyless({ client, random }: Session): Promise<void> {
  if (random.below(2) === 0) await client.query(copyFromFileSql(keylessTable, 'who, doc'));
  else
    await client.query(
      `INSERT INTO ${keylessTable} (who, doc) SELECT n, ${docSql(random)} FROM generate_series(1, ${1 + random.below(20)}) n`,
    );
}

/** Far larger than a batch. */
export async function hugeTransaction(client: pg.Client, random: Random): Promise<void> {
  await client.query('BEGIN');
  await client.query(
    `INSERT INTO ${bulkTable} (id, v, note) SELECT n, ${random.below(1000)}, md5(n::text) FROM generate_series(1, ${bulkRows}) n
       ON CONFLICT (id) DO UPDATE SET v = excluded.v, note = excluded.note`,
  );
  await client.query(`DELETE FROM ${bulkTable} WHERE id % 11 = ${random.below(11)}`);
  await client.query('COMMIT');
}
