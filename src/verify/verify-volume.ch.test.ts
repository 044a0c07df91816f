import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fixture } from './fixture.ts';

const count = Number(process.env.WAL_CDC_VERIFY_ROWS ?? 300_000);

test(`${count.toLocaleString('en')} rows in bounded memory`, async t => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  const columns = `user_id uuid NOT NULL, event_type text, payload jsonb, amount numeric(12,2), occurred_at timestamptz,
    flag bool, score float8, note text`;
  const value = `md5(i::text)::uuid, 'type ' || i % 7, jsonb_build_object('i', i, 'text', repeat('x', i % 100)), i / 100.0,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1.000001 s', i % 2 = 0, i / 8.0, CASE WHEN i % 3 = 0 THEN 'ä' || i END`;
  await client.query(`CREATE TABLE by_id (id bigint PRIMARY KEY, ${columns});
    INSERT INTO by_id SELECT i, ${value} FROM generate_series(1, ${count}) AS i;
    CREATE TABLE by_uuid (LIKE by_id, PRIMARY KEY (user_id)); INSERT INTO by_uuid SELECT * FROM by_id;
    CREATE TABLE keyless (LIKE by_id); INSERT INTO keyless SELECT * FROM by_id;
    CREATE TABLE lost (LIKE by_id INCLUDING INDEXES); INSERT INTO lost SELECT * FROM by_id; ANALYZE`);
  const types = {
    id: 'Int64',
    user_id: 'UUID',
    event_type: 'Nullable(String)',
    payload: 'Nullable(String)',
    amount: 'Nullable(Decimal(12, 2))',
    occurred_at: "Nullable(DateTime64(6, 'UTC'))",
    flag: 'Nullable(Bool)',
    score: 'Nullable(Float64)',
    note: 'Nullable(String)',
  };
  const tables = [];
  for (const name of ['by_id', 'by_uuid', 'keyless', 'lost']) {
    tables.push(await fixture.target('public', name, types));
    if (name === 'lost') continue;
    await fixture.query(`INSERT INTO ${fixture.database}.${name}
      SELECT number + 1 AS i,
        toUUID(concat(substring(h, 1, 8), '-', substring(h, 9, 4), '-', substring(h, 13, 4), '-', substring(h, 17, 4), '-', substring(h, 21))),
        concat('type ', toString(i % 7)), concat('{"i": ', toString(i), ', "text": "', repeat('x', i % 100), '"}'),
        toDecimal64(i, 2) / 100, addMicroseconds(toDateTime64('2024-01-01 00:00:00', 6, 'UTC'), i * 1000001), i % 2 = 0, i / 8,
        if(i % 3 = 0, concat('ä', toString(i)), NULL), toUInt128(number), 0, 0
      FROM (SELECT number, lower(hex(MD5(toString(number + 1)))) AS h FROM numbers(${count}))`);
  }
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss() - before);
  }, 10);
  const result = await fixture.verify(tables);
  clearInterval(timer);
  for (const table of result.tables) {
    assert.equal(table.error, undefined);
    assert.equal(table.rows, count);
    assert.equal(table.equal, table.name === 'lost' ? 0 : count);
    const rate = Math.round(table.rows / table.seconds).toLocaleString('en');
    t.diagnostic(`${table.name}: ${table.seconds.toFixed(2)} s, ${rate} rows/s`);
  }
  assert.equal(result.tables[3]!.differing.length, 100);
  t.diagnostic(`resident memory rose by ${Math.round(most / 2 ** 20)} MiB at most`);
  assert.ok(most < 256 * 2 ** 20, `resident memory rose by ${most} bytes`);
});
