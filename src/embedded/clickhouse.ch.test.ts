import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { sharedClickHouse, startTestClickHouse } from '../../test/support/clickhouse.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import type { CdcError } from '../core/errors.ts';
import { type ClickHouseOptions, type EmbeddedClickHouse, startClickHouse } from './clickhouse.ts';

const started: EmbeddedClickHouse[] = [];
after(() => Promise.all(started.map(server => server.stop())));

/** Stopped at the end also when the test fails before its own `stop`. */
async function start(options: ClickHouseOptions): Promise<EmbeddedClickHouse> {
  const server = await startClickHouse(options);
  started.push(server);
  return server;
}

interface Answer {
  status: number;
  body: string;
}

/** One statement over plain HTTP; `url` may carry parameters and other credentials. */
async function post(
  url: string | URL,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { username, password, origin, search } = new URL(url);
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString(
    'base64',
  );
  const response = await fetch(`${origin}/${search}`, {
    method: 'POST',
    body: body as Uint8Array<ArrayBuffer>,
    headers: { ...(username && { Authorization: `Basic ${credentials}` }), ...headers },
  });
  return { status: response.status, body: (await response.text()).trimEnd() };
}

/** The answer to a statement that must succeed. */
async function query(server: EmbeddedClickHouse, statement: string): Promise<string> {
  const { status, body } = await post(server.url, statement);
  assert.equal(status, 200, body);
  return body;
}

function withParameters(url: string, parameters: Record<string, string>): URL {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(parameters)) changed.searchParams.set(name, value);
  return changed;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('starts fast, keeps data and password, answers where it says', async t => {
  using dir = tempDir();
  const begun = performance.now();
  const first = await start({ dir: dir.path });
  const startMs = Math.round(performance.now() - begun);
  t.diagnostic(`first start ${startMs} ms`);
  assert.match(first.url, new RegExp(`^http://wal_cdc:[\\w-]{20,}@127\\.0\\.0\\.1:${first.port}$`));
  assert.ok(startMs < 15_000);
  assert.equal(statSync(join(dir.path, 'password')).mode & 0o777, 0o600);
  await query(first, 'CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id');
  await query(first, 'CREATE DATABASE other');
  await query(first, 'CREATE TABLE other.kept (id UInt64) ENGINE = ReplacingMergeTree ORDER BY id');
  await query(first, 'INSERT INTO kept VALUES (1), (2)');
  await query(first, 'INSERT INTO other.kept VALUES (3)');
  await first.stop();
  assert.equal(isAlive(first.pid), false);

  const second = await start({ dir: dir.path });
  assert.equal(new URL(second.url).password, new URL(first.url).password);
  assert.equal(
    await query(second, 'SELECT sum(id) FROM (SELECT id FROM kept UNION ALL SELECT id FROM other.kept)'),
    '6',
  );
  await second.stop();

  const password = 'ö p@ß:/\'"<&';
  const third = await start({ dir: dir.path, password });
  assert.equal(await query(third, 'SELECT count() FROM kept'), '2');
  assert.equal((await post(second.url.replace(/:\d+$/, `:${third.port}`), 'SELECT 1')).status, 403);
  const client = createClient({ url: third.url });
  const answer = await client.query({ query: 'SELECT currentUser() AS name', format: 'JSONEachRow' });
  assert.deepEqual(await answer.json(), [{ name: 'wal_cdc' }]);
  await client.close();
  await third.stop();
});

test('is a whole server for @clickhouse/client', async () => {
  const { url } = await sharedClickHouse();
  const client = createClient({
    url,
    compression: { request: true, response: true },
    log: { level: ClickHouseLogLevel.OFF },
  });
  await client.command({
    query: 'CREATE TABLE events (id UInt64, name String) ENGINE = MergeTree ORDER BY id',
  });
  const values = Array.from({ length: 10_000 }, (_, id) => ({ id, name: `name ${id}` }));
  await client.insert({ table: 'events', values, format: 'JSONEachRow' });
  const answer = await client.query({
    query: 'SELECT count() AS rows, max(name) AS last FROM events WHERE id < {limit: UInt32}',
    query_params: { limit: 5000 },
    format: 'JSONEachRow',
  });
  assert.deepEqual(await answer.json(), [{ rows: 5000, last: 'name 999' }]);
  await assert.rejects(client.command({ query: 'SELECT * FROM missing' }), {
    code: '60',
    type: 'UNKNOWN_TABLE',
  });
  await client.close();
});

