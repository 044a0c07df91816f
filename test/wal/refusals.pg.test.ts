import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { waitFor } from '../support/wait-for.ts';

test('rows that ClickHouse refuses for what was done to their table stop that one alone', async () => {
  await using db = await freshDatabase();
  const names = ['viewed', 'constrained', 'materialized', 'good'];
  for (const name of names)
    await db.client.query(
      `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} VALUES (1, 1)`,
    );
  await using replication = await startReplication(db);
  await replication.expectEqual();
  for (const sql of [
    `CREATE MATERIALIZED VIEW ${db.name}.view ENGINE = Memory AS SELECT throwIf(id = 2) FROM ${db.name}.viewed`,
    `ALTER TABLE ${db.name}.constrained ADD CONSTRAINT small CHECK id < 2`,
    `ALTER TABLE ${db.name}.materialized MODIFY COLUMN v MATERIALIZED 7`,
  ])
    await replication.clickhouse.command(sql);
  for (const name of names) await db.client.query(`INSERT INTO ${name} VALUES (2, 2)`);
  const stopped = () => replication.service.status().tables.filter(({ state }) => state === 'stopped');
  await waitFor(() => stopped().length === 3, { what: 'three tables to stop' });
  await replication.expectEqual();
  assert.deepEqual(
    stopped().map(({ name, reason }) => [name, reason!.code]),
    ['constrained', 'materialized', 'viewed'].map(name => [`public.${name}`, 'TABLE_MISMATCH']),
  );
});
