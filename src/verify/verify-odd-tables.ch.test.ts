import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createClient } from '@clickhouse/client';
import { sharedClickHouse } from '../../test/support/clickhouse.ts';
import { connect } from '../../test/support/postgres.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import type { CdcError } from '../core/errors.ts';
import { ClickHouseRows } from './clickhouse-rows.ts';
import { Fixture, versionAt } from './fixture.ts';
import type { VerifyTable } from './verify-tables.ts';

test('identifiers of all kinds, empty tables, partitions, parents, row filters, NULL flags', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  const odd = `we ird."sch'\\ema`;
  const column = 'select; drop table x;-- "`\\\'é.b';
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
  await client.query(`
    CREATE SCHEMA ${quoted(odd)};
    CREATE TABLE ${quoted(odd)}.${quoted(odd)} (${quoted(column)} text PRIMARY KEY, c0 int, "t" int);
    INSERT INTO ${quoted(odd)}.${quoted(odd)} VALUES ('a''\\"b', 1, 2), ('c', 3, 4);
    CREATE TABLE empty (id int PRIMARY KEY);
    CREATE TABLE parts (id int, at date, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
    CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO parts VALUES (1, '2025-05-05'), (2, '2024-05-05');
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);
    CREATE TABLE filtered (id int PRIMARY KEY, a int); INSERT INTO filtered VALUES (1, 1), (2, 2);
    CREATE TABLE flags (id int PRIMARY KEY, a int[]); INSERT INTO flags VALUES (1, '{}'), (2, NULL), (3, NULL), (4, '{}')`);
  const oddTable = await fixture.target(odd, odd, {
    [column]: 'String',
    c0: 'Nullable(Int32)',
    t: 'Nullable(Int32)',
  });
  const empty = await fixture.target('public', 'empty', { id: 'Int32' });
  const parts = await fixture.target('public', 'parts', { id: 'Int32', at: 'Date32' });
  const parent = await fixture.target('public', 'parent', { id: 'Int32' });
  const filtered = await fixture.target('public', 'filtered', { id: 'Int32', a: 'Nullable(Int32)' });
  const flags = await fixture.target('public', 'flags', {
    id: 'Int32',
    a: 'Array(Nullable(Int32))',
    a__null: 'Bool',
  });
  const oddTarget = `${fixture.database}.\`${odd.replaceAll('\\', '\\\\')}\``;
  const db = fixture.database;
  await fixture.query(
    `INSERT INTO ${oddTarget} VALUES ('a\\'\\\\"b', 1, 2, ${versionAt(1n)}, 0, 0), ('c', 3, 5, ${versionAt(1n)}, 0, 0)`,
  );
  await fixture.query(`INSERT INTO ${db}.parts (id, at) VALUES (1, '2025-05-05'), (2, '2024-05-05')`);
  await fixture.query(`INSERT INTO ${db}.parent (id) VALUES (1)`);
  await fixture.query(`INSERT INTO ${db}.filtered (id, a) VALUES (2, 2)`);
  await fixture.query(
    `INSERT INTO ${db}.flags (id, a, a__null) VALUES (1, [], false), (2, [], true), (3, [], false), (4, [], true)`,
  );
  const tables: VerifyTable[] = [oddTable, empty, parts, parent, { ...filtered, rowFilter: 'a > 1' }, flags];
  const { tables: results } = await fixture.verify(tables);
  assert.deepEqual(
    results.map(result => result.error?.message),
    tables.map(() => undefined),
  );
  assert.deepEqual(
    results.map(result => result.rows),
    [2, 0, 2, 1, 1, 4],
  );
  assert.deepEqual(results[0]!.differing, [
    { key: { [column]: 'c' }, kind: 'different', columns: [{ name: 't', postgres: '4', clickhouse: '5' }] },
  ]);
  assert.deepEqual(
    results.slice(1, 5).map(result => result.differingCount),
    [0, 0, 0, 0],
  );
  assert.deepEqual(
    results[5]!.differing.map(row => [row.key.id, ...row.columns!.map(cell => cell.name)]),
    [
      ['3', 'a__null'],
      ['4', 'a__null'],
    ],
  );
});

