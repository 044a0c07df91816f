import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { RunningCommand, walCdc } from '../support/command-line.ts';
import { freshDatabase } from '../support/postgres.ts';

const rows = 3_000_000;
const limitMib = 400;

test(`a transaction of ${rows.toLocaleString('en')} rows passes through less than ${limitMib} MiB (M20)`, async () => {
  await using db = await freshDatabase();
  const clickhouse = await sharedClickHouse();
  await db.client.query(
    'CREATE TABLE t (id bigint PRIMARY KEY, a uuid, b text, c jsonb, d timestamptz, e numeric(12, 2))',
  );
  const flags = [
    ...['--mode', 'wal', '--pipeline', db.name, '--postgres', db.url],
    ...['--clickhouse', clickhouse.url, '--database', db.name],
  ];
  const run = ['run', ...flags, '--until', 'current', '--listen', '127.0.0.1:0'];
  const first = await walCdc(run);
  assert.equal(first.code, 0, first.stderr);
  await db.client.query(`
    INSERT INTO t SELECT g, gen_random_uuid(), 'event ' || g % 20, jsonb_build_object('page', md5(g::text), 'n', g,
           'agent', repeat('x', 80)), now(), g % 100000 / 7.0 FROM generate_series(1, ${rows}) g`);
  await using service = new RunningCommand(run);
  let peakMib = 0;
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
      peakMib = Math.max(peakMib, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  }, 200);
  const { code, stderr } = await service.ended;
  clearInterval(watch);
  assert.equal(code, 0, stderr);
  console.log(`peak resident memory ${peakMib.toFixed(0)} MiB`);
  const compared = await walCdc(['verify', ...flags]);
  assert.equal(compared.code, 0, compared.stdout + compared.stderr);
  assert.ok(peakMib > 0 && peakMib < limitMib, `${peakMib} MiB`);
});
