import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedClickHouse } from '../../test/support/clickhouse.ts';
import { RunningCommand, walCdc } from '../../test/support/command-line.ts';
import { freshDatabase, type TestDatabase } from '../../test/support/postgres.ts';
import { splitAddress } from '../service/clickhouse-address.ts';
import { ClickHouse } from '../sinks/clickhouse/client.ts';

/** Settings of a pipeline of its own: named like the test's database. */
async function pipelineOf(db: TestDatabase, settings: Record<string, string> = {}) {
  const clickhouse = await sharedClickHouse();
  return {
    WAL_CDC_MODE: 'wal',
    WAL_CDC_PIPELINE: db.name,
    WAL_CDC_POSTGRES_URL: db.url,
    WAL_CDC_CLICKHOUSE_URL: clickhouse.url,
    WAL_CDC_CLICKHOUSE_DATABASE: db.name,
    WAL_CDC_LISTEN: '127.0.0.1:0',
    WAL_CDC_LOG_FORMAT: 'json',
    ...settings,
  };
}

test('verify runs the pipeline itself, finds what differs, and goes beside a running service', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, text text);
    INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 1000) i;
    CREATE TABLE log (at timestamptz, line text);
    INSERT INTO log VALUES ('2024-01-01', 'one'), ('2024-01-01', 'one')`);
  const env = await pipelineOf(db);
  const first = await walCdc(['verify'], { env });
  assert.equal(first.code, 0, first.stderr + first.stdout);
  assert.match(first.stdout, /^equal +public.t +1,000 rows$/m);
  assert.match(first.stdout, /Tables: 2 equal at [0-9A-F]+\/[0-9A-F]+/);

  const clickhouse = new ClickHouse(splitAddress(env.WAL_CDC_CLICKHOUSE_URL));
  try {
    await clickhouse.command(`DELETE FROM ${db.name}.t WHERE id = 7`);
    await clickhouse.command(`ALTER TABLE ${db.name}.t UPDATE text = 'wrong' WHERE id = 8`);
  } finally {
    await clickhouse.close();
  }
  await using service = new RunningCommand(['run'], { env });
  await service.prints(/streaming/);
  await db.client.query(`INSERT INTO t VALUES (1001, 'while it runs')`);
  const second = await walCdc(['verify', '--table', 'public.t', '--json'], { env });
  assert.equal(second.code, 4, second.stderr);
  const result = JSON.parse(second.stdout);
  assert.equal(result.tables.length, 1);
  assert.deepEqual(result.tables[0].differing, [
    { key: { id: '7' }, kind: 'missing in ClickHouse' },
    {
      key: { id: '8' },
      kind: 'different',
      columns: [{ name: 'text', postgres: 'row 8', clickhouse: 'wrong' }],
    },
  ]);
  assert.equal(result.tables[0].rows, 1001);
  assert.equal((await service.stop()).code, 0);
  const misspelt = await walCdc(['verify', '--table', 'public.tt'], { env });
  assert.equal(misspelt.code, 2);
  assert.match(misspelt.stderr, /no table of the pipeline matches "public.tt"/);
});
