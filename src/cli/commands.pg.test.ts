import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RunningCommand, walCdc } from '../../test/support/command-line.ts';
import { pipelineOf, queryClickHouse } from '../../test/support/command-pipeline.ts';
import { freePort } from '../../test/support/free-port.ts';
import { freshDatabase } from '../../test/support/postgres.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { loadConfig } from '../config.ts';
import { parseLsn } from '../core/lsn.ts';
import { createLog } from '../observe/log.ts';
import { CatchUp } from '../service/catch-up.ts';
import { splitAddress } from '../service/clickhouse-address.ts';
import { openSource } from '../service/source-setup.ts';
import { ClickHouse } from '../sinks/clickhouse/client.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { connect } from '../sources/wal/connect.ts';

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
  assert.match(first.stderr, /has not run yet: it is run here/);
  assert.match(first.stdout, /^equal +public.t +1,000 rows$/m);
  assert.match(first.stdout, /Tables: 2 equal at [0-9A-F]+\/[0-9A-F]+/);

  await queryClickHouse(`DELETE FROM ${db.name}.t WHERE id = 7`);
  await queryClickHouse(`ALTER TABLE ${db.name}.t UPDATE text = 'wrong' WHERE id = 8`);
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

test('verify leaves out stopped tables, and says so', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY);
    CREATE TABLE log (line text);
    INSERT INTO t VALUES (1);
    INSERT INTO log VALUES ('one')`);
  const env = await pipelineOf(db);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  await db.client.query(`ALTER TABLE log REPLICA IDENTITY FULL; UPDATE log SET line = 'changed'`);
  const { code, stdout } = await walCdc(['verify'], { env });
  assert.equal(code, 4);
  assert.match(stdout, /^equal +public\.t +1 rows$/m);
  assert.match(stdout, /^STOPPED +public\.log +not compared\n.*\(KEYLESS_CHANGE\)\n.*resync/m);
  assert.match(stdout, /^Tables: 1 equal, 1 stopped at /m);

  const status = await walCdc(['status'], { env });
  assert.equal(status.code, 4);
  assert.match(status.stdout, /public\.log .* stopped[\s\S]*KEYLESS_CHANGE/);
});

test('verify says why a table stopped before it was copied', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY);
    CREATE TABLE dated (id int PRIMARY KEY, on_day date);
    INSERT INTO dated VALUES (1, '9999-12-31')`);
  const env = await pipelineOf(db);
  const reason = /^STOPPED +public\.dated +not compared\n.*9999-12-31.*\(VALUE_INVALID\)\n/m;
  const alone = await walCdc(['verify'], { env });
  assert.equal(alone.code, 4, alone.stderr);
  assert.match(alone.stdout, reason);
  await using service = new RunningCommand(['run'], { env });
  await service.prints(/"code":"VALUE_INVALID"/);
  const beside = await walCdc(['verify'], { env });
  assert.equal(beside.code, 4, beside.stderr);
  assert.match(beside.stdout, reason);
  await service.stop();
});

test('verify gives up on a consumer that saves no checkpoint', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const env = await pipelineOf(db);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  await db.client.query('INSERT INTO t VALUES (1)');
  const config = loadConfig({ env });
  const source = await openSource(config.postgres.address!);
  const client = new ClickHouse(splitAddress(env.WAL_CDC_CLICKHOUSE_URL));
  const consumer = await connect(config.postgres.address!, { replication: true });
  try {
    const streaming = consumer.query(
      `START_REPLICATION SLOT ${config.postgres.slot} LOGICAL 0/0 (proto_version '1', publication_names 'p')`,
    );
    streaming.catch(() => {}); // ends with the connection
    const catchUp = new CatchUp({
      config,
      source,
      clickhouse: splitAddress(env.WAL_CDC_CLICKHOUSE_URL),
      control: new ControlTables(client, config.pipeline),
      log: createLog({ level: 'silent', format: 'json' }),
      signal: new AbortController().signal,
      patienceMs: 1000,
    });
    await waitFor(async () => (await db.client.query('SELECT FROM pg_stat_replication')).rowCount, {
      what: 'the consumer to stream',
    });
    const { rows } = await db.client.query('SELECT pg_current_wal_lsn()::text AS lsn');
    await assert.rejects(catchUp.reach(parseLsn(rows[0].lsn)), {
      code: 'SERVICE_STUCK',
      message: /waited \d s in vain for a checkpoint at .* process \d+ of PostgreSQL streams/,
    });
  } finally {
    await db.client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
    await consumer.end().catch(() => {});
    await source.client.end();
    await client.close();
  }
});

test('run refuses --keep-rows beside a copy', async () => {
  await using db = await freshDatabase();
  const { code, stderr } = await walCdc(['run', '--keep-rows'], { env: await pipelineOf(db) });
  assert.equal(code, 2);
  assert.match(stderr, /--keep-rows has no effect[\s\S]*--snapshot none[\s\S]*CONFIG_INVALID/);
});