test('takes RowBinary as it is, chunked and compressed, and gives it back', async () => {
  const server = await sharedClickHouse();
  await query(server, 'CREATE TABLE raw (id UInt64, name String) ENGINE = MergeTree ORDER BY id');
  const insert = withParameters(server.url, {
    query: 'INSERT INTO raw FORMAT RowBinary',
    wait_end_of_query: '1',
    async_insert: '0',
  });
  const row = (id: number) => Buffer.from([id, 0, 0, 0, 0, 0, 0, 0, 2, 0xc3, 0xa4]);
  assert.equal((await post(insert, row(1))).status, 200);
  assert.equal((await post(insert, gzipSync(row(2)), { 'Content-Encoding': 'gzip' })).status, 200);
  assert.equal((await post(insert, zstdCompressSync(row(3)), { 'Content-Encoding': 'zstd' })).status, 200);

  const chunked = request(insert, { method: 'POST' });
  chunked.write(row(4).subarray(0, 5));
  chunked.write(row(4).subarray(5));
  chunked.end(row(5));
  const [response] = await once(chunked, 'response');
  assert.equal(response.statusCode, 200, await text(response));

  const cut = await post(insert, row(6).subarray(0, 9));
  assert.equal(cut.status, 500);
  assert.match(cut.body, /^Code: \d+\. DB::Exception/);
  assert.equal(
    await query(server, 'SELECT id, name FROM raw ORDER BY id FORMAT CSV'),
    [1, 2, 3, 4, 5].map(id => `${id},"ä"`).join('\n'),
  );
  assert.equal(
    await query(
      server,
      "SELECT count(), min(fsync) FROM (SELECT value = '1' AS fsync FROM system.merge_tree_settings WHERE name IN ('fsync_after_insert', 'fsync_part_directory'))",
    ),
    '2\t1',
  );
});

test('does everything with data for its user', async () => {
  const server = await sharedClickHouse();
  for (const statement of [
    'CREATE DATABASE work',
    'CREATE TABLE work.a (id UInt64, v Nullable(String), _version UInt128, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id',
    'CREATE TABLE work.b AS work.a',
    "INSERT INTO work.a VALUES (1, 'x', 1, 0), (2, 'y', 1, 0), (2, 'z', 2, 1)",
    'EXCHANGE TABLES work.a AND work.b',
    'ALTER TABLE work.b ADD COLUMN n Int32',
    "ALTER TABLE work.b UPDATE v = 'changed' WHERE id = 1 SETTINGS mutations_sync = 1",
    'OPTIMIZE TABLE work.b FINAL',
    'DELETE FROM work.b WHERE id = 9',
    'RENAME TABLE work.a TO work.c',
    'CREATE MATERIALIZED VIEW work.view ENGINE = SummingMergeTree ORDER BY id AS SELECT id FROM work.b',
    'CREATE TEMPORARY TABLE scratch (id Int8)',
    'TRUNCATE TABLE work.c',
    'SYSTEM STOP MERGES work.b',
    'SYSTEM START MERGES work.b',
    "KILL QUERY WHERE query_id = 'none' SYNC",
  ]) {
    await query(server, statement);
  }
  assert.equal(await query(server, 'SELECT id, v FROM work.b FINAL'), '1\tchanged');
  assert.equal(await query(server, `SELECT * FROM format(JSONEachRow, '{"a": 7}')`), '7');
  assert.equal(await query(server, "SELECT engine FROM system.databases WHERE name = 'default'"), 'Atomic');
  await query(server, 'DROP DATABASE work');
});

test('keeps its user from files, networks and the process', async () => {
  const server = await sharedClickHouse();
  for (const statement of [
    "SELECT * FROM file('/etc/passwd', LineAsString)",
    'SELECT * FROM _local.`/etc/passwd`',
    "INSERT INTO FUNCTION file('/tmp/never', CSV, 'a Int8') VALUES (1)",
    "CREATE TABLE f (a String) ENGINE = File(CSV, '/etc/passwd')",
    `SELECT * FROM url('${server.url}', LineAsString)`,
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM postgresql('127.0.0.1:5432', 'a', 'b', 'c', 'd')",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(HTTP(url 'http://127.0.0.1' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "BACKUP DATABASE default TO File('/tmp/never')",
    'SYSTEM STOP LISTEN HTTP',
    'SYSTEM SHUTDOWN',
    'CREATE USER other',
    // The statement that the engine lives by, which is another user's.
    "KILL QUERY WHERE query LIKE 'SELECT sleepEachRow%' SYNC",
  ]) {
    const { status, body } = await post(server.url, statement);
    assert.match(body, /Code: 497\. .*ACCESS_DENIED/, `${statement}: ${status} ${body}`);
  }
});

