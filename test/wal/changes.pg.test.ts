import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';

const longText = (n: number) =>
  `(SELECT string_agg(md5(${n}::text || x), '') FROM generate_series(1, 400) x)`;

test('every kind of change, under each replica identity (M01, M02, M04, M05, M07, M09, M18, M21, M27)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE by_default (id bigint PRIMARY KEY, a text, big text);
    CREATE TABLE by_index (id int, code text NOT NULL, a text, big text);
    CREATE UNIQUE INDEX by_index_code ON by_index (code);
    ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
    CREATE TABLE by_full (id int PRIMARY KEY, a text, big text);
    ALTER TABLE by_full REPLICA IDENTITY FULL;
    CREATE TABLE full_unique (x int NOT NULL UNIQUE, big text);
    ALTER TABLE full_unique REPLICA IDENTITY FULL;
    CREATE TABLE two_keys (a int, b text, c numeric, PRIMARY KEY (b, a));
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
    INSERT INTO by_default SELECT g, 'a' || g, ${longText(1)} FROM generate_series(1, 20) g;
    INSERT INTO by_index SELECT g, 'c' || g, 'a' || g, ${longText(2)} FROM generate_series(1, 20) g;
    INSERT INTO by_full SELECT g, 'a' || g, ${longText(3)} FROM generate_series(1, 20) g;
    INSERT INTO full_unique SELECT g, ${longText(4)} FROM generate_series(1, 20) g;
    INSERT INTO two_keys SELECT g, 'b' || g, g / 3.0 FROM generate_series(1, 20) g;
    INSERT INTO parent SELECT g FROM generate_series(1, 5) g;
    INSERT INTO child SELECT g, 1 + g % 5 FROM generate_series(1, 50) g;`);
  await using replication = await startReplication(db);
  await replication.expectEqual();

  await db.client.query(`
    UPDATE by_default SET a = 'unchanged toast' WHERE id < 5;
    UPDATE by_default SET a = a WHERE id = 5;
    UPDATE by_default SET id = id + 100 WHERE id BETWEEN 6 AND 8;
    DELETE FROM by_default WHERE id = 9;
    UPDATE by_index SET a = 'unchanged toast' WHERE id < 5;
    UPDATE by_index SET code = 'moved' WHERE id = 6;
    DELETE FROM by_index WHERE id = 7;
    UPDATE by_full SET a = 'unchanged toast' WHERE id < 5;
    UPDATE by_full SET id = 200 WHERE id = 6;
    DELETE FROM by_full WHERE id = 7;
    UPDATE full_unique SET x = -x WHERE x < 4;
    DELETE FROM full_unique WHERE x = 10;
    UPDATE two_keys SET a = a + 100 WHERE a < 4;
    UPDATE two_keys SET c = NULL WHERE a = 5;
    UPDATE parent SET id = 50 WHERE id = 1;
    DELETE FROM parent WHERE id = 2;
    INSERT INTO two_keys VALUES (7, 'b7', 1) ON CONFLICT (b, a) DO UPDATE SET c = 77;`);
  await replication.expectEqual();

  await db.client.query(`
    BEGIN;
    DELETE FROM by_default WHERE id = 10;
    INSERT INTO by_default VALUES (10, 'again', ${longText(5)});
    UPDATE by_default SET a = 'and again' WHERE id = 10;
    UPDATE by_default SET id = 300 WHERE id = 10;
    UPDATE by_default SET a = 'moved' WHERE id = 300;
    INSERT INTO by_default VALUES (400, 'short lived', ${longText(6)});
    UPDATE by_default SET a = 'x' WHERE id = 400;
    DELETE FROM by_default WHERE id = 400;
    SAVEPOINT s;
    INSERT INTO by_default VALUES (500, 'rolled back', '');
    UPDATE by_default SET a = 'rolled back';
    ROLLBACK TO s;
    UPDATE two_keys SET c = 1 WHERE a = 6;
    COMMIT;`);
  await replication.expectEqual();
  await db.client.query(`BEGIN; INSERT INTO parent VALUES (900); ROLLBACK;`);
  await replication.expectEqual();
});

test('TRUNCATE empties what was there before it, in its place (M16, M17)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
    CREATE TABLE log (line text);
    INSERT INTO a SELECT generate_series(1, 1000); INSERT INTO b SELECT g, g FROM generate_series(1, 1000) g;
    INSERT INTO log SELECT 'line ' || g FROM generate_series(1, 100) g;`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query('TRUNCATE a CASCADE');
  await replication.expectEqual();
  await db.client.query(`
    BEGIN; INSERT INTO a VALUES (1), (2); TRUNCATE a, b RESTART IDENTITY; INSERT INTO a VALUES (2), (3); TRUNCATE log;
    INSERT INTO log VALUES ('first'), ('second'); COMMIT; INSERT INTO b VALUES (1, 3);`);
  await replication.expectEqual();
  const rows = await replication.clickhouse.query(`SELECT id FROM ${db.name}.a FINAL ORDER BY id`);
  assert.deepEqual(rows, [{ id: 2 }, { id: 3 }]);
});

