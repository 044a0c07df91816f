import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import type { StatusSnapshot } from '../../src/observe/status.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { SyntheticService } from '../../src/service/synthetic-service.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { sharedClickHouse, startTestClickHouse } from '../support/clickhouse.ts';
import { type CommandResult, RunningCommand, walCdc } from '../support/command-line.ts';
import { freePort } from '../support/free-port.ts';
import { tempDir } from '../support/temp-dir.ts';
import { expectedUserEvents, expectSameRows, readUserEvents } from '../support/user-events.ts';
import { waitFor } from '../support/wait-for.ts';

let pipelines = 0;

/** Settings of a pipeline of its own, into a ClickHouse database of the same name. */
async function ownPipeline(settings: Record<string, string> = {}) {
  const name = `synthetic_${++pipelines}`;
  return {
    WAL_CDC_PIPELINE: name,
    WAL_CDC_MODE: 'synthetic',
    WAL_CDC_CLICKHOUSE_URL: (await sharedClickHouse()).url,
    WAL_CDC_CLICKHOUSE_DATABASE: name,
    WAL_CDC_LISTEN: '127.0.0.1:0',
    WAL_CDC_LOG_FORMAT: 'json',
    ...settings,
  };
}

type Env = Awaited<ReturnType<typeof ownPipeline>>;

async function withClickHouse<T>(url: string, use: (clickhouse: ClickHouse) => Promise<T>): Promise<T> {
  const clickhouse = new ClickHouse(splitAddress(url));
  try {
    return await use(clickhouse);
  } finally {
    await clickhouse.close();
  }
}

function tableRows(env: Env) {
  return withClickHouse(env.WAL_CDC_CLICKHOUSE_URL, clickhouse =>
    readUserEvents(clickhouse, `${env.WAL_CDC_CLICKHOUSE_DATABASE}.user_events`),
  );
}

function lastCheckpoint({ stderr }: CommandResult): number {
  return Number(/"checkpoint":"(\d+)"/.exec(stderr)?.[1]);
}

/** What `wal_cdc` has of the pipeline. */
function savedPosition(env: Env): Promise<number> {
  return withClickHouse(env.WAL_CDC_CLICKHOUSE_URL, async clickhouse => {
    const [row] = await clickhouse.query<{ position: string }>(
      `SELECT position FROM wal_cdc.checkpoints FINAL WHERE pipeline = '${env.WAL_CDC_PIPELINE}'`,
    );
    return Number(row!.position);
  });
}

test('the table is what the changes make of it, row by row, and the next run goes on', async () => {
  const env = await ownPipeline({ WAL_CDC_SYNTHETIC_DELETES: '0.05', WAL_CDC_BATCH_MAX_BYTES: '256KiB' });
  for (const until of [5000, 20_000, 20_000]) {
    const ended = await walCdc(['run', '--rate', '0', '--until', String(until)], { env });
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(lastCheckpoint(ended), until);
    expectSameRows(await tableRows(env), expectedUserEvents(until, { deletes: 0.05 }));
  }
});

test('after kills at any moment a run goes on, and the table is the same', async () => {
  const env = await ownPipeline({ WAL_CDC_BATCH_MAX_BYTES: '256KiB' });
  let saved = 0;
  for (const crashAt of ['before-insert:3', 'after-insert:2', 'after-checkpoint:1', 'after-insert:1']) {
    const killed = await walCdc(['run', '--rate', '0'], { env: { ...env, WAL_CDC_CRASH_AT: crashAt } });
    assert.equal(killed.code, null, killed.stderr);
    const position = await savedPosition(env);
    assert.ok(position >= saved);
    saved = position;
  }
  assert.ok(saved > 0);
  {
    await using service = new RunningCommand(['run', '--rate', '20000'], { env });
    await service.prints(/"msg":"streaming"/);
    await waitFor(async () => (await savedPosition(env)) > saved, { what: 'another checkpoint' });
  }
  const until = (await savedPosition(env)) + 12_345;
  const ended = await walCdc(['run', '--rate', '0', '--until', String(until)], { env });
  assert.equal(ended.code, 0, ended.stderr);
  expectSameRows(await tableRows(env), expectedUserEvents(until));
});