test('lets nobody in without the password', async () => {
  const { url } = await sharedClickHouse();
  const as = (user: string, password: string) => {
    const changed = new URL(url);
    changed.username = user;
    changed.password = password;
    return changed;
  };
  for (const [user, password] of [
    ['wal_cdc', 'wrong'],
    ['wal_cdc', ''],
    ['nobody', ''],
  ]) {
    const { status, body } = await post(as(user!, password!), 'SELECT 1');
    assert.equal(status, 403);
    assert.match(body, /Code: 516\./);
  }
  // `default` is the engine's own and has no password; its one session is taken.
  const attempts: Record<string, string>[] = [{}, { session_id: 'x' }, { max_sessions_for_user: '9' }];
  for (const parameters of attempts) {
    const { status, body } = await post(
      withParameters(as('default', '').href, parameters),
      "SELECT file('/etc/hostname')",
    );
    assert.equal(status, 500);
    assert.match(body, /Code: 700\./);
  }
  assert.match((await post(new URL('/', url).origin, 'SELECT 1')).body, /Code: 700\./);
});

test('survives what is not HTTP and clients that leave', async () => {
  const server = await sharedClickHouse();
  const { port } = server;
  const send = async (...parts: (string | Buffer)[]) => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    for (const part of parts) socket.write(part);
    // Without reading the answer: the engine writes into a broken pipe.
    setTimeout(() => socket.resetAndDestroy(), Math.random() * 20);
    await once(socket, 'close');
  };
  const authorization = `Authorization: Basic ${Buffer.from(`wal_cdc:${new URL(server.url).password}`).toString('base64')}`;
  const head = (line: string, ...headers: string[]) =>
    `${[line, 'Host: x', authorization, ...headers].join('\r\n')}\r\n\r\n`;
  const good = head('GET /?query=SELECT+1 HTTP/1.1');
  const hostile = [
    ['garbage\r\n\r\n'],
    [Buffer.from([0, 1, 2, 255, 254, 10, 13, 10])],
    [good, 'garbage\r\n\r\n'],
    ['GET /\r\n\r\n'],
    [`GET /${'x'.repeat(1 << 20)} HTTP/1.1\r\n\r\n`],
    [head('POST / HTTP/1.1', 'Content-Length: many'), 'SELECT 1'],
    [head('POST / HTTP/1.1', 'Content-Length: 99999999999999999999'), 'SELECT 1'],
    [head('POST / HTTP/1.1', 'Transfer-Encoding: chunked'), 'zz\r\nSELECT 1'],
    [head('PRI * HTTP/2.0')],
    [head('GET /?query=SELECT+number+FROM+numbers(10000000) HTTP/1.1')],
  ];
  await Promise.all(Array.from({ length: 20 }, () => hostile.map(parts => send(...parts))).flat());
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'error');
    }),
  );
  assert.equal(await query(server, 'SELECT 1'), '1');

  const leaving = connect(port, '127.0.0.1');
  leaving.write(head('GET /?query=SELECT+count()+FROM+numbers_mt(1000000000000)&query_id=left HTTP/1.1'));
  const running = async () =>
    Number(await query(server, "SELECT count() FROM system.processes WHERE query_id = 'left'"));
  await waitFor(async () => (await running()) === 1, { what: 'the query to run' });
  leaving.destroy();
  await waitFor(async () => (await running()) === 0, { what: 'the query of the client that left to end' });
});

test('says which folder or port is taken, and leaves its owner alone', async () => {
  await using server = await startTestClickHouse();
  await assert.rejects(startClickHouse({ dir: server.dir, password: 'other' }), (error: CdcError) => {
    assert.equal(error.code, 'FOLDER_TAKEN');
    assert.ok(error.message.includes(server.dir), error.message);
    assert.ok(error.message.startsWith(`Process ${process.pid} `), error.message);
    return true;
  });
  assert.equal(await query(server, 'SELECT 1'), '1');

  using dir = tempDir();
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as AddressInfo;
  await assert.rejects(startClickHouse({ dir: dir.path, port }), {
    code: 'PORT_TAKEN',
    message: new RegExp(`\\b${port}\\b`),
  });
  blocker.close();
  await once(blocker, 'close');
  const free = await start({ dir: dir.path, port });
  assert.equal(free.port, port);
  await free.stop();
});