test('a table without a key takes inserts, and stops with a name at the first update (M11, M12)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE log (line text, n int); ALTER TABLE log REPLICA IDENTITY FULL;
    INSERT INTO log SELECT 'same', 1 FROM generate_series(1, 500);
    CREATE TABLE other (id int PRIMARY KEY);`);
  await using replication = await startReplication(db);
  await db.client.query(`INSERT INTO log SELECT 'same', 1 FROM generate_series(1, 500)`);
  await replication.expectEqual();
  await db.client.query(`
    BEGIN; INSERT INTO log VALUES ('before', 2); UPDATE log SET n = 3 WHERE n = 2; COMMIT;
    INSERT INTO other VALUES (1); INSERT INTO log VALUES ('after', 9);`);
  await replication.expectEqual();
  const { tables } = replication.service.status();
  const log = tables.find(table => table.name === 'public.log')!;
  assert.equal(log.state, 'stopped');
  assert.equal(log.reason!.code, 'KEYLESS_CHANGE');
  assert.match(log.reason!.message, /public\.log/);
  assert.equal(tables.find(table => table.name === 'public.other')!.state, 'streaming');
  const [count] = await replication.clickhouse.query<{ n: string }>(
    `SELECT count() AS n FROM ${db.name}.log WHERE line = 'before'`,
  );
  assert.equal(count!.n, '1');
});

test('partitioned tables are one table, whatever moves between the partitions', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE orders (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE orders_eu PARTITION OF orders FOR VALUES IN ('eu');
    CREATE TABLE orders_rest (note text, region text NOT NULL, id int NOT NULL);
    ALTER TABLE orders ATTACH PARTITION orders_rest DEFAULT;
    INSERT INTO orders SELECT g, CASE WHEN g % 2 = 0 THEN 'eu' ELSE 'us' END, 'n' || g FROM generate_series(1, 2000) g;`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query(`
    UPDATE orders SET region = 'us' WHERE id <= 10 AND region = 'eu';
    DELETE FROM orders WHERE id > 1990; INSERT INTO orders VALUES (5000, 'asia', NULL);`);
  await replication.expectEqual();
  assert.deepEqual(
    replication.service.status().tables.map(table => table.name),
    ['public.orders'],
  );
});

test('quoted and odd names arrive as they are (I01)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE SCHEMA "We ird.Sch""ema";
    CREATE TABLE "We ird.Sch""ema"."select; drop table x;--" ("from" int PRIMARY KEY, "a\`b\\c" text, "ünï" text);
    INSERT INTO "We ird.Sch""ema"."select; drop table x;--" VALUES (1, 'x', 'y');`);
  await using replication = await startReplication(db);
  await db.client.query(`INSERT INTO "We ird.Sch""ema"."select; drop table x;--" VALUES (2, NULL, 'z')`);
  await replication.expectEqual();
});

test('row filters and column lists of a publication hold in copy and stream', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, visible bool NOT NULL, secret text, shown text);
    ALTER TABLE t REPLICA IDENTITY FULL; CREATE TABLE unpublished (id int PRIMARY KEY);
    INSERT INTO t SELECT g, g % 3 = 0, 's', 'v' || g FROM generate_series(1, 300) g;
    CREATE PUBLICATION mine FOR TABLE t WHERE (visible);`);
  await using replication = await startReplication(db, { settings: { 'postgres.publication': 'mine' } });
  await replication.expectEqual();
  await db.client.query('UPDATE t SET visible = NOT visible WHERE id < 30; DELETE FROM t WHERE id = 99');
  await replication.expectEqual();
  assert.deepEqual(
    replication.service.status().tables.map(table => table.name),
    ['public.t'],
  );
});

test('a stopped service goes on where it was, and rows written meanwhile arrive', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, g::text FROM generate_series(1, 100) g',
  );
  {
    await using replication = await startReplication(db);
    await replication.expectEqual();
    await replication.stop();
  }
  await db.client.query("UPDATE t SET v = 'while away' WHERE id < 50; DELETE FROM t WHERE id = 60");
  await using replication = await startReplication(db);
  await replication.expectEqual();
});
