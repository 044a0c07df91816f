import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { waitFor } from '../support/wait-for.ts';

test('a table that may not be read is left out, and taken in once it may', async () => {
  await using db = await freshDatabase();
  const role = `${db.name}_role`;
  await db.client.query(`
    CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret';
    CREATE TABLE seen (id int PRIMARY KEY);
    CREATE TABLE hidden (id int PRIMARY KEY, note text);
    INSERT INTO hidden SELECT n, 'before' FROM generate_series(1, 100) n;
    GRANT SELECT ON seen TO ${role};
    CREATE PUBLICATION p FOR TABLE seen, hidden`);
  const url = new URL(db.url);
  url.username = role;
  url.password = 'secret';
  try {
    await using replication = await startReplication(
      { name: db.name, url: url.toString(), client: db.client },
      { settings: { 'postgres.publication': 'p' } },
    );
    const stateOf = (name: string) =>
      replication.service.status().tables.find(table => table.name === name)?.state;
    assert.equal(stateOf('public.hidden'), 'stopped');
    await db.client.query(`INSERT INTO seen VALUES (1); INSERT INTO hidden VALUES (101, 'unseen')`);
    await replication.caughtUp();
    await db.client.query(`GRANT SELECT ON hidden TO ${role}`);
    await waitFor(() => stateOf('public.hidden') === 'streaming', { what: 'the table to be taken in' });
    await db.client.query(`UPDATE hidden SET note = 'after' WHERE id > 50`);
    await replication.expectEqual();
    assert.equal(stateOf('public.hidden'), 'streaming');
  } finally {
    await db.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});