test('a database that is not UTF-8', async () => {
  await using fixture = await Fixture.create();
  await fixture.db.client.query(`CREATE DATABASE latin1 TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'`);
  const url = fixture.db.url.replace(/\/[^/]*$/, '/latin1');
  const client = await connect(url);
  try {
    const rows = `(VALUES ('ä'), ('z'), ('ÿ'), ('Z'), (repeat('ö', 9000))) AS v(k)`;
    await client.query(`CREATE TABLE t (k text PRIMARY KEY, a text)`);
    await client.query(`INSERT INTO t SELECT left(k, 100), k FROM ${rows}`);
    await fixture.db.client.query('CREATE TABLE t (k text PRIMARY KEY, a text)');
    const table = await fixture.target('public', 't', { k: 'String', a: 'Nullable(String)' });
    await fixture.query(
      `INSERT INTO ${fixture.database}.t (k, a) SELECT leftUTF8(k, 100), k FROM VALUES('k String', 'ä', 'z', 'ÿ', 'Z', repeat('ö', 9000))`,
    );
    const { tables } = await fixture.verify([table], { source: { url } });
    assert.deepEqual(tables[0]!.error, undefined);
    assert.deepEqual([tables[0]!.equal, tables[0]!.differing], [5, []]);
  } finally {
    await client.end();
    await fixture.db.client.query('DROP DATABASE latin1 WITH (FORCE)');
  }
});

test('a table that is truncated meanwhile is looked at again as a whole', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  await client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)');
  const table = await fixture.target('public', 't', { id: 'Int32' });
  await fixture.query(`INSERT INTO ${fixture.database}.t (id) VALUES (1), (2)`);
  let round = 0;
  const truncated = await fixture.verify([table], {
    async awaitPosition() {
      if (++round > 1) return;
      await client.query('TRUNCATE t; INSERT INTO t VALUES (3)');
      await fixture.query(`DELETE FROM ${fixture.database}.t WHERE 1`);
      await fixture.query(`INSERT INTO ${fixture.database}.t (id) VALUES (3)`);
    },
  });
  const { rows, equal, rounds } = truncated.tables[0]!;
  assert.deepEqual({ rows, equal, rounds }, { rows: 1, equal: 1, rounds: 2 });
  const always = await fixture.verify([table], {
    maxRounds: 2,
    awaitPosition: async () => {
      await client.query('TRUNCATE t');
    },
  });
  assert.equal(always.tables[0]!.error?.code, 'SCHEMA_CHANGED');
  assert.equal(always.equal, false);
});

