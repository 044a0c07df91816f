import assert from 'node:assert/strict';
import { test } from 'node:test';
import { walCdc } from '../../test/support/command-line.ts';
import { pipelineOf, queryClickHouse } from '../../test/support/command-pipeline.ts';
import { freshDatabase } from '../../test/support/postgres.ts';
import { startReplication } from '../../test/support/replication.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';

const tables = async (database: string) => {
  const rows = (await queryClickHouse(
    `SELECT name, comment FROM system.tables WHERE database = '${database}' ORDER BY name`,
  )) as { name: string; comment: string }[];
  return rows.map(({ name, comment }) => [name, comment]);
};

test('a copy afresh drops no table but its own', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
    CREATE TABLE t__copy (id int PRIMARY KEY); INSERT INTO t__copy VALUES (2);
    CREATE TABLE log (line text); INSERT INTO log VALUES ('first');
    CREATE TABLE log__copy (line text); INSERT INTO log__copy VALUES ('second')`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  const control = new ControlTables(replication.clickhouse, db.name);
  const copied = async (table: string) => {
    const uuid = async () =>
      JSON.stringify(
        await queryClickHouse(
          `SELECT uuid FROM system.tables WHERE database = '${db.name}' AND name = '${table}'`,
        ),
      );
    const before = await uuid();
    await control.request('resync', JSON.stringify([`public.${table}`]));
    await waitFor(async () => (await uuid()) !== before, { what: 'the copy to take its place' });
    await replication.caughtUp();
  };
  await queryClickHouse(`ALTER TABLE ${db.name}.t MODIFY COMMENT 'made by hand'`);
  const names = await tables(db.name);
  await copied('t');
  await copied('log');
  await db.client.query(`INSERT INTO t__copy VALUES (3); INSERT INTO log__copy VALUES ('third')`);
  await replication.expectEqual();
  assert.deepEqual(await tables(db.name), names);

  await queryClickHouse(`CREATE TABLE ${db.name}.t__wal_cdc_copy (mine Int8) ENGINE = Memory`);
  await control.request('resync', JSON.stringify(['public.t']));
  const reason = await waitFor(
    () => replication.service.status().tables.find(({ name }) => name === 'public.t')?.reason,
    { what: 'the copy to be refused' },
  );
  assert.equal(reason.code, 'TABLE_TAKEN');
  assert.match(reason.message, /\.t__wal_cdc_copy already, which table public\.t needs/);
  assert.deepEqual(
    await queryClickHouse(
      `SELECT name FROM system.columns WHERE database = '${db.name}' AND table = 't__wal_cdc_copy'`,
    ),
    [{ name: 'mine' }],
  );
  await queryClickHouse(`DROP TABLE ${db.name}.t__wal_cdc_copy SYNC`);
  await copied('t');
  await replication.expectEqual();
  assert.deepEqual(await tables(db.name), names);
});

test('a copy that broke off is known by its comment, and leaves the live table its own', async () => {
  await using db = await freshDatabase();
  await db.client.query(`CREATE TABLE log (line text); INSERT INTO log VALUES ('first')`);
  const env = await pipelineOf(db);
  for (const place of ['copy-exchange', 'copy-exchanged']) {
    const killed = await walCdc(['run', '--until', 'current'], { env: { ...env, WAL_CDC_CRASH_AT: place } });
    assert.notEqual(killed.code, 0);
    assert.equal((await tables(db.name)).length, 2);
    const { code, stderr } = await walCdc(['run', '--until', 'current'], { env });
    assert.equal(code, 0, stderr);
    assert.deepEqual(await tables(db.name), [['log', 'made by wal-cdc']]);
    assert.match((await walCdc(['verify'], { env })).stdout, /^equal +public\.log +1 rows$/m);
    assert.equal((await walCdc(['teardown'], { env })).code, 0);
  }
});
