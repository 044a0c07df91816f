import pg from 'pg';
import { databaseUrl, type Servers } from './servers.ts';

export const publication = 'bench';
export const table = 'user_events';

/** Rows of `user_events` in a database of their own, and a slot that has them all ahead of it. */
export interface Workload {
  database: string;
  rows: number;
  rowsPerTransaction: number;
  slot: string;
  /** End of the last transaction, LSN text. */
  endLsn: string;
  /** Connected to the database. */
  client: pg.Client;
}

export const tableSql = `
  CREATE TABLE ${table} (
    id bigint PRIMARY KEY, user_id uuid NOT NULL, event_type text NOT NULL, payload jsonb NOT NULL,
    amount numeric(12,2), occurred_at timestamptz NOT NULL)`;

/** Row `i`: about 280 bytes on the wire in binary, 160 of them jsonb. Written once more for ClickHouse below. */
export const postgresRow = `
  i,
  md5('user ' || i % 10000)::uuid,
  (ARRAY['page_view', 'click', 'purchase', 'sign_in', 'search'])[1 + i % 5],
  format('{"page": "/products/%s", "browser": "Firefox", "session": "%s", "referrer": "https://example.com/campaign/%s", "duration_ms": %s}',
    i % 977, md5('session ' || i), i % 31, i % 60000)::jsonb,
  CASE WHEN i % 5 = 2 THEN (i % 1000000) / 100.0 END,
  timestamptz '2026-01-01 00:00:00Z' + i * interval '1 millisecond'`;

/** The same rows out of ClickHouse itself (jsonb orders keys by length, then by bytes): what a run must give. */
const clickHouseRow = `
  toInt64(i) AS id,
  toUUID(lower(hex(MD5('user ' || toString(i % 10000))))) AS user_id,
  ['page_view', 'click', 'purchase', 'sign_in', 'search'][1 + i % 5] AS event_type,
  concat('{"page": "/products/', i % 977, '", "browser": "Firefox", "session": "', lower(hex(MD5('session ' || toString(i)))),
    '", "referrer": "https://example.com/campaign/', i % 31, '", "duration_ms": ', i % 60000, '}') AS payload,
  if(i % 5 = 2, toNullable(toDecimal64(i % 1000000, 2) / 100), NULL) AS amount,
  toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalMillisecond(i) AS occurred_at`;

const rowHash = 'cityHash64(id, user_id, event_type, payload, amount, occurred_at)';

/** Makes the database, the slot and, behind it, the rows. */
export async function createWorkload(
  servers: Servers,
  database: string,
  rows: number,
  rowsPerTransaction: number,
): Promise<Workload> {
  await servers.admin.query(`CREATE DATABASE ${database}`);
  const client = new pg.Client(databaseUrl(servers.postgres, database, 'tcp'));
  client.on('error', () => {});
  await client.connect();
  await client.query(`${tableSql}; CREATE PUBLICATION ${publication} FOR TABLE ${table};`);
  const slot = `${database}_start`;
  await client.query('SELECT pg_create_logical_replication_slot($1, $2)', [slot, 'pgoutput']);
  await client.query(`
    DO $$ BEGIN
      FOR start IN 1 .. ${rows} BY ${rowsPerTransaction} LOOP
        INSERT INTO ${table} SELECT ${postgresRow}
          FROM generate_series(start, least(start + ${rowsPerTransaction} - 1, ${rows})) AS i;
        COMMIT;
      END LOOP;
    END $$`);
  const end = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await client.query('CHECKPOINT');
  return { database, rows, rowsPerTransaction, slot, endLsn: end.rows[0]!.lsn, client };
}

/** Drops the database and its slots. */
export async function dropWorkload(servers: Servers, workload: Workload): Promise<void> {
  await dropSlot(workload.client, workload.slot);
  await workload.client.end();
  await servers.admin.query(`DROP DATABASE ${workload.database} WITH (FORCE)`);
}

/** A slot that starts where the workload's does. */
export async function copySlot(workload: Workload, name: string): Promise<void> {
  await workload.client.query('SELECT pg_copy_logical_replication_slot($1, $2)', [workload.slot, name]);
}

/** Drops a slot once its walsender has left it. */
export async function dropSlot(client: pg.Client, name: string): Promise<void> {
  while ((await walsenderOf(client, name)) !== undefined) await new Promise(done => setTimeout(done, 20));
  await client.query('SELECT pg_drop_replication_slot($1)', [name]);
}

export async function walsenderOf(client: pg.Client, slot: string): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number | null }>(
    'SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  return rows[0]?.pid ?? undefined;
}

/** Throws unless the table in ClickHouse has exactly the workload's rows, once each. */
export async function checkRows(servers: Servers, database: string, rows: number): Promise<void> {
  const sql = (from: string) => `SELECT count() AS count, sum(${rowHash}) AS hash FROM ${from}`;
  const [found] = await servers.clickhouse.query<{ count: string; hash: string }>(
    sql(`${database}.${table}`),
  );
  const [expected] = await servers.clickhouse.query<{ count: string; hash: string }>(
    sql(`(SELECT ${clickHouseRow} FROM (SELECT number + 1 AS i FROM numbers(${rows})))`),
  );
  if (found!.count !== expected!.count || found!.hash !== expected!.hash)
    throw new Error(
      `wrong result in ${database}: ${found!.count} rows with hash ${found!.hash}, ` +
        `expected ${expected!.count} with ${expected!.hash}`,
    );
}
