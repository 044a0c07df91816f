import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase } from '../../../test/support/postgres.ts';
import { addToPublication } from './publication.ts';

test('tables that somebody else adds meanwhile do not keep the others out', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int)');
  await db.client.query('CREATE PUBLICATION p FOR TABLE b');
  const names = ['a', 'b', 'c'].map(name => ({ schema: 'public', name }));
  await addToPublication(db.client, 'p', names);
  await addToPublication(db.client, 'p', names.slice(0, 1));
  const { rows } = await db.client.query(
    `SELECT tablename FROM pg_publication_tables WHERE pubname = 'p' ORDER BY 1`,
  );
  assert.deepEqual(
    rows.map(row => row.tablename),
    ['a', 'b', 'c'],
  );
});