test('plan prints what run makes, and makes nothing', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY, at timestamptz); CREATE SCHEMA s; CREATE TABLE s.u (a int)',
  );
  const env = await pipelineOf(db);
  const plan = await walCdc(['plan', '--json'], { env });
  assert.equal(plan.code, 0, plan.stderr);
  const { steps } = JSON.parse(plan.stdout) as { steps: { object: string; status: string; sql?: string }[] };
  const sqlOf = (object: string) =>
    steps.find(step => step.object === object && step.status === 'create')?.sql;
  const table = sqlOf(`table ${db.name}.t for public.t`)!;
  assert.match(sqlOf(`database ${db.name}_s`)!, /^CREATE DATABASE/);
  assert.match(sqlOf(`publication wal_cdc_${db.name}`)!, /FOR TABLE "public"\."t", "s"\."u" WITH/);
  assert.match(sqlOf(`replication slot wal_cdc_${db.name}`)!, /pg_create_logical_replication_slot/);
  assert.equal(
    (await queryClickHouse(`SELECT 1 FROM system.databases WHERE name LIKE '${db.name}%'`)).length,
    0,
  );
  const made = await db.client.query(
    'SELECT 1 FROM pg_publication UNION ALL SELECT 1 FROM pg_replication_slots WHERE database = current_database()',
  );
  assert.equal(made.rowCount, 0);

  // A table that the user makes from the plan fits, and run makes the others in the same way.
  await queryClickHouse(sqlOf(`database ${db.name}`)!);
  await queryClickHouse(table);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  const after = await walCdc(['plan'], { env });
  assert.equal(after.code, 0);
  assert.doesNotMatch(after.stdout, /^(CREATE|ALTER|SELECT)/m);
  assert.match(after.stdout, /^-- table \w+\.t for public\.t: fits; streaming$/m);
});

test('status asks the service; without one it tells what is saved', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  const port = await freePort();
  const env = await pipelineOf(db, { WAL_CDC_LISTEN: `127.0.0.1:${port}`, WAL_CDC_TOKEN: 'sesame' });
  const before = await walCdc(['status'], { env });
  assert.equal(before.code, 0);
  assert.match(
    before.stdout,
    /not running: no service answers at 127\.0\.0\.1:\d+\ncheckpoint {2}none known\nslot .* does not exist/,
  );
  {
    await using service = new RunningCommand(['run'], { env });
    await service.prints(/"msg":"copied"/);
    const running = await walCdc(['status', '--json'], { env });
    const snapshot = JSON.parse(running.stdout);
    assert.deepEqual(
      [snapshot.running, snapshot.phase, snapshot.tables[0].name],
      [true, 'streaming', 'public.t'],
    );
    const refused = await walCdc(['status'], { env: { ...env, WAL_CDC_TOKEN: 'wrong' } });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /wants another token/);
    // Nothing says which pipeline is meant: the one that answers.
    const any = await walCdc(['status'], {
      env: { WAL_CDC_LISTEN: env.WAL_CDC_LISTEN, WAL_CDC_TOKEN: 'sesame' },
    });
    assert.match(any.stdout, new RegExp(`^pipeline +${db.name} \\(wal\\), streaming`));
    const elsewhere = await walCdc(['status'], { env: { ...env, WAL_CDC_LISTEN: '127.0.0.1:1' } });
    assert.match(elsewhere.stdout, /process \d+ \(wal-cdc from 127\.0\.0\.1\) streams from it/);
    await service.stop();
  }
  const after = await walCdc(['status', '--json'], { env });
  const saved = JSON.parse(after.stdout);
  assert.equal(saved.running, false);
  assert.match(saved.checkpoint, /^[0-9A-F]+\/[0-9A-F]+$/);
  assert.equal(saved.tables[0].state, 'streaming');
  assert.equal(saved.slot.activePid, undefined);
  const away = await walCdc(['status'], { env: { ...env, WAL_CDC_CLICKHOUSE_URL: 'http://127.0.0.1:1' } });
  assert.equal(away.code, 3);
  assert.match(away.stdout, /problem .*ClickHouse at 127\.0\.0\.1:1[\s\S]*clickhouse\.url/);
});

test('commands find the embedded ClickHouse of the service, and start it when there is none', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  using dir = tempDir();
  const { WAL_CDC_CLICKHOUSE_URL: _, ...env } = await pipelineOf(db);
  const at = { env, cwd: dir.path };
  for (const command of ['doctor', 'plan', 'status']) assert.equal((await walCdc([command], at)).code, 0);
  assert.equal(existsSync(join(dir.path, '.wal-cdc')), false);
  {
    await using service = new RunningCommand(['run'], at);
    await service.prints(/"msg":"copied"/);
    const verified = await walCdc(['verify'], at);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match((await walCdc(['doctor'], at)).stdout, /^ok +public\.t: → \w+\.t.*; replicated already$/m);
    await service.stop();
  }
  assert.equal((await walCdc(['verify'], at)).code, 0);
  assert.match((await walCdc(['teardown', '--data'], at)).stdout, /^dropped +database wal_cdc$/m);
});
