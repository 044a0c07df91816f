import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import {
  connect,
  freshDatabase,
  sharedPostgres,
  startTestPostgres,
  withoutPostgres15,
} from '../../test/support/postgres.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { createDemoSchema, demoTables } from './schema.ts';
import { transactionKinds } from './transactions.ts';
import { startWriters } from './writers.ts';

async function countRows(client: Client): Promise<Record<string, number>> {
  const selects = demoTables.map(table => `(SELECT count(*)::int FROM ${table}) AS ${table}`);
  const { rows } = await client.query(`SELECT ${selects.join(', ')}`);
  return rows[0];
}

test('the schema is made once, however often and by however many it is asked for', async () => {
  await using db = await freshDatabase();
  await using other = await startSecondClient(db.url);
  await Promise.all([createDemoSchema(db.client), createDemoSchema(other.client)]);
  const seeded = await countRows(db.client);
  for (const table of demoTables) assert.ok(seeded[table] >= 200, `${table}: ${seeded[table]}`);
  await createDemoSchema(db.client);
  assert.deepEqual(await countRows(db.client), seeded);
  const { rows } = await db.client.query(`
    SELECT min(pg_column_size(description)) AS size, (SELECT reltoastrelid > 0 FROM pg_class WHERE relname = 'products') AS toast
    FROM products`);
  assert.ok(rows[0].size > 8192 && rows[0].toast);
});

async function startSecondClient(url: string): Promise<{ client: Client } & AsyncDisposable> {
  const client = await connect(url);
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/** The essence of a line of test_decoding; partitions count as their table. */
function describeChange(line: string): string | undefined {
  const [, table, operation] = line.match(/^table public\.(\w+?)(?:_\d+_\d+|_default)?: (\w+):/) ?? [];
  if (table === undefined) return undefined;
  const newKey = line.includes(': old-key: ') ? ' with new key' : '';
  const toast = line.includes(':unchanged-toast-datum') ? ' without TOAST' : '';
  return `${table} ${operation}${newKey}${toast}`;
}

for (const version of [18, 15] as const) {
  const skip = version === 15 && withoutPostgres15;
  test(`writers do all that an application does, at their rate, on ${version}`, { skip }, async () => {
    await using db = await freshDatabase(await sharedPostgres(version));
    await createDemoSchema(db.client);
    await db.client.query("SELECT pg_create_logical_replication_slot('observer', 'test_decoding')");
    const startedAt = performance.now();
    const writers = startWriters({ url: db.url, rate: 300, seed: 1 });
    await waitFor(() => transactionKinds.every(kind => writers.stats().byKind[kind] > 0), {
      what: 'a transaction of every kind',
    });
    await writers.stop();
    const elapsedSeconds = (performance.now() - startedAt) / 1000;
    const stats = writers.stats();
    assert.equal(stats.errors, 0, stats.lastError);
    assert.ok(
      stats.transactions <= 300 * elapsedSeconds + 30,
      `${stats.transactions} in ${elapsedSeconds} s`,
    );
    assert.ok(stats.commitLatencyMs.p50 > 0 && stats.commitLatencyMs.max >= stats.commitLatencyMs.p99);

    const { rows } = await db.client.query(
      "SELECT data FROM pg_logical_slot_get_changes('observer', NULL, NULL)",
    );
    const changes = new Set(rows.map(row => describeChange(row.data)).filter(change => change !== undefined));
    assert.deepEqual([...changes].sort(), [
      'audit_log INSERT',
      'customers INSERT',
      'customers UPDATE',
      'order_items DELETE',
      'order_items INSERT',
      'order_items UPDATE',
      'orders DELETE',
      'orders INSERT',
      'orders UPDATE',
      'products UPDATE',
      'products UPDATE without TOAST',
      'user_events DELETE',
      'user_events INSERT',
      'user_events UPDATE',
      'user_events UPDATE with new key',
    ]);
    assert.ok(Object.values(stats.byStatement).every(count => count > 0));
  });
}

test('writers go on after their connections are cut, and stop while the server is away', async () => {
  await using server = await startTestPostgres();
  const client = await connect(server.url);
  await createDemoSchema(client);
  const writers = startWriters({ url: server.url, rate: 200 });
  await waitFor(() => writers.stats().transactions > 50, { what: 'the first transactions' });
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wal-cdc demo'",
  );
  await waitFor(() => writers.stats().errors > 0, { what: 'the cut to be noticed' });
  const { transactions } = writers.stats();
  await waitFor(() => writers.stats().transactions > transactions + 50, {
    what: 'transactions after the cut',
  });
  await client.end();

  server.kill();
  await server.exited;
  const { errors } = writers.stats();
  await waitFor(() => writers.stats().errors > errors, { what: 'the crash to be noticed' });
  await writers.stop();
});
