import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { avroConverters, debeziumDefaults } from '../support/kafka/platform-profile.ts';
import { sharedRegistry } from '../support/kafka/shared-kafka.ts';
import { freshDatabase } from '../support/postgres.ts';

const schemaSql = `
  CREATE TABLE docs (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, price numeric(12,2), at timestamptz DEFAULT now(), doc text);
  ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL;
  CREATE TABLE full_identity (a int, b text, v text, PRIMARY KEY (a, b));
  ALTER TABLE full_identity REPLICA IDENTITY FULL;
  CREATE TABLE parted (id int, region int, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
  CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0);
  CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
  CREATE TABLE log_lines (who int NOT NULL, line text);
  CREATE TABLE "We ird.Tab""le" ("Größe" int PRIMARY KEY, "select" text);
  INSERT INTO docs SELECT n, n, n / 7.0, now(), repeat(md5(n::text), 100) FROM generate_series(1, 200) n;
  INSERT INTO full_identity SELECT n, 'k' || n, 'v' FROM generate_series(1, 50) n;
  INSERT INTO parted SELECT n, n % 2, 'seed' FROM generate_series(1, 50) n;
  INSERT INTO log_lines SELECT n, 'before' FROM generate_series(1, 30) n;`;

/** The connector's snapshot reads partitions as tables of their own, which then get no changes. */
const leavesOut = { exclude: 'public.parted_*' };

const changesSql = [
  `INSERT INTO docs SELECT n, 0, 1.5, now(), repeat('x', 3000) FROM generate_series(201, 260) n`,
  'UPDATE docs SET v = v + 1 WHERE id % 2 = 0',
  'UPDATE docs SET id = id + 1000 WHERE id <= 20',
  'UPDATE docs SET v = -1, price = NULL WHERE id > 1000',
  'DELETE FROM docs WHERE id BETWEEN 100 AND 120',
  `BEGIN; DELETE FROM docs WHERE id = 130; INSERT INTO docs (id, doc) VALUES (130, 'again'); COMMIT`,
  `BEGIN; UPDATE docs SET id = 5001 WHERE id = 131; UPDATE docs SET id = 131 WHERE id = 132; UPDATE docs SET id = 132 WHERE id = 5001; COMMIT`,
  `BEGIN; INSERT INTO docs (id) VALUES (7000); SAVEPOINT s; INSERT INTO docs (id) VALUES (7001); ROLLBACK TO s; COMMIT`,
  `INSERT INTO docs (id, v) VALUES (201, 5), (7002, 5) ON CONFLICT (id) DO UPDATE SET v = excluded.v`,
  `UPDATE docs SET doc = '__debezium_unavailable_value' WHERE id = 7002`,
  `INSERT INTO docs (id, doc) VALUES (7003, '__debezium_unavailable_value')`,
  `UPDATE full_identity SET v = 'changed' WHERE a < 10`,
  `UPDATE full_identity SET b = 'moved' WHERE a BETWEEN 10 AND 15`,
  'DELETE FROM full_identity WHERE a > 40',
  'UPDATE parted SET region = 1 - region WHERE id < 10',
  `INSERT INTO log_lines SELECT n, 'after' FROM generate_series(1, 20) n`,
  `INSERT INTO log_lines SELECT 1, 'same' FROM generate_series(1, 5)`,
  `INSERT INTO "We ird.Tab""le" VALUES (1, 'ä'), (2, E'\\\\ \\t "')`,
  `SELECT pg_logical_emit_message(true, 'any', 'text')`,
];

test('every kind of change comes through Debezium as it comes from the slot', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query(schemaSql);
  await using replication = await startCdcReplication(db, { settings: leavesOut });
  await replication.expectEqual();
  for (const sql of changesSql) await db.client.query(sql);
  await replication.expectEqual();
  await db.client.query(`BEGIN; TRUNCATE docs, log_lines; INSERT INTO docs (id) VALUES (1); COMMIT`);
  await db.client.query(`INSERT INTO log_lines VALUES (9, 'new')`);
  await replication.expectEqual();
  await db.client.query(`ALTER TABLE docs ADD COLUMN extra text DEFAULT 'x', ADD COLUMN n int`);
  await db.client.query(`INSERT INTO docs (id, extra, n) VALUES (2, 'y', 3)`);
  await db.client.query(`UPDATE docs SET n = 1 WHERE id = 1`);
  await replication.expectEqual();
  assert.equal(replication.service.status().deadLetters, 0);
});

test("Debezium's defaults, with schemas in messages, give the same tables", {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query(schemaSql);
  await using replication = await startCdcReplication(db, {
    connector: debeziumDefaults,
    settings: leavesOut,
  });
  for (const sql of changesSql) await db.client.query(sql);
  await replication.expectEqual();
});

test('without a catalog the types come from the schemas in the messages', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL, price numeric(12,2), day date, at timestamptz, flag bool, tags text[]);
    INSERT INTO t SELECT n, 'n' || n, n / 3.0, '2026-01-02', '2026-01-02 03:04:05.678901+00', true, '{a,b}' FROM generate_series(1, 10) n`);
  await using replication = await startCdcReplication(db, {
    connector: debeziumDefaults,
    withoutCatalog: true,
  });
  await db.client.query(`UPDATE t SET price = NULL WHERE id = 1; DELETE FROM t WHERE id = 2`);
  await replication.expectEqual();
});

test('Avro, with a registry, gives the same tables', { skip: withoutKafka }, async () => {
  await using db = await freshDatabase();
  const registry = await sharedRegistry();
  await db.client.query(schemaSql);
  await using replication = await startCdcReplication(db, {
    connector: source => ({ ...debeziumDefaults(source), ...avroConverters(registry.nativeUrl) }),
    // Avro knows no such names: the connector writes others.
    settings: { exclude: ['public.parted_*', 'public."We ird.Tab""le"'], 'kafka.registry': registry.url },
  });
  for (const sql of changesSql) await db.client.query(sql);
  await replication.expectEqual();
});