test('says why it cannot start', async () => {
  using dir = tempDir();
  writeFileSync(join(dir.path, 'file'), '');
  await assert.rejects(startClickHouse({ dir: join(dir.path, 'file') }), {
    code: 'EMBEDDED_UNAVAILABLE',
    message: /file cannot be used/,
  });

  const server = await start({ dir: dir.path });
  await server.stop();
  writeFileSync(join(dir.path, 'data', 'metadata', 'broken.sql'), 'nonsense');
  await assert.rejects(startClickHouse({ dir: dir.path }), {
    code: 'EMBEDDED_UNAVAILABLE',
    message: /Syntax error .*broken\.sql/,
  });
});

test('a killed engine has every acknowledged row, and no part of another insert', async () => {
  using dir = tempDir();
  let server = await start({ dir: dir.path });
  await query(
    server,
    'CREATE TABLE acknowledged (batch UInt32, row UInt32) ENGINE = MergeTree ORDER BY (batch, row)',
  );
  const rowsPerBatch = 500;
  let sent = 0;
  for (let round = 0; round < 3; round++) {
    const before = sent;
    let isUp = true;
    const insertAll = async () => {
      while (isUp) {
        const statement = `INSERT INTO acknowledged SELECT ${sent}, number FROM numbers(${rowsPerBatch})`;
        const answer = await post(server.url, statement).catch(() => undefined);
        if (answer === undefined) return;
        assert.equal(answer.status, 200, answer.body);
        sent++;
      }
    };
    const inserting = insertAll();
    await waitFor(() => sent >= before + 5, { what: 'five inserts' });
    server.kill();
    assert.deepEqual(await server.exited, { code: null, signal: 'SIGKILL' });
    isUp = false;
    await inserting;
    server = await start({ dir: dir.path });
    const counts = await query(
      server,
      'SELECT batch, count() FROM acknowledged GROUP BY batch ORDER BY batch',
    );
    const found = counts.split('\n').map(line => line.split('\t').map(Number));
    // The one that was cut may be there, as a whole.
    assert.ok(found.length === sent || found.length === sent + 1, `${found.length} batches of ${sent}`);
    assert.ok(found.every(([batch, count], index) => batch === index && count === rowsPerBatch));
    sent = found.length;
  }
  await server.stop();
});

test('ends with the process that started it', async t => {
  using dir = tempDir();
  const program = `
    import { startClickHouse } from ${JSON.stringify(new URL('clickhouse.ts', import.meta.url).href)};
    const server = await startClickHouse({ dir: ${JSON.stringify(dir.path)} });
    console.log(server.url);`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const url = line.toString().trim();
  assert.equal((await post(url, 'SELECT 1')).body, '1');
  parent.kill('SIGKILL');
  const begun = performance.now();
  await waitFor(
    () =>
      post(url, 'SELECT 1').then(
        () => false,
        () => true,
      ),
    { what: 'the engine to end', timeoutMs: 5_000 },
  );
  t.diagnostic(`the engine ended ${Math.round(performance.now() - begun)} ms after its parent`);
  const next = await start({ dir: dir.path });
  await next.stop();
});

test('stops at once, whoever is connected', async t => {
  using dir = tempDir();
  const server = await start({ dir: dir.path });
  const agent = new Agent({ keepAlive: true });
  for (let index = 0; index < 3; index++) {
    const ping = request(`${new URL(server.url).origin}/ping`, { agent }).end();
    const [response] = await once(ping, 'response');
    await text(response);
  }
  const running = post(server.url, 'SELECT sleep(3)').catch(() => 'cut');
  await waitFor(async () => (await query(server, 'SELECT count() FROM system.processes')) === '3', {
    what: 'a query to run',
  });
  const begun = performance.now();
  await server.stop();
  const stopMs = performance.now() - begun;
  t.diagnostic(`stop ${Math.round(stopMs)} ms`);
  assert.ok(stopMs < 3_000);
  assert.equal(await running, 'cut');
  agent.destroy();
});
