import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase, type TestDatabase } from '../../../test/support/postgres.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { type Lsn, parseLsn } from '../../core/lsn.ts';
import { connect } from './connect.ts';
import { WalStream } from './stream.ts';
import { TypeCatalog } from './types.ts';

async function startStream(db: TestDatabase): Promise<WalStream & AsyncDisposable> {
  await db.client.query(`
    CREATE TABLE published (id int PRIMARY KEY);
    CREATE TABLE other (id int);
    CREATE PUBLICATION stream FOR TABLE published;`);
  const { rows } = await db.client.query<{ lsn: string }>(
    "SELECT lsn FROM pg_create_logical_replication_slot('stream', 'pgoutput')",
  );
  const types = new TypeCatalog();
  const stream = new WalStream({
    client: await connect({ url: db.url }, { replication: true }),
    slot: 'stream',
    publication: 'stream',
    position: parseLsn(rows[0]!.lsn),
    binary: true,
    maxBatchBytes: 1 << 20,
    delayMs: 10,
    statusIntervalMs: 1000,
    loadTypes: async oids => {
      await types.load(db.client, oids);
      return new Map(oids.map(oid => [oid, types.known(oid)!]));
    },
  });
  await stream.start();
  return Object.assign(stream, { [Symbol.asyncDispose]: () => stream.close() });
}

async function flushedLsn(db: TestDatabase): Promise<Lsn> {
  const { rows } = await db.client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
  return parseLsn(rows[0]!.lsn);
}

test('a row is not held back by the long wait for a position without rows', async () => {
  await using db = await freshDatabase();
  await using stream = await startStream(db);
  const reading = stream.read();
  await db.client.query('INSERT INTO other VALUES (1)');
  const position = await flushedLsn(db);
  await waitFor(() => stream.serverEnd >= position, { what: 'the position without rows' });
  const startedAt = performance.now();
  await db.client.query('INSERT INTO published VALUES (1)');
  const batch = await reading;
  assert.equal(batch.rows, 1);
  assert.ok(performance.now() - startedAt < 1000);
});

test('a position that was delivered already is given again to who expects it', async () => {
  await using db = await freshDatabase();
  await using stream = await startStream(db);
  await db.client.query('INSERT INTO other VALUES (1)');
  const position = await flushedLsn(db);
  const startedAt = performance.now();
  for (let i = 0; i < 2; i++) {
    const reading = stream.read();
    stream.expect(position);
    const batch = await reading;
    assert.equal(batch.rows, 0);
    assert.ok(batch.position >= position);
  }
  assert.ok(performance.now() - startedAt < 5000);
});

test('at the end of a backlog rows do not wait for more', async () => {
  await using db = await freshDatabase();
  await using stream = await startStream(db);
  stream.backlogDelayMs = 60_000;
  const reading = stream.read();
  await db.client.query('INSERT INTO published SELECT generate_series(1, 1000)');
  const batch = await reading;
  assert.equal(batch.rows, 1000);
  assert.ok(batch.position >= batch.transactions.commitLsn(0));
});

test('while nobody reads, about one batch is taken in; then all of it arrives', async () => {
  await using db = await freshDatabase();
  await using stream = await startStream(db);
  await db.client.query(
    'DO $$ BEGIN FOR i IN 1 .. 5000 LOOP INSERT INTO published VALUES (i); COMMIT; END LOOP; END $$',
  );
  await db.client.query('INSERT INTO published SELECT generate_series(5001, 60000)');
  const end = await flushedLsn(db);
  stream.expect(end);
  let rows = 0;
  let position = 0n;
  while (position < end) {
    const batch = await stream.read();
    assert.ok(batch.position >= position);
    ({ position } = batch);
    rows += batch.rows;
    // And what one read gave.
    assert.ok(batch.data.pos < 5 << 20, `${batch.data.pos} bytes`);
  }
  assert.equal(rows, 60_000);
});