test('what is wrong with one table leaves the others alone', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  await client.query(`
    CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, x int); CREATE TABLE c (id int PRIMARY KEY);
    CREATE TABLE d (id int PRIMARY KEY); CREATE TABLE e (id int PRIMARY KEY); CREATE TABLE f (id int PRIMARY KEY)`);
  const made: VerifyTable[] = [];
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    made.push(
      await fixture.target('public', name, {
        id: 'Int32',
        ...(name === 'b' ? { x: 'Nullable(Int32)' } : {}),
      }),
    );
  const [a, b, c, d, e, f] = made;
  await fixture.query(`DROP TABLE ${fixture.database}.a`);
  await client.query('ALTER TABLE b DROP COLUMN x; DROP TABLE c');
  await client.query(`CREATE ROLE reader LOGIN REPLICATION PASSWORD 'reader'; GRANT SELECT ON a, b, d, e TO reader;
    ALTER TABLE e ENABLE ROW LEVEL SECURITY`);
  const url = new URL(fixture.db.url);
  url.username = url.password = 'reader';
  const result = await fixture.verify([a!, b!, c!, d!, e!, f!, { ...d!, clickHouseTypes: {} }], {
    source: { url: url.toString() },
  });
  await client.query('DROP OWNED BY reader; DROP ROLE reader');
  assert.deepEqual(
    result.tables.map(table => table.error?.code),
    [
      'TABLE_MISMATCH',
      'SCHEMA_CHANGED',
      'SCHEMA_CHANGED',
      undefined,
      'TABLE_UNREADABLE',
      'TABLE_UNREADABLE',
      'TABLE_MISMATCH',
    ],
  );
  assert.equal(result.equal, false);
  await assert.rejects(
    fixture.verify([d!], { source: { url: fixture.db.url.replace(/:\d+\//, ':1/') } }),
    (error: CdcError) => error.code === 'SOURCE_UNREACHABLE',
  );
  const clickhouse = createClient({ url: 'http://127.0.0.1:1', log: { level: 127 } });
  await assert.rejects(
    fixture.verify([d!], { clickhouse }),
    (error: CdcError) => error.code === 'SINK_UNREACHABLE',
  );
  await clickhouse.close();
  await client.query('INSERT INTO d SELECT generate_series(1, 100000)');
  const aborted = new AbortController();
  await assert.rejects(
    fixture.verify([d!], {
      signal: aborted.signal,
      onProgress: ({ step }) => step === 'comparing' && aborted.abort(),
    }),
    (error: Error) => error.name === 'AbortError',
  );
  const slots = async () =>
    (await client.query("SELECT FROM pg_replication_slots WHERE slot_name LIKE 'wal_cdc_verify%'")).rowCount;
  // Making a slot waits for open transactions.
  const writer = await connect(fixture.db.url);
  await writer.query('BEGIN; INSERT INTO d VALUES (0)');
  await assert.rejects(
    fixture.verify([d!], { signal: AbortSignal.timeout(200) }),
    (error: Error) => error.name === 'TimeoutError',
  );
  await writer.end();
  await waitFor(async () => (await slots()) === 0, { what: 'the temporary slots to go' });
});

test('an error behind the first rows of a result is told from rows', async () => {
  await using fixture = await Fixture.create();
  const rows = new ClickHouseRows(
    fixture.clickhouse,
    1,
    () => `SELECT CAST(if(number = 3000000, throwIf(1, 'broken here'), number) AS Nullable(String)) FROM numbers(4000000)
      SETTINGS max_block_size = 1000`,
  );
  await assert.rejects(
    async () => {
      while (rows.advance() || (await rows.next()));
    },
    (error: CdcError) => error.code === 'SINK_QUERY' && /broken here/.test(error.message),
  );
  assert.ok(rows.rows > 1000);
});

test('a result that breaks off is continued', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  const count = 30_000;
  await client.query(`
    CREATE TABLE t (a int, u uuid, s text, filler text, PRIMARY KEY (s, u, a));
    CREATE TABLE k (s text, filler text)`);
  const values = `i, md5(i::text)::uuid, 'k' || i / 100, repeat('x', 50)`;
  await client.query(`
    INSERT INTO t SELECT ${values} FROM generate_series(1, ${count}) AS i;
    INSERT INTO k SELECT 'k' || i / 3, repeat('x', 50) FROM generate_series(1, ${count}) AS i`);
  const keyed = await fixture.target('public', 't', {
    a: 'Int32',
    u: 'UUID',
    s: 'String',
    filler: 'Nullable(String)',
  });
  const keyless = await fixture.target('public', 'k', { s: 'Nullable(String)', filler: 'Nullable(String)' });
  const db = fixture.database;
  // Each 10th row was deleted later than the position, each 1,000th is missing.
  await fixture.query(`INSERT INTO ${db}.t (a, u, s, filler, _version, _is_deleted)
    SELECT number + 1 AS i, toUUID(concat(substring(h, 1, 8), '-', substring(h, 9, 4), '-', substring(h, 13, 4), '-', substring(h, 17, 4), '-', substring(h, 21))),
      concat('k', toString(intDiv(i, 100))), repeat('x', 50), if(i % 10 = 0, ${versionAt(1n << 50n)}, ${versionAt(1n)}), i % 10 = 0
    FROM (SELECT number, lower(hex(MD5(toString(number + 1)))) AS h FROM numbers(${count})) WHERE i % 1000 != 0`);
  await fixture.query(`INSERT INTO ${db}.k (s, filler, _version)
    SELECT concat('k', toString(intDiv(number + 1, 3))), repeat('x', 50), ${versionAt(1n)} + number FROM numbers(${count})`);

  const breaking = await breakingProxy((await sharedClickHouse()).url, 200_000);
  const clickhouse = createClient({ url: breaking.url, log: { level: 127 }, keep_alive: { enabled: false } });
  try {
    const { tables } = await fixture.verify([keyed, keyless], {
      clickhouse,
      maxRounds: 1,
      maxDiffering: 1000,
    });
    assert.deepEqual(
      tables.map(table => table.error),
      [undefined, undefined],
    );
    assert.equal(tables[0]!.moving, count / 10 - count / 1000);
    assert.equal(tables[0]!.equal, (count * 9) / 10);
    assert.deepEqual(new Set(tables[0]!.differing.map(row => Number(row.key.a) % 1000)), new Set([0]));
    assert.equal(tables[0]!.differingCount, count / 1000);
    assert.deepEqual([tables[1]!.equal, tables[1]!.differingCount], [count, 0]);
    assert.ok(breaking.broken() > 10, `${breaking.broken()} results were broken off`);
  } finally {
    await clickhouse.close();
    await breaking.close();
  }
});

/** Passes HTTP on to `target`, but breaks responses off after some of their bytes. */
async function breakingProxy(target: string, maxBytes: number) {
  let broken = 0;
  const { username, password, hostname, port: targetPort } = new URL(target);
  const server = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    const passed = request(
      {
        hostname,
        port: targetPort,
        path: incoming.url,
        method: incoming.method,
        headers: { ...incoming.headers, connection: 'close' },
      },
      response => {
        outgoing.writeHead(response.statusCode!, response.headers);
        let bytes = 0;
        response.on('data', chunk => {
          bytes += chunk.length;
          if (bytes > maxBytes) {
            broken++;
            outgoing.destroy();
            response.destroy();
          } else outgoing.write(chunk);
        });
        response.on('end', () => outgoing.end());
        response.on('error', () => outgoing.destroy());
      },
    );
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${username}:${password}@127.0.0.1:${port}`,
    broken: () => broken,
    close: () => new Promise(resolve => server.close(resolve)),
  };
}
