import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { FaultyLine } from '../../../test/chaos/faulty-line.ts';
import { sharedClickHouse } from '../../../test/support/clickhouse.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { splitAddress } from '../../service/clickhouse-address.ts';
import { ClickHouse } from './client.ts';

/** An insert that takes seconds after its body has arrived. */
const slowInsert = (table: string) =>
  `INSERT INTO ${table} SELECT n + sleepEachRow(0.7) FROM input('n UInt64') SETTINGS max_block_size = 1 FORMAT RowBinary`;
const body = Buffer.alloc(8 * 4, 1);

async function running(clickhouse: ClickHouse): Promise<number> {
  const [row] = await clickhouse.query<{ n: string }>(
    `SELECT toString(count()) AS n FROM system.processes WHERE query LIKE 'INSERT INTO late.%'`,
  );
  return Number(row!.n);
}

test('an insert whose answer was lost is over before the next statement begins', async () => {
  const server = await sharedClickHouse();
  await using line = await FaultyLine.start(server.port);
  const direct = new ClickHouse(splitAddress(server.url));
  const url = new URL(server.url);
  url.port = String(line.port);
  const client = new ClickHouse(splitAddress(url.href));
  try {
    await direct.command('CREATE DATABASE late');
    await direct.command('CREATE TABLE late.t (n UInt64) ENGINE = MergeTree ORDER BY n');
    const inserted = client.insert(slowInsert('late.t'), body);
    inserted.catch(() => {});
    await waitFor(async () => (await running(direct)) === 1, { what: 'the insert to run' });
    line.break();
    await assert.rejects(inserted, { code: 'SINK_UNREACHABLE' });
    assert.equal(await running(direct), 1);
    await client.command('DELETE FROM late.t WHERE 1');
    assert.equal(await running(direct), 0);
    const [row] = await direct.query<{ n: string }>('SELECT toString(count()) AS n FROM late.t');
    assert.equal(row!.n, '0');
  } finally {
    await client.close();
    await direct.close();
  }
});

test('a page of a proxy is no answer, whatever its status', async () => {
  const page = createServer((incoming, outgoing) => {
    incoming.resume().once('end', () => outgoing.end('<html>back soon</html>'));
  }).listen(0, '127.0.0.1');
  await once(page, 'listening');
  const { port } = page.address() as AddressInfo;
  const clickhouse = new ClickHouse({ url: `http://127.0.0.1:${port}`, user: 'me', password: '' });
  try {
    for (const attempt of [
      () => clickhouse.insert('INSERT INTO t FORMAT RowBinary', Buffer.alloc(8)),
      () => clickhouse.command('CREATE TABLE t (n UInt64) ENGINE = Memory'),
      () => clickhouse.query('SELECT 1'),
      () => clickhouse.bytes('SELECT 1 FORMAT RowBinary'),
    ])
      await assert.rejects(attempt, { code: 'SINK_UNREACHABLE', message: /something else does/ });
  } finally {
    await clickhouse.close();
    page.close();
  }
});

test('inserts of a process that is gone are ended, those of others are not', async () => {
  const server = await sharedClickHouse();
  const [mine, others] = ['mine', 'mine2'].map(owner => new ClickHouse(splitAddress(server.url), owner));
  const admin = new ClickHouse(splitAddress(server.url));
  const successor = new ClickHouse(splitAddress(server.url), 'mine');
  try {
    await admin.command('CREATE TABLE late.u (n UInt64) ENGINE = MergeTree ORDER BY n');
    const ended = mine!.insert(slowInsert('late.u'), body);
    ended.catch(() => {});
    const kept = others!.insert(slowInsert('late.u'), body);
    await waitFor(async () => (await running(admin)) === 2, { what: 'both inserts to run' });
    await successor.endLeftovers();
    assert.equal(await running(admin), 1);
    await assert.rejects(ended);
    await kept;
  } finally {
    for (const client of [mine!, others!, admin, successor]) await client.close();
  }
});
