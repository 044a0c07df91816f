import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLsn } from '../core/lsn.ts';
import { composeVersion } from '../core/version.ts';
import { epoch, Fixture, versionAt } from './fixture.ts';
import type { VerifyTable, VerifyTableResult } from './verify-tables.ts';

/** `key kind column…` of each difference. */
function found(table: VerifyTableResult): string[] {
  assert.equal(table.error, undefined);
  assert.equal(table.differingCount, table.differing.length);
  assert.equal(table.equal + table.differingCount, table.rows);
  return table.differing.map(({ key, kind, columns }) =>
    [Object.values(key).join('/'), kind, ...(columns ?? []).map(column => column.name)].join(' '),
  );
}

/** The version of what commits now. */
async function versionNow(fixture: Fixture): Promise<string> {
  const { rows } = await fixture.db.client.query('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  return `toUInt128('${composeVersion(epoch, parseLsn(rows[0].lsn), 1n)}')`;
}

test('missing, extra, changed, deleted and stale rows are named', async () => {
  await using fixture = await Fixture.create();
  await fixture.db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, a text, b int);
    INSERT INTO t SELECT i, 'a' || i, i FROM generate_series(-10, 10) AS i`);
  const table = await fixture.target('public', 't', {
    id: 'Int32',
    a: 'Nullable(String)',
    b: 'Nullable(Int32)',
  });
  const target = `${fixture.database}.t`;
  await fixture.query(
    `INSERT INTO ${target} (id, a, b) SELECT number - 10, 'a' || toString(number - 10), number - 10 FROM numbers(21)`,
  );
  // Versions of one key in several parts: the last one counts.
  await fixture.query(`INSERT INTO ${target} (id, a, b, _version) VALUES (2, 'stale', 2, ${versionAt(0n)})`);
  const before = await fixture.verify([table]);
  assert.deepEqual(found(before.tables[0]!), []);
  assert.equal(before.tables[0]!.rows, 21);
  assert.equal(before.tables[0]!.rounds, 1);
  assert.equal(before.equal, true);

  await fixture.query(`INSERT INTO ${target} (id, a, b, _version, _is_deleted) VALUES
    (-9, 'a-9', -9, ${versionAt(2n)}, 1),
    (-3, 'x', -3, ${versionAt(2n)}, 0),
    (3, 'a3', 4, ${versionAt(2n)}, 0),
    (4, NULL, NULL, ${versionAt(2n)}, 0),
    (11, 'a11', 11, ${versionAt(2n)}, 0),
    (12, 'a12', 12, ${versionAt(2n)}, 1)`);
  await fixture.query(`DELETE FROM ${target} WHERE id = 10`);
  const after = await fixture.verify([table]);
  assert.deepEqual(found(after.tables[0]!), [
    '-9 missing in ClickHouse',
    '-3 different a',
    '3 different b',
    '4 different a b',
    '10 missing in ClickHouse',
    '11 only in ClickHouse',
  ]);
  assert.deepEqual(after.tables[0]!.differing[3]!.columns, [
    { name: 'a', postgres: 'a4', clickhouse: null },
    { name: 'b', postgres: '4', clickhouse: null },
  ]);
  assert.equal(after.equal, false);
  assert.equal(after.tables[0]!.moving, 0);

  const few = await fixture.verify([table], { maxDiffering: 2 });
  assert.equal(few.tables[0]!.differingCount, 6);
  assert.equal(few.tables[0]!.differing.length, 2);
});

test('rows that change meanwhile are looked at again', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  await client.query(`
    CREATE TABLE t (id int, at timestamptz, a text, PRIMARY KEY (id, at));
    INSERT INTO t SELECT i, '2024-01-01 00:00:00.5', 'a' FROM generate_series(1, 9) AS i`);
  const table = await fixture.target('public', 't', {
    id: 'Int32',
    at: "DateTime64(6, 'UTC')",
    a: 'Nullable(String)',
  });
  const target = `${fixture.database}.t`;
  const at = "'2024-01-01 00:00:00.5'";
  await fixture.query(
    `INSERT INTO ${target} (id, at, a) SELECT number + 1, toDateTime64(${at}, 6, 'UTC'), 'a' FROM numbers(9)`,
  );
  // Somebody writes what is newer than any position.
  await fixture.query(
    `INSERT INTO ${target} (id, at, a, _version) VALUES (9, ${at}, 'a', ${versionAt(1n << 50n)}), (10, ${at}, 'a', ${versionAt(1n << 50n)})`,
  );
  let round = 0;
  const steps: string[] = [];
  const result = await fixture.verify([table], {
    async awaitPosition() {
      if (++round === 1) {
        // Behind the snapshot: right ones, a wrong one (3), one that is deleted only here (4) and one inserted wrongly (12).
        await client.query(`UPDATE t SET a = 'b' WHERE id IN (1, 3)`);
        await client.query('DELETE FROM t WHERE id = 2');
        await client.query(`INSERT INTO t VALUES (11, ${at}, 'a'), (12, ${at}, 'a')`);
        const version = await versionNow(fixture);
        await fixture.query(`INSERT INTO ${target} (id, at, a, _version, _is_deleted) VALUES
          (1, ${at}, 'b', ${version}, 0), (2, ${at}, 'a', ${version}, 1), (3, ${at}, 'wrong', ${version}, 0),
          (4, ${at}, 'a', ${version}, 1), (11, ${at}, 'a', ${version}, 0), (12, ${at}, 'wrong', ${version}, 0)`);
        // A record of WAL, so that the next position is behind that version.
        await client.query(`SELECT pg_logical_emit_message(true, 'test', 'x')`);
      }
    },
    onProgress: ({ round, step, table }) => steps.push([round, step, table].filter(Boolean).join(' ')),
  });
  const [only] = result.tables;
  assert.deepEqual(found(only!), [
    '3/2024-01-01 00:00:00.5+00 different a',
    '4/2024-01-01 00:00:00.5+00 missing in ClickHouse',
    '12/2024-01-01 00:00:00.5+00 different a',
  ]);
  // 9 and 10 move for ever; 2 is on neither side.
  assert.equal(only!.moving, 2);
  assert.equal(only!.rounds, 5);
  assert.equal(only!.equal, 4 + 2);
  assert.equal(round, 5);
  assert.deepEqual(steps.slice(0, 4), [
    '1 taking a snapshot',
    '1 waiting for ClickHouse',
    '1 comparing public.t',
    '2 taking a snapshot',
  ]);

  const capped = await fixture.verify([table], { maxMoving: 3, maxRounds: 2 });
  assert.equal(capped.tables[0]!.moving, 2);
  assert.equal(capped.tables[0]!.movingForgotten, 1);
});

test('thousands of moving rows are looked up in pieces', async () => {
  await using fixture = await Fixture.create();
  const count = 2500;
  await fixture.db.client.query(`
    CREATE TABLE t (k text, n int, PRIMARY KEY (k, n));
    INSERT INTO t SELECT repeat('k', 300) || i, i FROM generate_series(1, ${count}) AS i`);
  const table = await fixture.target('public', 't', { k: 'String', n: 'Int32' });
  const target = `${fixture.database}.t`;
  const rows = `SELECT concat(repeat('k', 300), toString(number + 1)), number + 1`;
  let round = 0;
  const result = await fixture.verify([table], {
    async awaitPosition() {
      if (++round === 1)
        await fixture.query(
          `INSERT INTO ${target} (k, n, _version) ${rows}, ${versionAt(1n << 50n)} FROM numbers(${count})`,
        );
      else {
        await fixture.query(`TRUNCATE TABLE ${target}`);
        await fixture.query(
          `INSERT INTO ${target} (k, n) ${rows} FROM numbers(${count}) WHERE number != 1700`,
        );
      }
    },
  });
  const [only] = result.tables;
  assert.deepEqual(found(only!), [`${'k'.repeat(300)}1701/1701 missing in ClickHouse`]);
  assert.deepEqual([only!.equal, only!.moving, only!.rounds], [count - 1, 0, 4]);
});

test('by commit time, a row of after the snapshot is newer whatever its version says', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  await client.query(`
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);
    CREATE TABLE k (a int); INSERT INTO k VALUES (1), (2)`);
  const keyed = await fixture.target('public', 't', { id: 'Int32' });
  const keyless = await fixture.target('public', 'k', { a: 'Nullable(Int32)' });
  await fixture.query(`INSERT INTO ${fixture.database}.t (id) VALUES (1), (2), (3)`);
  await fixture.query(
    `INSERT INTO ${fixture.database}.k (a, _version) VALUES (1, ${versionAt(1n, 1n)}), (2, ${versionAt(1n, 2n)})`,
  );
  let round = 0;
  const options = {
    awaitPosition: async () => {
      if (round++ > 0) return;
      await client.query('DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (4); INSERT INTO k VALUES (1)');
      await fixture.query(`INSERT INTO ${fixture.database}.t (id, _version, _is_deleted, _committed_at)
        VALUES (2, ${versionAt(2n)}, 1, now64(6)), (4, ${versionAt(2n)}, 0, now64(6))`);
      await fixture.query(
        `INSERT INTO ${fixture.database}.k (a, _version, _committed_at) VALUES (1, ${versionAt(2n)}, now64(6))`,
      );
    },
  };
  const byTime = await fixture.verify([keyed, keyless], { ...options, newerBy: 'commit-time' });
  assert.deepEqual(byTime.tables.map(found), [[], []]);
  assert.deepEqual(
    byTime.tables.map(table => [table.rows, table.moving]),
    [
      [3, 0],
      [2, 1],
    ],
  );
});

test('a table without a key is a multiset', async () => {
  await using fixture = await Fixture.create();
  await fixture.db.client.query(`
    CREATE TABLE k (a int, b text, c float8);
    INSERT INTO k VALUES (1, 'x', 0), (1, 'x', 0), (1, NULL, 0), (NULL, NULL, NULL), (2, repeat('long', 10000), 1)`);
  const table = await fixture.target('public', 'k', {
    a: 'Nullable(Int32)',
    b: 'Nullable(String)',
    c: 'Nullable(Float64)',
  });
  const target = `${fixture.database}.k`;
  const rows = ["1, 'x', 0", "1, 'x', 0", '1, NULL, 0', 'NULL, NULL, NULL', "2, repeat('long', 10000), 1"];
  await fixture.query(
    `INSERT INTO ${target} (a, b, c, _version) VALUES ${rows.map((row, i) => `(${row}, ${versionAt(1n, BigInt(i))})`)}`,
  );
  // The same change delivered again, and one of later than the position.
  await fixture.query(
    `INSERT INTO ${target} (a, b, c, _version) VALUES (1, 'x', 0, ${versionAt(1n, 0n)}), (7, 'x', 0, ${versionAt(1n << 50n)})`,
  );
  const before = await fixture.verify([table]);
  assert.deepEqual(found(before.tables[0]!), []);
  assert.equal(before.tables[0]!.rows, 5);

  await fixture.query(`INSERT INTO ${target} (a, b, c, _version) VALUES (1, 'x', 0, ${versionAt(2n)})`);
  await fixture.db.client.query('INSERT INTO k VALUES (NULL, NULL, NULL)');
  const after = await fixture.verify([table]);
  assert.deepEqual(found(after.tables[0]!), ['1/x/0 only in ClickHouse', '// missing in ClickHouse']);
});

test('keys of all kinds sort alike on both sides', async () => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  await client.query('CREATE EXTENSION citext');
  const keys: Record<string, { type: string; clickhouse: string; value: string }> = {
    int8: { type: 'int8', clickhouse: 'Int64', value: '(i - 150)::int8 * i * i * 1000003' },
    text: { type: 'text', clickhouse: 'String', value: `chr(32 + (i * 7919) % 900) || '-' || i` },
    uuid: { type: 'uuid', clickhouse: 'UUID', value: 'md5(i::text)::uuid' },
    numeric: { type: 'numeric(20,3)', clickhouse: 'Decimal(20, 3)', value: '(i - 150) / 7.0' },
    timestamptz: {
      type: 'timestamptz',
      clickhouse: "DateTime64(6, 'UTC')",
      value: `timestamptz '1999-12-31 23:59:59.9999+00' + i * interval '50 us'`,
    },
    date: { type: 'date', clickhouse: 'Date32', value: `date '1999-12-01' + i` },
    float8: { type: 'float8', clickhouse: 'Float64', value: '(150 - i) / 3.0' },
    char: { type: 'char(5)', clickhouse: 'String', value: `chr(97 + i % 26) || i` },
    citext: { type: 'citext', clickhouse: 'String', value: `chr(65 + (i * 7) % 58) || i` },
    enum: {
      type: 'level',
      clickhouse: 'LowCardinality(String)',
      value: `(ARRAY['z','A','m'])[1 + i % 3]::level`,
    },
    bytea: { type: 'bytea', clickhouse: 'String', value: `decode(md5(i::text), 'hex')` },
    bool: { type: 'bool', clickhouse: 'Bool', value: 'i % 2 = 0' },
  };
  await client.query(`CREATE TYPE level AS ENUM ('z', 'A', 'm')`);
  const tables: VerifyTable[] = [];
  for (const [name, { type, clickhouse, value }] of Object.entries(keys)) {
    await client.query(`CREATE TABLE "k ${name}" (k ${type}, n int4, a text, PRIMARY KEY (k, n));
      INSERT INTO "k ${name}" SELECT ${value}, i, 'a' FROM generate_series(1, 300) AS i`);
    const table = await fixture.target('public', `k ${name}`, { k: clickhouse, n: 'Int32', a: 'String' });
    tables.push(table);
    // Through ClickHouse's own reading of PostgreSQL's text.
    const { rows } = await client.query(
      type === 'bytea'
        ? `SELECT encode(k, 'hex') AS k, n FROM "k ${name}"`
        : `SELECT textin(${type === 'char(5)' ? 'bpcharout(k)' : 'textout(k::text)'}) AS k, n FROM "k ${name}"`,
    );
    const column = type === 'bytea' ? 'unhex(k)' : 'k';
    const values = rows.map(
      row => `('${row.k.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replace('+00', '')}', ${row.n})`,
    );
    await fixture.query(
      `INSERT INTO ${fixture.database}.\`k ${name}\` (k, n, a) SELECT ${column}, n, 'a' FROM VALUES('k String, n Int32', ${values})`,
    );
  }
  const before = await fixture.verify(tables);
  assert.deepEqual(
    before.tables.map(found),
    tables.map(() => []),
  );
  assert.ok(before.tables.every(table => table.rows === 300));

  // The same rows once more as moving ones: they are looked up by key.
  for (const table of tables)
    await fixture.query(
      `INSERT INTO ${fixture.database}.\`${table.target.table}\` SELECT * REPLACE (if(n = 7, 'wrong', a) AS a, ${versionAt(1n << 50n)} AS _version)
       FROM ${fixture.database}.\`${table.target.table}\` WHERE n < 100`,
    );
  let round = 0;
  const after = await fixture.verify(tables, {
    maxRounds: 2,
    async awaitPosition() {
      if (++round < 2) return;
      // Now at rest: the same rows at a version below the position.
      for (const table of tables) {
        const name = `${fixture.database}.\`${table.target.table}\``;
        await fixture.query(`CREATE TABLE ${fixture.database}.rest AS ${name}`);
        await fixture.query(
          `INSERT INTO ${fixture.database}.rest SELECT * REPLACE (${versionAt(3n)} AS _version) FROM ${name} FINAL`,
        );
        await fixture.query(`EXCHANGE TABLES ${fixture.database}.rest AND ${name}`);
        await fixture.query(`DROP TABLE ${fixture.database}.rest SYNC`);
      }
    },
  });
  for (const [i, table] of after.tables.entries()) {
    assert.equal(table.rows, 300, tables[i]!.name);
    assert.equal(table.moving, 0);
    const differences = found(table);
    assert.equal(differences.length, 1, `${tables[i]!.name}: ${differences}`);
    assert.match(differences[0]!, /\/7 different a$/);
  }
});
