import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { RunningCommand, walCdc } from '../support/command-line.ts';
import { connect, freshDatabase, startTestPostgres } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import {
  expectedUserEvents,
  expectSameRows,
  readUserEvents,
  type UserEventRow,
} from '../support/user-events.ts';
import { waitFor } from '../support/wait-for.ts';

function into(url: string, settings: Record<string, string> = {}) {
  return {
    WAL_CDC_SYNTHETIC_INTO: 'postgres',
    WAL_CDC_POSTGRES_URL: url,
    WAL_CDC_LOG_FORMAT: 'json',
    ...settings,
  };
}

type Client = Awaited<ReturnType<typeof connect>>;

async function readPostgres(client: Client): Promise<UserEventRow[]> {
  const { rows } = await client.query({
    text: `SELECT id::text, user_id::text, event_type, payload::text, amount::text,
                  to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')
             FROM public.user_events ORDER BY user_events.id`,
    rowMode: 'array',
  });
  return rows as UserEventRow[];
}

async function countEvents(client: Client): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM public.user_events',
  );
  return rows[0]!.count;
}

test('generated rows pass through PostgreSQL and mode wal, and arrive as they were generated', async () => {
  await using db = await freshDatabase();
  const env = into(db.url, { WAL_CDC_POSTGRES_PUBLICATION: 'events', WAL_CDC_SYNTHETIC_UPDATES: '0.3' });
  const run = (...args: string[]) => walCdc(['run', ...args], { env });
  const first = await run('--rate', '0', '--until', '7000');
  assert.equal(first.code, 0, first.stderr);
  assert.doesNotMatch(first.stderr, /Warning/);

  await using replication = await startReplication(db, { settings: { 'postgres.publication': 'events' } });
  await replication.caughtUp();
  {
    await using load = new RunningCommand(['run', '--rate', '4000'], { env });
    await load.prints(/"position":\d+,"msg":"writing/);
    await waitFor(async () => (await countEvents(db.client)) > 8000, { what: 'more rows' });
    const stopped = await load.stop();
    assert.equal(stopped.code, 0, stopped.stderr);
  }
  const last = await run('--rate', '0', '--until', '40000');
  assert.equal(last.code, 0, last.stderr);
  const expected = expectedUserEvents(40_000, { updates: 0.3 });
  expectSameRows(await readPostgres(db.client), expected);
  await replication.expectEqual();
  expectSameRows(await readUserEvents(replication.clickhouse, `${db.name}.user_events`), expected);
});

test('kills of the writer and restarts of PostgreSQL leave no gap', async () => {
  await using server = await startTestPostgres();
  const env = into(server.url);
  {
    await using load = new RunningCommand(['run', '--rate', '0'], { env });
    await load.prints(/"msg":"writing/);
    const client = await connect(server.url);
    await waitFor(async () => (await countEvents(client)) > 3000, { what: 'the first rows' });
    await client.end();
    server.kill();
    await server.exited;
    await load.prints(/"retryInMs"/);
    const again = await startPostgres({ dir: server.dir, port: server.port, settings: { fsync: 'off' } });
    try {
      const before = load.stderr.match(/"msg":"writing/g)!.length;
      await waitFor(() => load.stderr.match(/"msg":"writing/g)!.length > before, {
        what: 'it to write again',
      });
      const after = await connect(again.url);
      const rows = await countEvents(after);
      await waitFor(async () => (await countEvents(after)) > rows, { what: 'more rows' });
      // SIGKILL, and at once the next one.
      await load[Symbol.asyncDispose]();
      const { rows: highest } = await after.query<{ id: number }>(
        'SELECT max(id)::int AS id FROM user_events',
      );
      const until = highest[0]!.id + 5000;
      const last = await walCdc(['run', '--rate', '0', '--until', String(until)], { env });
      assert.equal(last.code, 0, last.stderr);
      expectSameRows(await readPostgres(after), expectedUserEvents(until));
      await after.end();
    } finally {
      await again.stop();
    }
  }
});

test('another writer, foreign rows and another table of that name are refused', async () => {
  await using db = await freshDatabase();
  const env = into(db.url);
  const refused = async (code: number, message: RegExp, more: Record<string, string> = {}) => {
    const ended = await walCdc(['run', '--until', '5000'], { env: { ...env, ...more } });
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, message);
  };
  {
    await using load = new RunningCommand(['run'], { env });
    await load.prints(/"msg":"writing/);
    await refused(3, /another process generates rows[\s\S]*TABLE_TAKEN/);
    await load.stop();
  }
  await refused(3, /rows that these settings did not generate[\s\S]*TABLE_NOT_EMPTY/, {
    WAL_CDC_SYNTHETIC_SEED: '1',
  });
  await db.client.query(
    `TRUNCATE user_events; INSERT INTO user_events VALUES (1, gen_random_uuid(), 'mine', '{}', 1, now())`,
  );
  await refused(3, /did not generate \(id 1\)/);
  assert.equal(await countEvents(db.client), 1);
  await db.client.query('DROP TABLE user_events; CREATE TABLE user_events (id int PRIMARY KEY)');
  await refused(3, /its column "id" is integer, bigint is needed[\s\S]*TABLE_UNSUPPORTED/);
});

test('plan and doctor say what is to be made in PostgreSQL, and make nothing', async () => {
  await using db = await freshDatabase();
  const env = into(db.url, { WAL_CDC_POSTGRES_PUBLICATION: 'events' });
  const plan = await walCdc(['plan'], { env });
  assert.equal(plan.code, 0, plan.stderr);
  assert.match(
    plan.stdout,
    /CREATE TABLE IF NOT EXISTS public\.user_events \([\s\S]*CREATE PUBLICATION "events"/,
  );
  assert.doesNotMatch(plan.stdout, /ClickHouse/);
  const doctor = await walCdc(['doctor'], { env });
  assert.equal(doctor.code, 0, doctor.stdout);
  assert.match(doctor.stdout, /^ok +public\.user_events: does not exist; run creates it$/m);
  const { rowCount } = await db.client.query(`SELECT FROM pg_class WHERE relname = 'user_events'`);
  assert.equal(rowCount, 0);
  assert.equal((await walCdc(['run', '--rate', '0', '--until', '10'], { env })).code, 0);
  assert.match((await walCdc(['plan'], { env })).stdout, /^-- table public\.user_events: fits$/m);
  assert.match((await walCdc(['doctor'], { env })).stdout, /^ok +public\.user_events: fits$/m);
  for (const command of ['status', 'teardown']) {
    const { code, stderr } = await walCdc([command], { env: { ...env, WAL_CDC_LISTEN: '127.0.0.1:1' } });
    assert.equal(code, 2);
    assert.match(stderr, /rows that go into PostgreSQL/);
  }
});

test('generated rows and those of a source do not meet in one table, whichever was first', async () => {
  await using db = await freshDatabase();
  const synthetic = (clickhouse: string, database: string) => ({
    WAL_CDC_MODE: 'synthetic',
    WAL_CDC_PIPELINE: `${db.name}_synthetic`,
    WAL_CDC_CLICKHOUSE_URL: clickhouse,
    WAL_CDC_CLICKHOUSE_DATABASE: database,
    WAL_CDC_LISTEN: '127.0.0.1:0',
  });
  await db.client.query(
    `CREATE TABLE user_events (id bigint PRIMARY KEY, user_id uuid NOT NULL, event_type text NOT NULL, payload jsonb NOT NULL,
       amount numeric(12,2), occurred_at timestamptz NOT NULL);
     CREATE TABLE other (id int PRIMARY KEY);
     INSERT INTO user_events VALUES (1, gen_random_uuid(), 'mine', '{}', 1, now())`,
  );
  {
    await using replication = await startReplication(db);
    await replication.expectEqual();
    const { url, user, password } = replication.config.clickhouse;
    const address = `${url!.replace('://', `://${user}:${password}@`)}`;
    const refused = await walCdc(['run', '--until', '10'], { env: synthetic(address, db.name) });
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(
      refused.stderr,
      /pipeline "test_\d+" \(mode wal\) writes ClickHouse table .* already\nhint: .*\ncode: TABLE_TAKEN/,
    );
    assert.equal((await readUserEvents(replication.clickhouse, `${db.name}.user_events`)).length, 1);
    const doctor = await walCdc(['doctor'], { env: synthetic(address, db.name) });
    assert.equal(doctor.code, 3);
    assert.match(doctor.stdout, /^FAIL +public\.user_events: .* \[TABLE_TAKEN\]$/m);

    // The reverse: the table that generated rows are in already.
    const database = `${db.name}_taken`;
    assert.equal(
      (await walCdc(['run', '--rate', '0', '--until', '100'], { env: synthetic(address, database) })).code,
      0,
    );
    const before = await readUserEvents(replication.clickhouse, `${database}.user_events`);
    await using second = await startReplication(db, {
      settings: { pipeline: `${db.name}_second`, 'clickhouse.database': database },
    });
    await second.expectEqual();
    const table = second.service.status().tables.find(({ name }) => name === 'public.user_events');
    assert.equal(table?.state, 'stopped');
    assert.equal(table?.reason?.code, 'TABLE_TAKEN');
    expectSameRows(await readUserEvents(replication.clickhouse, `${database}.user_events`), before);
    // One pipeline in both modes is refused too.
    const same = await walCdc(['run'], {
      env: { ...synthetic(address, database), WAL_CDC_PIPELINE: db.name },
    });
    assert.equal(same.code, 2);
    assert.match(same.stderr, /was run in mode wal before/);
  }
});
