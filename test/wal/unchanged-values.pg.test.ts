import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/demo/random.ts';
import { freshDatabase } from '../support/postgres.ts';
import { type Replication, startReplication } from '../support/replication.ts';
import { seed } from '../support/seed.ts';

/** 12 kB that compress badly: stored out of line. */
const largeText = `(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 400))`;

test('rows that change in turn keep their large values, from batch to batch (M02)', async t => {
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE docs (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, doc text, other text);
    ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN other SET STORAGE EXTERNAL;
    INSERT INTO docs SELECT id, 0, ${largeText}, ${largeText} FROM generate_series(1, 8) id`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  const id = () => 1 + random.below(12);
  const changes: (() => string)[] = [
    () => `UPDATE docs SET v = v + 1 WHERE id = ${id()}`,
    () => `UPDATE docs SET v = v + 1 WHERE id <= ${id()}`,
    () => `UPDATE docs SET doc = ${largeText} || id WHERE id = ${id()}`,
    () => `UPDATE docs SET other = NULL, v = v + 1 WHERE id = ${id()}`,
    () => `UPDATE docs SET doc = 'short', other = ${largeText} WHERE id = ${id()}`,
    () => {
      const free = id();
      return `UPDATE docs SET id = ${free} WHERE id = ${id()} AND NOT EXISTS (SELECT FROM docs WHERE id = ${free})`;
    },
    () => `DELETE FROM docs WHERE id = ${id()}`,
    () => `INSERT INTO docs VALUES (${id()}, 1, ${largeText}, 'x') ON CONFLICT DO NOTHING`,
    () => `INSERT INTO docs VALUES (${id()}, 2, 'x', ${largeText}) ON CONFLICT DO NOTHING`,
    () =>
      random.below(10) > 0
        ? `UPDATE docs SET v = -v`
        : `TRUNCATE docs; INSERT INTO docs SELECT id, 3, ${largeText}, 'y' FROM generate_series(3, 9) id`,
  ];
  for (let round = 0; round < 150; round++) {
    const count = 1 + random.below(2);
    for (let i = 0; i < count; i++) await db.client.query(random.pick(changes)());
    if (random.below(3) > 0) await replication.caughtUp();
    if (round % 10 === 9) await replication.expectEqual();
  }
});

test('a row that is updated again and again is looked up once', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE hot (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, doc text);
    ALTER TABLE hot ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO hot SELECT id, 0, ${largeText} FROM generate_series(1, 3) id`);
  await using replication = await startReplication(db);
  await replication.caughtUp();
  // A first update finds out how late the source is; later ones can trust what ClickHouse has.
  for (let i = 0; i < 2; i++) {
    await db.client.query('UPDATE hot SET v = v + 1');
    await replication.caughtUp();
  }
  const before = await selects(replication);
  for (let i = 0; i < 20; i++) {
    await db.client.query(`UPDATE hot SET v = v + 1 WHERE id = ${1 + (i % 3)}`);
    await replication.caughtUp();
  }
  // One is the question itself; an engine may count it before or after it has run.
  assert.ok((await selects(replication)) - before <= 3);
  await replication.expectEqual();
});

async function selects({ clickhouse }: Replication): Promise<number> {
  const [row] = await clickhouse.query<{ value: string }>(
    `SELECT toString(value) AS value FROM system.events WHERE event = 'SelectQuery'`,
  );
  return Number(row!.value);
}

test('a value is looked up that is larger than what is looked up at once', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE docs (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, doc bytea);
    ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO docs SELECT id, 0, convert_to(repeat('0123456789abcdef', 70 << 16), 'UTF8') FROM generate_series(1, 1) id`);
  await using first = await startReplication(db);
  await first.expectEqual();
  await first.stop();
  // Nothing of it is remembered by then.
  await db.client.query('UPDATE docs SET v = 1');
  await using second = await startReplication(db);
  await second.expectEqual();
});

test('a column whose storage lets values be stored out of line only since later keeps them', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE docs (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, doc text);
    ALTER TABLE docs ALTER COLUMN doc SET STORAGE PLAIN;
    INSERT INTO docs VALUES (1, 0, 'short'), (2, 0, 'short')`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query('ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL');
  await db.client.query(`UPDATE docs SET doc = ${largeText} WHERE id = 1`);
  await db.client.query('UPDATE docs SET v = v + 1');
  await replication.expectEqual();
  await db.client.query('UPDATE docs SET id = id + 10');
  await replication.expectEqual();
  assert.equal(replication.service.status().tables[0]!.state, 'streaming');
});
