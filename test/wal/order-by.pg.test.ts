import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';

const orderBy = (columns: Record<string, string[]>) =>
  JSON.stringify(Object.fromEntries(Object.entries(columns).map(([t, list]) => [t, { orderBy: list }])));

test('a table ordered by more than its key follows changes that tell the old values, and stops at others', async () => {
  await using db = await freshDatabase();
  for (const name of ['whole', 'appended', 'updated', 'deleted'])
    await db.client.query(
      `CREATE TABLE ${name} (id int PRIMARY KEY, tenant int NOT NULL, v int); INSERT INTO ${name} SELECT g, 1, 0 FROM generate_series(1, 20) g`,
    );
  await db.client.query(`
    ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE log (at int NOT NULL); INSERT INTO log VALUES (1), (1);
    CREATE TABLE one (at int NOT NULL); INSERT INTO one VALUES (1), (1)`);
  const list = ['tenant', 'id'];
  const tableOptions = orderBy({
    'public.whole': list,
    'public.appended': list,
    'public.updated': list,
    'public.deleted': list,
    'public.log': ['at', '_version'],
    'public.one': ['at'],
  });
  await using replication = await startReplication(db, { settings: { tableOptions } });
  await replication.expectEqual();
  await db.client.query(`
    UPDATE whole SET tenant = 2 WHERE id < 5; UPDATE whole SET v = 1, tenant = 3 WHERE id < 3; UPDATE whole SET v = 2;
    UPDATE whole SET tenant = 1 WHERE id = 1; DELETE FROM whole WHERE id IN (2, 7); INSERT INTO whole VALUES (2, 9, 9);
    INSERT INTO appended VALUES (21, 2, 0); INSERT INTO log VALUES (1);
    INSERT INTO updated VALUES (21, 2, 0); UPDATE updated SET tenant = 2 WHERE id = 1;
    DELETE FROM deleted WHERE id = 1`);
  await replication.expectEqual();
  const states = replication.service
    .status()
    .tables.map(({ name, state, reason }) => [name, state, reason?.code]);
  assert.deepEqual(states, [
    ['public.appended', 'streaming', undefined],
    ['public.deleted', 'stopped', 'KEYLESS_CHANGE'],
    ['public.log', 'streaming', undefined],
    ['public.one', 'stopped', 'TABLE_UNSUPPORTED'],
    ['public.updated', 'stopped', 'KEYLESS_CHANGE'],
    ['public.whole', 'streaming', undefined],
  ]);
  const { reason } = replication.service.status().tables.find(({ name }) => name === 'public.updated')!;
  assert.match(reason!.message, /ordered by \(tenant\) beyond its key/);
  assert.match(reason!.hint, /orderBy.*REPLICA IDENTITY FULL/);
});
