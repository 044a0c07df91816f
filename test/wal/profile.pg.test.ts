import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { walCdc } from '../support/command-line.ts';
import { pipelineOf, queryClickHouse } from '../support/command-pipeline.ts';
import { freshDatabase } from '../support/postgres.ts';

/** Of a user's profile; Altinity's operator has the first one in the profile that it writes. */
const profile: Record<string, string> = {
  do_not_merge_across_partitions_select_final: '1',
  final: '1',
  optimize_move_to_prewhere_if_final: '1',
  join_use_nulls: '1',
  use_query_cache: '1',
  query_cache_ttl: '600',
  limit: '3',
  additional_result_filter: '1 = 0',
  apply_deleted_mask: '0',
  max_partitions_per_insert_block: '1',
  data_type_default_nullable: '1',
  output_format_json_array_of_rows: '1',
  send_progress_in_http_headers: '1',
  async_insert: '1',
  wait_for_async_insert: '0',
  input_format_null_as_default: '1',
  date_time_overflow_behavior: 'saturate',
};

test('what the profile of the user says changes nothing', async () => {
  await using db = await freshDatabase();
  await using server = await withProfile(profile);
  const env = await pipelineOf(db, {
    WAL_CDC_CLICKHOUSE_URL: server.url,
    WAL_CDC_TABLES: 'public.*,pgapp.*',
    WAL_CDC_TABLEOPTIONS: JSON.stringify({
      'public.docs': { partitionBy: 'toYear(day)', onError: 'dead-letter' },
    }),
  });
  // As those of a role or a database in PostgreSQL.
  for (const setting of [
    'standard_conforming_strings = off',
    'default_transaction_read_only = on',
    'transaction_timeout = 1000',
  ])
    await db.client.query(`ALTER DATABASE ${db.name} SET ${setting}`);
  const run = async () => {
    const { code, stderr } = await walCdc(['run', '--until', 'current'], { env });
    assert.equal(code, 0, stderr);
  };
  await db.client.query(`
    CREATE TABLE docs (id int PRIMARY KEY, day date NOT NULL, v int NOT NULL, doc text);
    ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO docs SELECT n, '2025-06-01', 0, repeat('old', 2000) FROM generate_series(1, 20) n;
    CREATE SCHEMA pgapp;
    CREATE TABLE pgapp.t (id int PRIMARY KEY, v uuid);
    INSERT INTO pgapp.t SELECT n, gen_random_uuid() FROM generate_series(1, 1000) n`);
  await run();
  // To a partition that ClickHouse reads before the one with the old values, and a key that comes back.
  await db.client.query(`UPDATE docs SET day = '2001-06-01', doc = repeat('new', 2000) WHERE id <= 10`);
  await db.client.query(
    'DELETE FROM docs WHERE id = 11; DELETE FROM pgapp.t; INSERT INTO pgapp.t SELECT n FROM generate_series(1, 1000) n',
  );
  await db.client.query(`UPDATE docs SET day = '9999-01-01' WHERE id = 12`);
  await run();
  // What it does not carry is what ClickHouse has.
  await db.client.query('UPDATE docs SET v = 1 WHERE id <= 10');
  await db.client.query(`UPDATE docs SET day = '2002-01-01', v = 2 WHERE id = 12`);
  await run();

  const verified = await walCdc(['verify'], { env });
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  assert.match(verified.stdout, /^equal +pgapp\.t +1,000 rows$/m);
  assert.deepEqual(
    await queryClickHouse(
      `SELECT left(doc, 3) AS doc, v, count() AS n FROM ${db.name}.docs FINAL GROUP BY ALL ORDER BY v, doc`,
    ),
    [
      { doc: 'old', v: 0, n: '8' },
      { doc: 'new', v: 1, n: '10' },
      { doc: 'old', v: 2, n: '1' },
    ],
  );
});

/** The shared ClickHouse for a user with that profile: what a statement does not set itself is as it says. */
async function withProfile(settings: Record<string, string>) {
  const clickhouse = new URL((await sharedClickHouse()).url);
  const { url: origin } = splitAddress(clickhouse.href);
  const proxy = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url!, origin);
    for (const [name, value] of Object.entries(settings))
      if (!url.searchParams.has(name)) url.searchParams.set(name, value);
    const { method, headers } = incoming;
    incoming.pipe(
      request(url, { method, headers }, answer => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      }),
    );
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  return {
    url: Object.assign(new URL(clickhouse), { port: String(port) }).href,
    async [Symbol.asyncDispose]() {
      proxy.close();
      proxy.closeAllConnections();
    },
  };
}
