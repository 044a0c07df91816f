import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { differing, letters, setAside, shown } from './letters.ts';

const largeText = `(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 400))`;

test('a row that does not fit is set aside, from the copy and from the stream; all others arrive (T15)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, d date, n int);
    INSERT INTO t SELECT g, CASE WHEN g % 100 = 0 THEN '9999-12-31'::date ELSE '2024-01-01' END, 0 FROM generate_series(1, 1000) g;
    CREATE TABLE log (d date); INSERT INTO log VALUES ('2024-01-01'), ('infinity'), ('2024-01-02');
    CREATE TABLE strict (id int PRIMARY KEY, d date)`);
  await using replication = await startReplication(db, setAside('public.t', 'public.log'));
  await replication.caughtUp();
  assert.deepEqual(await shown(replication, 'SELECT count() AS n FROM t FINAL'), [{ n: '990' }]);
  assert.deepEqual(await shown(replication, 'SELECT count() AS n FROM log FINAL'), [{ n: '2' }]);
  await db.client.query(`
    INSERT INTO t SELECT g, CASE WHEN g = 1050 THEN 'infinity'::date ELSE '2024-01-01' END, 1 FROM generate_series(1001, 1100) g;
    UPDATE t SET d = '9999-12-31', n = 2 WHERE id = 7;
    DELETE FROM t WHERE id = 8;
    INSERT INTO log VALUES ('2024-01-03'), ('9999-12-31');
    INSERT INTO strict VALUES (1, '2024-01-01'), (2, '9999-12-31')`);
  await replication.caughtUp();
  assert.deepEqual(await shown(replication, 'SELECT count() AS rows, countIf(n = 1) AS new FROM t FINAL'), [
    { rows: '1088', new: '99' },
  ]);
  assert.deepEqual(await shown(replication, 'SELECT d::String AS d FROM log FINAL ORDER BY d'), [
    { d: '2024-01-01' },
    { d: '2024-01-02' },
    { d: '2024-01-03' },
  ]);
  const found = await letters(replication);
  assert.equal(found.length, 14);
  const streamed = found.find(letter => letter.op === 'update')!;
  assert.equal(streamed.key, '{"id":"7"}');
  assert.equal(streamed.code, 'VALUE_INVALID');
  assert.match(streamed.reason, /column "d" \(Date32\): date 9999-12-31 is outside/);
  assert.match(streamed.hint, /onInvalid.*dead-letters replay --table public\.t/);
  assert.match(streamed.position, /^[0-9A-F]+\/[0-9A-F]+$/);
  const { tables, deadLetters } = replication.service.status();
  const open = Object.fromEntries(
    tables.map(table => [table.name, [table.state, table.deadLetters, table.rows]]),
  );
  assert.deepEqual(open, {
    'public.t': ['streaming', 12, 100],
    'public.log': ['streaming', 2, 1],
    // Without the setting a table stops as it always did.
    'public.strict': ['stopped', undefined, 1],
  });
  assert.equal(deadLetters, 14);
  const metrics = await replication.metrics.registry.metrics();
  assert.match(metrics, /wal_cdc_dead_letters_total\{table="public\.t"\} 12\n/);
  assert.match(metrics, /wal_cdc_rows_total\{table="public\.t",op="copy"\} 990\n/);
  assert.match(metrics, /wal_cdc_rows_total\{table="public\.t",op="insert"\} 99\n/);

  // Good ones supersede them by their versions.
  await db.client.query(`
    UPDATE t SET d = '2024-06-01' WHERE d > '2300-01-01';
    DELETE FROM t WHERE id = 1050;
    DROP TABLE log, strict`);
  await replication.caughtUp();
  assert.deepEqual(await shown(replication, `SELECT count() AS n FROM t FINAL WHERE d = '2024-06-01'`), [
    { n: '11' },
  ]);
});

test('unchanged values of a row in a dead letter come from there (M07)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, a int, b date, doc text);
    ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO t VALUES (1, 0, '2024-01-01', ${largeText}), (2, 0, '2024-01-01', ${largeText}), (3, 0, '9999-12-31', ${largeText})`);
  await using before = await startReplication(db, setAside('public.t'));
  const bad = `'9999-12-31'`;
  const good = `'2024-01-01'`;
  // From here on what ClickHouse has is trusted, and the source is not asked.
  await before.caughtUp();
  await db.client.query('UPDATE t SET a = -1 WHERE id IN (1, 2)');
  await before.caughtUp();
  await db.client.query(
    `INSERT INTO t VALUES (4, 0, ${bad}, ${largeText}), (5, 0, ${bad}, ${largeText}), (6, 0, ${bad}, ${largeText})`,
  );
  await db.client.query(`UPDATE t SET b = ${bad}, doc = ${largeText} WHERE id = 1`);
  await db.client.query(`UPDATE t SET b = ${bad} WHERE id = 2`);
  await before.caughtUp();
  const statements = [
    // One transaction: the letter was not there yet when the look-ups began.
    `INSERT INTO t VALUES (7, 0, ${bad}, ${largeText}); UPDATE t SET a = 1, b = ${good} WHERE id = 7; UPDATE t SET a = 2 WHERE id = 7`,
    `UPDATE t SET a = 1, b = ${good} WHERE id IN (1, 2, 3, 4)`,
    // Letters upon letters.
    `UPDATE t SET a = 1 WHERE id IN (5, 6)`,
    // Another key, with and without a value that fits.
    `UPDATE t SET id = 50 WHERE id = 5`,
    `UPDATE t SET id = 60, b = ${good} WHERE id = 6`,
  ];
  for (const sql of statements) await db.client.query(sql);
  assert.deepEqual(await differing(before), ['50']);
  // A good row is newer than the letter of its key.
  await db.client.query(`UPDATE t SET doc = ${largeText} WHERE id = 1`);
  await before.caughtUp();
  await db.client.query('UPDATE t SET a = 2 WHERE id = 1');
  assert.deepEqual(await differing(before), ['50']);
  await before.stop();

  await using after = await startReplication(db, setAside('public.t'));
  await db.client.query(`UPDATE t SET a = 3, b = ${good} WHERE id = 50`);
  await after.expectEqual();
});

