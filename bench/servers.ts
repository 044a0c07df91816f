import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedClickHouse, startClickHouse } from '../src/embedded/clickhouse.ts';
import { type EmbeddedPostgres, startPostgres } from '../src/embedded/postgres.ts';
import { splitAddress } from '../src/service/clickhouse-address.ts';
import { ClickHouse } from '../src/sinks/clickhouse/client.ts';

export interface Servers extends AsyncDisposable {
  postgres: EmbeddedPostgres;
  engine: EmbeddedClickHouse;
  /** Connected to database `postgres`. */
  admin: pg.Client;
  clickhouse: ClickHouse;
  versions: { postgres: string; clickhouse: string };
}

/** For the Kafka engine, which is a peer. */
const kafkaGrants = ['TABLE ENGINE ON Kafka', 'READ, WRITE ON KAFKA'];

/**
 * Both servers as the demo has them, in a temporary folder, but for fsync of PostgreSQL: the benchmarks read it, and its
 * tables are filled sooner. ClickHouse keeps its own: inserts are durable when they are counted.
 */
export async function startServers(): Promise<Servers> {
  const dir = mkdtempSync(join(tmpdir(), 'wal-cdc-bench-'));
  const started: (() => Promise<unknown>)[] = [];
  const dispose = async () => {
    for (const stop of started.reverse()) await stop();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const settings = {
      fsync: 'off',
      synchronous_commit: 'off',
      autovacuum: 'off',
      max_wal_size: '8GB',
      checkpoint_timeout: '1h',
    };
    const postgres = await startPostgres({ dir: join(dir, 'postgres'), settings });
    started.push(() => postgres.stop('immediate'));
    const engine = await startClickHouse({ dir: join(dir, 'clickhouse'), grants: kafkaGrants });
    started.push(() => engine.stop());
    const admin = new pg.Client(postgres.url);
    await admin.connect();
    started.push(() => admin.end());
    const clickhouse = new ClickHouse(splitAddress(engine.url));
    started.push(() => clickhouse.close());
    await leaveSmallPositions(admin);
    const { rows } = await admin.query<{ version: string }>(
      "SELECT current_setting('server_version') AS version",
    );
    const [row] = await clickhouse.query<{ version: string }>('SELECT version() AS version');
    const versions = { postgres: rows[0]!.version, clickhouse: row!.version };
    return { postgres, engine, admin, clickhouse, versions, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Positions beyond 0/80000000, as on most servers: their lower halves are no small integers to JavaScript. */
async function leaveSmallPositions(admin: pg.Client): Promise<void> {
  await admin.query(`DO $$ BEGIN
    WHILE pg_current_wal_insert_lsn() < '0/80000000' LOOP
      PERFORM pg_logical_emit_message(false, 'bench', '');
      PERFORM pg_switch_wal();
    END LOOP;
  END $$`);
}

/** The URL of a database, over TCP or the unix socket. */
export function databaseUrl(postgres: EmbeddedPostgres, database: string, socket: 'tcp' | 'unix'): string {
  const url = new URL(postgres.url);
  url.pathname = `/${database}`;
  if (socket === 'unix') url.searchParams.set('host', postgres.socketDir);
  return url.toString();
}
