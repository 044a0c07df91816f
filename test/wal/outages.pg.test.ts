import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startClickHouse } from '../../src/embedded/clickhouse.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { startTestClickHouse } from '../support/clickhouse.ts';
import { RunningCommand, walCdc } from '../support/command-line.ts';
import { pipelineOf } from '../support/command-pipeline.ts';
import { connect, freshDatabase, startTestPostgres } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { waitFor } from '../support/wait-for.ts';

test('a ClickHouse that neither answers nor refuses is told of, and the connection lives through it (R01)', async () => {
  await using postgres = await startTestPostgres({ settings: { wal_sender_timeout: '2s' } });
  await using clickhouse = await startTestClickHouse();
  await using db = await freshDatabase(postgres);
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  await using replication = await startReplication(db, { clickhouse });
  await replication.expectEqual();
  const walsender = async () => (await db.client.query('SELECT pid FROM pg_stat_replication')).rows[0]?.pid;
  const before = await walsender();
  process.kill(clickhouse.pid, 'SIGSTOP');
  try {
    let rows = 0;
    await waitFor(
      async () => {
        await db.client.query(`INSERT INTO t VALUES (${++rows})`);
        return replication.service.status().problem;
      },
      { what: 'the trouble to be told of' },
    );
    const { problem, freshnessMs } = replication.service.status();
    assert.equal(problem!.code, 'SINK_UNREACHABLE');
    assert.match(problem!.message, /^ClickHouse has not taken a batch for 1\d s$/);
    assert.ok(freshnessMs > 9000, `${freshnessMs} ms`);
    const { ready, reason } = await replication.service.ready();
    assert.equal(ready, false);
    assert.match(reason!, /has not taken a batch/);
  } finally {
    process.kill(clickhouse.pid, 'SIGCONT');
  }
  await replication.expectEqual();
  assert.equal(replication.service.status().problem, undefined);
  assert.deepEqual(await replication.service.ready(), { ready: true });
  assert.equal(await walsender(), before, 'the walsender is the same');
});

test('a stop is heeded while ClickHouse does not take a batch, and nothing is lost', async () => {
  await using db = await freshDatabase();
  await using clickhouse = await startTestClickHouse();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const env = await pipelineOf(db, { WAL_CDC_CLICKHOUSE_URL: clickhouse.url });
  await using run = new RunningCommand(['run'], { env });
  await run.prints(/"streaming"/);
  process.kill(clickhouse.pid, 'SIGSTOP');
  try {
    await db.client.query('INSERT INTO t SELECT generate_series(1, 1000)');
    await run.prints(/has not taken a batch/);
    const { code, stderr } = await run.stop();
    assert.equal(code, 3, stderr);
    assert.match(stderr, /"level":"error".*SINK_UNREACHABLE.*: left it; the next start writes again/);
  } finally {
    process.kill(clickhouse.pid, 'SIGCONT');
  }
  for (const command of [['run', '--until', 'current'], ['verify']]) {
    const { code, stdout, stderr } = await walCdc(command, { env });
    assert.equal(code, 0, stdout + stderr);
  }
});

test('ClickHouse is killed, walsender and connection are cut; nothing is lost (C01, R10)', async () => {
  await using db = await freshDatabase();
  await using clickhouse = await startTestClickHouse();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY, v text)');
  await using replication = await startReplication(db, { clickhouse });
  await db.client.query("INSERT INTO t SELECT g, 'a' FROM generate_series(1, 1000) g");
  clickhouse.kill();
  await clickhouse.exited;
  await db.client.query(
    "UPDATE t SET v = 'ClickHouse was away' WHERE id % 2 = 0; DELETE FROM t WHERE id % 3 = 0",
  );
  const again = await startClickHouse({ dir: clickhouse.dir, port: clickhouse.port });
  try {
    await replication.expectEqual();
    await db.client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
    await db.client.query("INSERT INTO t SELECT g, 'b' FROM generate_series(2001, 2100) g");
    await replication.expectEqual();
    await replication.stop();
  } finally {
    await again.stop();
  }
});

