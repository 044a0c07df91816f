import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres.ts';
import { tempDir } from './temp-dir.ts';
import { waitFor } from './wait-for.ts';

/** 18 is the bundled one. */
export type PostgresVersion = 15 | 18;

export interface TestPostgresOptions {
  version?: PostgresVersion;
  settings?: Readonly<Record<string, string>>;
}

export type TestPostgres = EmbeddedPostgres & AsyncDisposable;

/** A database of its own, dropped with its slots when its scope ends. */
export interface TestDatabase extends AsyncDisposable {
  name: string;
  /** Of the superuser, for this database. */
  url: string;
  /** Connected. */
  client: pg.Client;
  server: EmbeddedPostgres;
}

export const postgres15BinDir = process.env.WAL_CDC_TEST_POSTGRES15 ?? '/usr/lib/postgresql/15/bin';

/** For `test(name, { skip: withoutPostgres15 }, …)`: false, or why the test cannot run here. */
export const withoutPostgres15: string | false = existsSync(join(postgres15BinDir, 'postgres'))
  ? false
  : `no PostgreSQL 15 in ${postgres15BinDir} (WAL_CDC_TEST_POSTGRES15)`;

/** A server of its own in a temporary folder, for tests that restart, kill or configure it: `await using`. */
export async function startTestPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const dir = tempDir();
  const binDir = options.version === 15 ? postgres15BinDir : undefined;
  const settings = { fsync: 'off', ...options.settings };
  try {
    const server = await startPostgres({ dir: dir.path, binDir, settings });
    return Object.assign(server, {
      async [Symbol.asyncDispose]() {
        await server.stop('immediate');
        dir[Symbol.dispose]();
      },
    });
  } catch (error) {
    dir[Symbol.dispose]();
    throw error;
  }
}

const shared = new Map<PostgresVersion, Promise<TestPostgres>>();
after(async () => {
  for (const server of shared.values()) await (await server)[Symbol.asyncDispose]();
});

/** The server of this test file: started by the first call, stopped after the last test. Tests must leave it running. */
export function sharedPostgres(version: PostgresVersion = 18): Promise<TestPostgres> {
  const server = shared.get(version) ?? startTestPostgres({ version });
  shared.set(version, server);
  return server;
}

let databases = 0;

/** A new, empty database on `server`, by default the shared one: `await using db = await freshDatabase()`. */
export async function freshDatabase(server?: EmbeddedPostgres): Promise<TestDatabase> {
  const home = server ?? (await sharedPostgres());
  const name = `test_${++databases}`;
  const admin = await connect(home.url);
  await admin.query(`CREATE DATABASE ${name}`);
  const url = home.url.replace(/\/postgres$/, `/${name}`);
  const client = await connect(url);
  return {
    name,
    url,
    client,
    server: home,
    async [Symbol.asyncDispose]() {
      await client.end();
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
      await waitFor(() => dropSlots(admin, name), { what: `the slots of ${name} to be released` });
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await admin.end();
    },
  };
}

/** A connected client. A server that goes away is no unhandled error: the next query says so. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Its walsender may live on for a moment behind the connection that it served. */
export async function slotReleased(client: pg.Client, slot: string): Promise<void> {
  const isFree = async () => {
    const active = 'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active';
    return (await client.query(active, [slot])).rowCount === 0;
  };
  await waitFor(isFree, { what: `slot ${slot} to be released` });
}

/** True when none is left; one that a dying walsender still holds is for the next try. */
async function dropSlots(admin: pg.Client, database: string): Promise<boolean> {
  await admin.query(
    'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active',
    [database],
  );
  const left = await admin.query('SELECT FROM pg_replication_slots WHERE database = $1', [database]);
  return left.rowCount === 0;
}
