import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunningCommand, walCdc } from '../../test/support/command-line.ts';
import { pipelineOf } from '../../test/support/command-pipeline.ts';
import { freePort } from '../../test/support/free-port.ts';
import { freshDatabase } from '../../test/support/postgres.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { loadConfig } from '../config.ts';
import { connect } from '../sources/wal/connect.ts';
import { resync } from './resync.ts';

test('resync beside a running service says why a table stopped', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE dated (id int PRIMARY KEY, on_day date);
    CREATE TABLE fine (id int PRIMARY KEY);
    INSERT INTO dated VALUES (1, '2024-01-01');
    INSERT INTO fine VALUES (1)`);
  const port = await freePort();
  const env = await pipelineOf(db, { WAL_CDC_LISTEN: `127.0.0.1:${port}` });
  await using service = new RunningCommand(['run'], { env });
  await service.prints(/"table":"public.dated".*"copied"/);
  await service.prints(/"table":"public.fine".*"copied"/);
  const good = await walCdc(['resync', 'public.fine', 'public.dated'], { env });
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /^public\.dated {2}streaming, 1 rows copied$/m);

  await db.client.query(`UPDATE dated SET on_day = '9999-12-31'`);
  await service.prints(/"code":"VALUE_INVALID"/);
  const invalid = await walCdc(['resync', 'public.dated', 'public.fine'], { env });
  assert.equal(invalid.code, 4, invalid.stderr);
  assert.match(invalid.stdout, /^public\.dated {2}stopped\n {2}.*9999-12-31.*\(VALUE_INVALID\)\n {2}\S/m);
  assert.match(invalid.stdout, /^public\.fine {2}streaming, 1 rows copied$/m);
  assert.equal((await service.stop()).code, 4);
});

test('resync says why a table that may no longer be read is not copied', async () => {
  await using db = await freshDatabase();
  const role = `${db.name}_reader`;
  await db.client.query(`
    CREATE TABLE secret (id int PRIMARY KEY);
    CREATE TABLE fine (id int PRIMARY KEY);
    CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'reads';
    GRANT SELECT ON secret, fine TO ${role};
    CREATE PUBLICATION p FOR TABLE secret, fine`);
  try {
    const url = new URL(db.url);
    url.username = role;
    url.password = 'reads';
    const port = await freePort();
    const env = await pipelineOf(db, {
      WAL_CDC_LISTEN: `127.0.0.1:${port}`,
      WAL_CDC_POSTGRES_URL: url.href,
      WAL_CDC_POSTGRES_PUBLICATION: 'p',
    });
    await using service = new RunningCommand(['run'], { env });
    await service.prints(/"table":"public.secret".*"copied"/);
    await db.client.query(`REVOKE SELECT ON secret FROM ${role}`);
    const { code, stdout, stderr } = await walCdc(['resync', 'public.secret'], { env });
    assert.equal(code, 4, stderr);
    assert.match(stdout, /^public\.secret {2}stopped\n {2}.*\(TABLE_UNREADABLE\)\n {2}\S/m);
    const verified = await walCdc(['verify'], { env });
    assert.match(verified.stdout, /^STOPPED +public\.secret +not compared\n.*\(TABLE_UNREADABLE\)/m);
    await service.stop();
  } finally {
    await db.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

test('resync gives up on a consumer that does not take the request', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const env = await pipelineOf(db);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  const config = loadConfig({ env });
  const consumer = await connect(config.postgres.address!, { replication: true });
  try {
    const streaming = consumer.query(
      `START_REPLICATION SLOT ${config.postgres.slot} LOGICAL 0/0 (proto_version '1', publication_names 'p')`,
    );
    streaming.catch(() => {}); // ends with the connection
    await waitFor(async () => (await db.client.query('SELECT FROM pg_stat_replication')).rowCount, {
      what: 'the consumer to stream',
    });
    await assert.rejects(
      resync(config, { tables: ['public.t'], patienceMs: 1000 }, new AbortController().signal),
      {
        code: 'SERVICE_STUCK',
        message: /waited \d s in vain for a copy of public\.t: process \d+ of PostgreSQL streams/,
      },
    );
  } finally {
    await db.client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
    await consumer.end().catch(() => {});
  }
});