test('while ClickHouse is away, status and metrics tell how far behind it is', async () => {
  await using db = await freshDatabase();
  await using clickhouse = await startTestClickHouse();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  await using replication = await startReplication(db, { clickhouse });
  const { service, metrics } = replication;
  await replication.expectEqual();
  clickhouse.kill();
  await clickhouse.exited;
  await db.client.query('INSERT INTO t VALUES (1)');
  // PostgreSQL counts microseconds.
  const committedAtMs = Date.now() + 1;
  await waitFor(() => service.status().phase === 'retrying', { what: 'the outage to be noticed' });
  const gauge = async (name: string) => {
    const [value] = (await metrics.registry.getSingleMetric(`wal_cdc_${name}`)!.get()).values;
    return value!.value;
  };
  const retainedBefore = await gauge('slot_retained_wal_bytes');
  await db.client.query('INSERT INTO t SELECT generate_series(2, 20000)');
  const status = await waitFor(
    () => {
      const now = service.status();
      return now.retainedWalBytes! > retainedBefore + 1e6 && now;
    },
    { what: 'the slot to be looked at' },
  );
  assert.equal(status.phase, 'retrying');
  assert.equal(status.problem?.code, 'SINK_UNREACHABLE');
  assert.ok(status.lagBytes! > 1e6, `lag ${status.lagBytes}`);
  assert.ok((await gauge('lag_bytes')) > 1e6);
  // The outage may have been noticed while the row was still on its way here; the age counts from then.
  const onItsWayMs = 500;
  const outageMs = Date.now() - committedAtMs - onItsWayMs;
  const { freshnessMs } = service.status();
  assert.ok(freshnessMs >= outageMs, `${freshnessMs} of ${outageMs} ms`);
  assert.ok((await gauge('freshness_seconds')) >= outageMs / 1000);
  assert.match((await service.ready()).reason ?? '', /^SINK_UNREACHABLE: /);

  const again = await startClickHouse({ dir: clickhouse.dir, port: clickhouse.port });
  try {
    await replication.expectEqual();
    await waitFor(async () => (await service.ready()).ready && service.status().freshnessMs === 0, {
      what: 'all to be back to normal',
    });
    assert.equal(service.status().problem, undefined);
    await waitFor(() => service.status().lagBytes! < 1e6, { what: 'no lag' });
    await replication.stop();
  } finally {
    await again.stop();
  }
});

test('PostgreSQL shuts down in order while ClickHouse is away, and the stream goes on when both are back (R09)', async () => {
  await using postgres = await startTestPostgres({ settings: { fsync: 'on' } });
  await using clickhouse = await startTestClickHouse();
  const client = await connect(postgres.url);
  await client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  const database = { name: 'postgres', url: postgres.url, client };
  await using replication = await startReplication(database, { clickhouse });
  await replication.expectEqual();
  clickhouse.kill();
  await clickhouse.exited;
  await client.query('INSERT INTO t VALUES (2)');
  await client.end();
  await postgres.stop('fast');
  assert.equal(replication.service.status().phase, 'retrying');
  assert.equal((await replication.service.ready()).ready, false);

  const clickhouseAgain = await startClickHouse({ dir: clickhouse.dir, port: clickhouse.port });
  const postgresAgain = await startPostgres({ dir: postgres.dir, port: postgres.port });
  try {
    assert.doesNotMatch(
      readFileSync(join(postgres.dir, 'postgres.log'), 'utf8'),
      /not properly shut down|interrupted/,
    );
    database.client = await connect(postgres.url);
    await replication.expectEqual();
    await replication.stop();
    await database.client.end();
  } finally {
    await postgresAgain.stop('immediate');
    await clickhouseAgain.stop();
  }
});
