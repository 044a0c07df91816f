import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CdcError } from '../../src/core/errors.ts';
import { connectClickHouse, splitAddress } from '../../src/service/clickhouse-address.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';

const meta = "_version UInt128, _is_deleted UInt8, _committed_at DateTime64(6, 'UTC')";

async function clickhouseWith(...statements: string[]) {
  const { clickhouse } = await connectClickHouse(splitAddress((await sharedClickHouse()).url));
  for (const sql of statements) await clickhouse.command(sql);
  await clickhouse.close();
}

test('a table that fits is used as it is, with types and columns of its own (D32)', async () => {
  await using db = await freshDatabase();
  await clickhouseWith(
    `CREATE DATABASE ${db.name}`,
    `CREATE TABLE ${db.name}.t (b Int64, a LowCardinality(String), extra String DEFAULT 'mine', ${meta})
       ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY (b)`,
  );
  await db.client.query(
    `CREATE TABLE t (a varchar NOT NULL, b int PRIMARY KEY); INSERT INTO t SELECT 'x' || g, g FROM generate_series(1, 50) g`,
  );
  await using replication = await startReplication(db);
  await db.client.query('UPDATE t SET a = $$y$$ WHERE b < 5; DELETE FROM t WHERE b = 7');
  await replication.expectEqual();
  const rows = await replication.clickhouse.query(`SELECT DISTINCT extra FROM ${db.name}.t FINAL`);
  assert.deepEqual(rows, [{ extra: 'mine' }]);
});

test('what does not fit is named, and the other tables run (C22, D33)', async () => {
  await using db = await freshDatabase();
  const table = (
    name: string,
    columns: string,
    rest = 'ReplacingMergeTree(_version, _is_deleted) ORDER BY id',
  ) => `CREATE TABLE ${db.name}.${name} (${columns}) ENGINE = ${rest}`;
  await clickhouseWith(
    `CREATE DATABASE ${db.name}`,
    table('engine', `id Int32, v Nullable(String), ${meta}`, 'MergeTree ORDER BY id'),
    table(
      'sorting',
      `id Int32, v Nullable(String), ${meta}`,
      'ReplacingMergeTree(_version, _is_deleted) ORDER BY (id, _version)',
    ),
    table(
      'expression',
      `id Int32, v Nullable(String), ${meta}`,
      'ReplacingMergeTree(_version, _is_deleted) ORDER BY intDiv(id, 10)',
    ),
    table(
      'mixed',
      `id Int32, v Nullable(String), ${meta}`,
      'ReplacingMergeTree(_version, _is_deleted) ORDER BY (intDiv(id, 10), id)',
    ),
    table('missing', `id Int32, ${meta}`),
    table('narrow', `id Int16, v Nullable(String), ${meta}`),
    table('strict', `id Int32, v String, ${meta}`),
    table(
      'meta',
      'id Int32, v Nullable(String), _version UInt64, _is_deleted UInt8',
      'ReplacingMergeTree(_version, _is_deleted) ORDER BY id',
    ),
  );
  const expected: Record<string, RegExp> = {
    engine: /engine is MergeTree/,
    sorting: /ORDER BY is \(id, _version\), \(id\) is needed/,
    expression: /ORDER BY is \(intDiv\(id, 10\)\), \(id\) is needed/,
    mixed: /ORDER BY is \(intDiv\(id, 10\), id\), \(id\) is needed/,
    missing: /column "v" is missing, Nullable\(String\) is needed/,
    narrow: /column "id" is int4.*Int16/,
    strict: /column "v" is String, but may be NULL/,
    meta: /column "_version" is UInt64, UInt128 is needed/,
  };
  for (const name of [...Object.keys(expected), 'good']) {
    await db.client.query(
      `CREATE TABLE ${name} (id int PRIMARY KEY, v text); INSERT INTO ${name} VALUES (1, 'a')`,
    );
  }
  await using replication = await startReplication(db);
  await replication.expectEqual();
  for (const { name, state, reason } of replication.service.status().tables) {
    const pattern = expected[name.replace('public.', '')];
    assert.equal(state, pattern ? 'stopped' : 'streaming', name);
    if (pattern) assert.match(reason!.message, pattern);
  }
});

test('a table that ClickHouse does not make as it is wanted stops alone, and says what to correct', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE dated (id int PRIMARY KEY, day date); INSERT INTO dated VALUES (1, now());
    CREATE TABLE misspelt (id int PRIMARY KEY); INSERT INTO misspelt VALUES (1);
    CREATE TABLE good (id int PRIMARY KEY); INSERT INTO good VALUES (1)`);
  const tableOptions = JSON.stringify({
    'public.dated': { partitionBy: 'toYYYYMM(day)' },
    'public.misspelt': { partitionBy: 'toYYYMM(id)' },
  });
  await using replication = await startReplication(db, { settings: { tableOptions } });
  await replication.expectEqual();
  const { tables } = replication.service.status();
  const reasons = Object.fromEntries(tables.map(({ name, reason }) => [name, reason]));
  assert.equal(reasons['public.good'], undefined);
  for (const [name, message] of [
    ['dated', /ClickHouse does not make .*\.dated: .*nullable columns/],
    ['misspelt', /ClickHouse does not make .*\.misspelt: .*toYYYMM/],
  ] as const) {
    const reason = reasons[`public.${name}`]!;
    assert.equal(reason.code, 'TABLE_MISMATCH');
    assert.match(reason.message, message);
    assert.match(reason.hint, /partitionBy, orderBy or types/);
  }
});

test('rows that no checkpoint explains are replaced by the copy; kept only when that is asked for', async () => {
  await using db = await freshDatabase();
  await clickhouseWith(
    `CREATE DATABASE ${db.name}`,
    `CREATE TABLE ${db.name}.t (id Int32, v Nullable(String), ${meta}) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id`,
    `INSERT INTO ${db.name}.t (id, v) SELECT number, 'stray' FROM numbers(1000)`,
    `CREATE TABLE ${db.name}.log (v Nullable(String), ${meta}) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY _version`,
    `INSERT INTO ${db.name}.log (v) VALUES ('stray')`,
  );
  await db.client.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(500, 600) g;
    CREATE TABLE log (v text); INSERT INTO log VALUES ('one')`);
  await assert.rejects(startReplication(db, { settings: { snapshot: 'none' } }), (error: unknown) => {
    assert.ok(error instanceof CdcError);
    assert.equal(error.code, 'TABLE_NOT_EMPTY');
    assert.match(error.message, new RegExp(`${db.name}\\.(t|log)`));
    return true;
  });
  await using replication = await startReplication(db);
  await replication.expectEqual();
});

test('without a snapshot only changes arrive, beside rows that are kept', async () => {
  await using db = await freshDatabase();
  await clickhouseWith(
    `CREATE DATABASE ${db.name}`,
    `CREATE TABLE ${db.name}.t (id Int32, v Nullable(String), ${meta}) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id`,
    `INSERT INTO ${db.name}.t (id, v) SELECT number + 1, 'v' FROM numbers(100)`,
  );
  await db.client.query(
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 100) g",
  );
  await using replication = await startReplication(db, { settings: { snapshot: 'none' }, keepRows: true });
  await db.client.query(
    "UPDATE t SET v = 'w' WHERE id < 10; DELETE FROM t WHERE id > 95; INSERT INTO t VALUES (500, 'new')",
  );
  await replication.expectEqual();
  const [row] = await replication.clickhouse.query<{ n: string }>(
    `SELECT count() AS n FROM ${db.name}.t FINAL WHERE _version = 0`,
  );
  assert.equal(row!.n, String(95 - 9));
});
