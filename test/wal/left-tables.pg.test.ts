import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Replication, startReplication } from '../support/replication.ts';
import { waitFor } from '../support/wait-for.ts';

const tablesSql = `
  CREATE TABLE stays (id int PRIMARY KEY, v int);
  CREATE TABLE leaves (id int PRIMARY KEY, v int, note text);
  INSERT INTO stays SELECT n, 0 FROM generate_series(1, 50) n;
  INSERT INTO leaves SELECT n, 0, 'n' FROM generate_series(1, 50) n;
  CREATE PUBLICATION p FOR TABLE stays, leaves`;

const stateOf = ({ service }: Replication, name: string) =>
  service.status().tables.find(table => table.name === name)?.state;

async function started(
  db: TestDatabase,
  settings: Record<string, string | string[]> = {},
): Promise<Replication> {
  const replication = await startReplication(db, { settings: { 'postgres.publication': 'p', ...settings } });
  await replication.caughtUp();
  return replication;
}

test('a table that a run left out has every change again when the next one takes it in', async () => {
  await using db = await freshDatabase();
  await db.client.query(tablesSql);
  const elsewhere = { 'clickhouse.database': `${db.name}_other` };
  for (const settings of [{ tables: 'public.stays' }, elsewhere]) {
    {
      await using replication = await started(db);
      await replication.expectEqual();
      await replication.stop();
    }
    await db.client.query('UPDATE leaves SET v = v + 1 WHERE id <= 10');
    {
      await using replication = await started(db, settings);
      await db.client.query('UPDATE leaves SET v = v + 1 WHERE id <= 20; DELETE FROM leaves WHERE id = 50');
      await replication.caughtUp();
      await replication.stop();
    }
    await using replication = await started(db);
    await replication.expectEqual();
    await replication.stop();
  }
});

test('a table that leaves the publication and comes back, or gets another filter, is copied afresh', async () => {
  await using db = await freshDatabase();
  await db.client.query(tablesSql);
  await using replication = await started(db);
  const { clickhouse } = replication;
  const rows = async () => {
    const [row] = await clickhouse.query<{ n: string; sum: string }>(
      `SELECT toString(count()) AS n, toString(sum(v)) AS sum FROM ${db.name}.leaves FINAL`,
    );
    return `${row!.n} rows, ${row!.sum}`;
  };
  // The service looks every few seconds.
  const becomes = (wanted: string) =>
    waitFor(async () => (await rows()) === wanted, { what: `${wanted} in ClickHouse` });
  const change = 'UPDATE leaves SET v = v + 1 WHERE id <= 25';

  await db.client.query('ALTER PUBLICATION p DROP TABLE leaves');
  await waitFor(() => stateOf(replication, 'public.leaves') === undefined, { what: 'the table to be gone' });
  await db.client.query(change);
  await db.client.query('ALTER PUBLICATION p ADD TABLE leaves');
  await becomes('50 rows, 25');
  await waitFor(() => stateOf(replication, 'public.leaves') === 'streaming', { what: 'the copy to end' });
  await replication.expectEqual();

  // Between two looks.
  await db.client.query('ALTER PUBLICATION p DROP TABLE leaves');
  await db.client.query(change);
  await db.client.query('ALTER PUBLICATION p ADD TABLE leaves');
  await becomes('50 rows, 50');
  await replication.expectEqual();

  await db.client.query('ALTER PUBLICATION p SET TABLE stays, leaves WHERE (id <= 10)');
  await becomes('10 rows, 20');
  await replication.expectEqual();
  assert.equal(stateOf(replication, 'public.leaves'), 'streaming');
});

const publications = { 'all tables': 'FOR ALL TABLES', 'a schema': 'FOR TABLES IN SCHEMA public' };
for (const [what, clause] of Object.entries(publications)) {
  test(`another table under a name is copied afresh with a publication of ${what}`, async () => {
    await using db = await freshDatabase();
    await db.client.query(`CREATE PUBLICATION p ${clause};
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'old' FROM generate_series(1, 5) n;
      CREATE TABLE swap (id int PRIMARY KEY, v text); INSERT INTO swap SELECT n, 'old' FROM generate_series(1, 5) n;
      CREATE TABLE log (v text); INSERT INTO log VALUES ('old'), ('old')`);
    const change = (
      id: number,
    ) => `DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (${id}, 'new');
      DROP TABLE log; CREATE TABLE log (v text); INSERT INTO log VALUES ('new ${id}');
      CREATE TABLE next (id int PRIMARY KEY, v text); INSERT INTO next VALUES (${id}, 'next');
      ALTER TABLE swap RENAME TO swap_${id}; ALTER TABLE next RENAME TO swap; INSERT INTO swap VALUES (${id} + 1, 'next')`;
    {
      await using replication = await started(db);
      await replication.expectEqual();
      await replication.stop();
    }
    await db.client.query(change(100));
    await using replication = await started(db);
    await replication.expectEqual();
    await db.client.query(change(200));
    const newest = async (table: string, column: string) => {
      const [row] = await replication.clickhouse.query<{ v: string }>(
        `SELECT toString(max(${column})) AS v FROM ${db.name}.${table} FINAL`,
      );
      return row!.v;
    };
    await waitFor(async () => (await newest('swap', 'id')) === '201', { what: 'the swapped table' });
    await waitFor(async () => (await newest('t', 'id')) === '200', { what: 'the table that was made again' });
    await waitFor(() => replication.service.status().tables.length === 5, {
      what: 'the session to begin anew',
    });
    await replication.expectEqual();
    const names = replication.service.status().tables.map(table => `${table.name} ${table.state}`);
    assert.deepEqual(
      names.sort(),
      ['log', 'swap', 'swap_100', 'swap_200', 't'].map(name => `public.${name} streaming`),
    );
  });
}