test('without any configuration rows go into an embedded ClickHouse, which it tells how to reach', async () => {
  using dir = tempDir();
  // The port of the status page is the only thing that a test may not take for granted.
  const env = { WAL_CDC_LISTEN: `127.0.0.1:${await freePort()}` };
  await using service = new RunningCommand(['run'], { cwd: dir.path, env });
  await service.prints(/Generating 1,000 rows per second/);
  const clickhouseUrl = /ClickHouse +(http:\S+)/.exec(service.stdout)![1]!;
  const statusUrl = /Status page +(http:\S+)/.exec(service.stdout)![1]!;
  const api = async (path: string) => (await (await fetch(`${statusUrl}${path}`)).json()) as StatusSnapshot;

  const waited = await api('/api/wait?position=500&timeoutMs=20000');
  assert.deepEqual(waited as object, { position: '500', queryable: true });
  await withClickHouse(clickhouseUrl, async clickhouse => {
    const rows = await readUserEvents(clickhouse, 'cdc.user_events');
    const expected = expectedUserEvents(500);
    // Later changes may be there as well; inserts of the first 500 all are.
    assert.ok(rows.length >= expected.length, `${rows.length} rows`);
  });
  const status = await api('/api/status');
  assert.equal(status.pipeline, 'synthetic');
  assert.equal(status.mode, 'synthetic');
  assert.equal(status.phase, 'streaming');
  assert.ok(Number(status.position) >= 500);
  assert.deepEqual(
    status.tables.map(table => [table.name, table.target, table.state]),
    [['public.user_events', 'cdc.user_events', 'streaming']],
  );
  assert.equal((await fetch(`${statusUrl}/healthz`)).status, 200);
  assert.equal((await fetch(`${statusUrl}/readyz`)).status, 200);
  assert.equal((await fetch(`${statusUrl}/api/wait?position=0/1`)).status, 400);
  const metrics = await (await fetch(`${statusUrl}/metrics`)).text();
  assert.match(metrics, /^wal_cdc_rows_total\{table="public.user_events",op="insert"\} \d+$/m);
  assert.match(
    (await walCdc(['status'], { cwd: dir.path, env })).stdout,
    /^pipeline +synthetic \(synthetic\)/,
  );
  const second = await walCdc(['run'], { cwd: dir.path, env: { WAL_CDC_LISTEN: '127.0.0.1:0' } });
  assert.equal(second.code, 2);
  assert.match(second.stderr, new RegExp(`^error: Process ${service.pid} runs the ClickHouse in `));

  const ended = await service.stop();
  assert.equal(ended.code, 0, ended.stderr);
  assert.ok(existsSync(join(dir.path, '.wal-cdc', 'clickhouse')));
  assert.match(
    (await walCdc(['status'], { cwd: dir.path, env })).stdout,
    /^checkpoint +in the embedded ClickHouse/m,
  );
  const again = await walCdc(['run', '--rate', '0', '--until', '50000'], { cwd: dir.path, env });
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, new RegExp(`"position":"${lastCheckpoint(ended)}".*"msg":"streaming"`));
});

test('an embedded ClickHouse that is killed ends the service with what to do, and the next one goes on', async () => {
  using dir = tempDir();
  const env = { WAL_CDC_LISTEN: '127.0.0.1:0', WAL_CDC_LOG_FORMAT: 'json' };
  await using service = new RunningCommand(['run'], { cwd: dir.path, env });
  await service.prints(/Generating/);
  await waitFor(async () => Number((await service.status())?.checkpoint) > 1000, { what: 'a checkpoint' });
  const engineStatus = readFileSync(join(dir.path, '.wal-cdc/clickhouse/data/status'), 'utf8');
  process.kill(Number(/^PID: (\d+)/m.exec(engineStatus)![1]), 'SIGKILL');
  const { code, stderr } = await service.ended;
  assert.equal(code, 3, stderr);
  assert.match(stderr, /^error: ClickHouse in .* ended by itself \(SIGKILL\)/m);
  assert.match(stderr, /^hint: Start again.*\ncode: EMBEDDED_UNAVAILABLE$/m);

  await using next = new RunningCommand(['run', '--rate', '0', '--until', '20000'], { cwd: dir.path, env });
  assert.equal((await next.ended).code, 0);
  assert.ok(Number(/"position":"(\d+)".*"msg":"streaming"/.exec(next.stderr)![1]) > 1000);
});

test('rows come at the rate that is asked for', async () => {
  const env = await ownPipeline();
  const startedAt = performance.now();
  const ended = await walCdc(['run', '--rate', '2000', '--until', '6000'], { env });
  assert.equal(ended.code, 0);
  assert.ok(performance.now() - startedAt > 3000);
  expectSameRows(await tableRows(env), expectedUserEvents(6000));
});