test('a large value that does not fit goes from letter to letter (T27)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, a int, d date, list text[]);
    ALTER TABLE t ALTER COLUMN list SET STORAGE EXTERNAL;
    INSERT INTO t VALUES (1, 0, '2024-01-01', ARRAY[ARRAY[${largeText}, 'x'], ARRAY['y', 'z']]), (2, 0, '2024-01-01', '{}')`);
  await using replication = await startReplication(db, setAside('public.t'));
  await replication.caughtUp();
  await db.client.query('UPDATE t SET a = 1');
  await db.client.query(`UPDATE t SET id = 3, a = 2 WHERE id = 1`);
  assert.deepEqual(await differing(replication), ['3']);
  const found = (await letters(replication)).filter(letter => letter.op !== 'copy');
  assert.deepEqual(
    found.map(letter => [letter.key, letter.change.length > 10_000]),
    [
      ['{"id":"1"}', true],
      ['{"id":"3"}', true],
    ],
  );
  await db.client.query(`UPDATE t SET list = ARRAY[list[1][1]] WHERE id = 3`);
  await replication.expectEqual();
});

test('a key that does not fit: nothing of its row is written, all of it is kept', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (d date PRIMARY KEY, a int, doc text);
    ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO t VALUES ('2024-01-01', 1, ${largeText}), ('infinity', 1, ${largeText})`);
  await using replication = await startReplication(db, setAside('public.t'));
  await replication.caughtUp();
  await db.client.query(`UPDATE t SET a = 2`);
  await db.client.query(`UPDATE t SET d = '9999-12-31' WHERE d = '2024-01-01'`);
  await replication.caughtUp();
  assert.deepEqual(await shown(replication, 'SELECT count() AS rows FROM t FINAL'), [{ rows: '0' }]);
  await db.client.query(
    `UPDATE t SET d = '2024-02-02' WHERE d = '9999-12-31'; DELETE FROM t WHERE d = 'infinity'`,
  );
  await replication.expectEqual();
  const found = await letters(replication);
  assert.deepEqual(
    found.map(letter => [letter.op, letter.key]),
    [
      ['copy', '{"d":"infinity"}'],
      ['update', '{"d":"infinity"}'],
      ['update', '{"d":"9999-12-31"}'],
      ['update', '{"d":"2024-02-02"}'],
      ['delete', '{"d":"infinity"}'],
    ],
  );
});