test('an outage of ClickHouse is ridden out', async () => {
  await using server = await startTestClickHouse();
  const { url, port, dir } = server;
  const config = loadConfig({
    flags: { 'clickhouse.url': url, 'synthetic.rate': '5000', 'batch.maxBytes': '64KiB' },
  });
  const metrics = new Metrics();
  const service = new SyntheticService({
    config,
    clickhouse: splitAddress(url),
    metrics,
    log: createLog({ level: 'silent', format: 'json' }),
    until: 40_000n,
  });
  const running = service.run();
  running.catch(() => {}); // reported below
  await waitFor(() => service.session && service.session.written > 3000n, { what: 'the first rows' });
  server.kill();
  await server.exited;
  await waitFor(() => service.status().phase === 'retrying', { what: 'the outage to be noticed' });
  assert.equal((await service.ready()).ready, false);
  const { startClickHouse } = await import('../../src/embedded/clickhouse.ts');
  const second = await startClickHouse({ dir, port });
  try {
    await running;
    assert.equal(service.status().position, '40000');
    await withClickHouse(url, async clickhouse =>
      expectSameRows(await readUserEvents(clickhouse, 'cdc.user_events'), expectedUserEvents(40_000)),
    );
  } finally {
    await second.stop();
  }
});

test('what cannot be is refused with a way out', async () => {
  const env = await ownPipeline();
  const refused = async (
    args: string[],
    code: number,
    message: RegExp,
    more: Record<string, string> = {},
  ) => {
    const ended = await walCdc(args, { env: { ...env, ...more } });
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, message);
  };
  await refused(['run', '--until', 'current'], 2, /rows never end\nhint: .*--until 100000/);
  await refused(['run', '--until', '0/1'], 2, /not a sequence number/);
  await refused(['run', '--keep-rows'], 2, /--keep-rows has no meaning/);
  await refused(['verify'], 2, /verify needs a source/);
  await refused(['resync', 'public.user_events'], 2, /resync needs a source/);
  await refused(['run', '--into', 'postgres'], 2, /needs postgres.url/);
  await refused(['run'], 2, /come to more than 0.9/, {
    WAL_CDC_SYNTHETIC_UPDATES: '0.5',
    WAL_CDC_SYNTHETIC_DELETES: '0.25',
  });
  assert.equal((await walCdc(['run', '--rate', '0', '--until', '1000'], { env })).code, 0);
  await refused(['run'], 2, /generated with other settings .*seed 42.*seed 7/, {
    WAL_CDC_SYNTHETIC_SEED: '7',
  });
  // Another pipeline, the same table.
  await refused(['run'], 3, /pipeline "synthetic_\d+" \(mode synthetic\) writes .*\ncode: TABLE_TAKEN/s, {
    WAL_CDC_PIPELINE: 'another',
  });
  await withClickHouse(env.WAL_CDC_CLICKHOUSE_URL, async clickhouse => {
    await clickhouse.command('CREATE DATABASE strange');
    await clickhouse.command('CREATE TABLE strange.user_events (id Int64) ENGINE = MergeTree ORDER BY id');
  });
  await refused(['run'], 3, /does not fit public.user_events: its engine is MergeTree/, {
    WAL_CDC_PIPELINE: 'another',
    WAL_CDC_CLICKHOUSE_DATABASE: 'strange',
  });
});

test('a table that is gone is filled again from the first row on; rows of nobody are not touched', async () => {
  const env = await ownPipeline();
  const run = (until: number, more: Record<string, string> = {}) =>
    walCdc(['run', '--rate', '0', '--until', String(until)], { env: { ...env, ...more } });
  const table = `${env.WAL_CDC_CLICKHOUSE_DATABASE}.user_events`;
  assert.equal((await run(3000)).code, 0);
  await withClickHouse(env.WAL_CDC_CLICKHOUSE_URL, clickhouse =>
    clickhouse.command(`DROP TABLE ${table} SYNC`),
  );
  const again = await run(2500);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /the ClickHouse table was gone/);
  expectSameRows(await tableRows(env), expectedUserEvents(2500));

  const forgotten = await walCdc(['teardown'], { env });
  assert.equal(forgotten.code, 0, forgotten.stderr);
  const refused = await run(5000);
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /has \d+ rows that no checkpoint explains\nhint: .*\ncode: TABLE_NOT_EMPTY/);
  expectSameRows(await tableRows(env), expectedUserEvents(2500));
});

test('a value that the column cannot hold ends the run; nothing is skipped', async () => {
  const env = await ownPipeline({
    WAL_CDC_COLUMNS: '{"public.user_events.amount": {"type": "Decimal(4, 2)"}}',
  });
  for (let i = 0; i < 2; i++) {
    const ended = await walCdc(['run', '--rate', '0', '--until', '50000'], { env });
    assert.equal(ended.code, 4, ended.stderr);
    assert.match(ended.stderr, /column "amount" \(Decimal\(4, 2\)\)/);
    assert.match(ended.stderr, /code: VALUE_INVALID/);
  }
});
