import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { startTestClickHouse } from '../support/clickhouse.ts';
import { walCdc } from '../support/command-line.ts';
import { expectedUserEvents, type UserEventRow } from '../support/user-events.ts';

const folder = join(import.meta.dirname, '../../clickhouse');
const read = (file: string) => readFileSync(join(folder, file), 'utf8');

async function startServer() {
  const server = await startTestClickHouse();
  const clickhouse = new ClickHouse(splitAddress(server.url));
  const env = {
    WAL_CDC_CLICKHOUSE_URL: server.url,
    WAL_CDC_LISTEN: '127.0.0.1:0',
    WAL_CDC_SYNTHETIC_DELETES: '0.02',
  };
  return {
    clickhouse,
    run: async (args: string[]) => {
      const ended = await walCdc(args, { env });
      assert.equal(ended.code, 0, ended.stderr + ended.stdout);
      return ended;
    },
    async [Symbol.asyncDispose]() {
      await clickhouse.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function describeTables(clickhouse: ClickHouse): Promise<unknown[]> {
  return clickhouse.query(
    `SELECT database, name, replaceRegexpOne(create_table_query, ' UUID \\'[^\\']+\\'', '') AS sql
       FROM system.tables WHERE database IN ('cdc', 'wal_cdc') ORDER BY database, name`,
  );
}

test('init.sql makes what the service makes, and may run again; the service takes it', async () => {
  await using server = await startServer();
  const { clickhouse, run } = server;
  const statements = read('init.sql')
    .split(/;\n/)
    .filter(sql => sql.trim() !== '');
  for (let i = 0; i < 2; i++) for (const sql of statements) await clickhouse.command(sql);
  const made = await describeTables(clickhouse);
  const plan = await run(['plan']);
  assert.doesNotMatch(plan.stdout, /^CREATE/m, 'nothing is left to create');
  assert.match(plan.stdout, /^-- table cdc\.user_events for public\.user_events: fits$/m);
  assert.doesNotMatch((await run(['doctor'])).stdout, /^(FAIL|warn +public)/m);
  await run(['run', '--rate', '0', '--until', '100']);
  assert.deepEqual(await describeTables(clickhouse), made);

  for (const database of ['cdc', 'wal_cdc']) await clickhouse.command(`DROP DATABASE ${database} SYNC`);
  const before = await run(['plan']);
  const planned = before.stdout.split(/;\n/).filter(sql => /^CREATE/m.test(sql)).length;
  assert.equal(planned, statements.length);
  await run(['run', '--rate', '0', '--until', '100']);
  assert.deepEqual(await describeTables(clickhouse), made);
  assert.match((await run(['plan'])).stdout, /user_events: fits; streaming$/m);

  const status = await run(['status', '--mode', 'synthetic']);
  assert.match(status.stdout, /^pipeline +synthetic \(synthetic\), not running: [\s\S]*^checkpoint +100$/m);
  const torn = await run(['teardown', '--data']);
  assert.deepEqual(torn.stdout.trim().split('\n'), [
    'dropped  table cdc.user_events',
    'dropped  database cdc',
    'dropped  what wal_cdc has of pipeline synthetic',
    'dropped  database wal_cdc',
  ]);
});

test('the examples answer what they say', async () => {
  await using server = await startServer();
  const until = 250_000;
  await server.run(['run', '--rate', '0', '--until', String(until)]);
  const rows = expectedUserEvents(until, { deletes: 0.02 });
  const answers = new Map<string, unknown[]>();
  for (const file of globSync('examples/*.sql', { cwd: folder })) {
    const sql = read(file).trim().replace(/;$/, '');
    assert.doesNotMatch(sql, /;/, `${file} is one statement`);
    answers.set(basename(file, '.sql'), await server.clickhouse.query(sql));
  }
  const { 'changes-by-minute': changes, ...others } = Object.fromEntries(answers) as Record<string, object[]>;
  assert.deepEqual(others, {
    'best-sellers': bestSellers(rows),
    'daily-active-users': dailyActiveUsers(rows),
    funnel: funnel(rows),
    'latest-per-user': latestPerUser(rows),
    'revenue-by-type': revenueByType(rows),
  });
  const keys = (changes as { keys: string; deleted: string }[]).reduce(
    (sum, minute) => sum + Number(minute.keys) - Number(minute.deleted),
    0,
  );
  assert.equal(keys, rows.length);
});

function groupBy<T>(rows: readonly T[], key: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(key(row));
    if (group) group.push(row);
    else groups.set(key(row), [row]);
  }
  return groups;
}

const cents = (amount: string | null) => Math.round(Number(amount) * 100);
/** As JSON has a Decimal. */
const money = (sum: number) => sum / 100;
const users = (rows: readonly UserEventRow[]) => new Set(rows.map(([, user]) => user)).size;
const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function dailyActiveUsers(rows: readonly UserEventRow[]) {
  const days = groupBy(rows, row => row[5].slice(0, 10));
  return [...days]
    .sort(([a], [b]) => byText(a, b))
    .map(([day, events]) => ({
      day,
      users: String(users(events)),
      events: String(events.length),
      events_per_user: Math.round((events.length / users(events)) * 10) / 10,
    }));
}

/** `windowFunnel` of ClickHouse: by second, the steps in order, each within an hour of the first. */
function funnel(rows: readonly UserEventRow[]) {
  const steps = ['page_view', 'add_to_cart', 'checkout', 'purchase'];
  const reached = [...groupBy(rows, row => JSON.parse(row[3]).session).values()].map(visit => {
    const starts: (number | undefined)[] = [];
    const events = visit
      .map(row => ({ step: steps.indexOf(row[2]), at: Date.parse(`${row[5].slice(0, 19)}Z`) / 1000 }))
      .filter(({ step }) => step >= 0)
      .sort((a, b) => a.at - b.at || a.step - b.step);
    for (const { step, at } of events) {
      if (step === 0) starts[0] = at;
      else if (starts[step - 1] !== undefined && at <= starts[step - 1]! + 3600)
        starts[step] = starts[step - 1];
    }
    return starts.length;
  });
  const first = reached.filter(count => count >= 1).length;
  return steps.map((event_type, i) => {
    const visits = reached.filter(count => count > i).length;
    return {
      step: i + 1,
      event_type,
      visits: String(visits),
      percent: Math.round((10_000 * visits) / first) / 100,
    };
  });
}

function revenueByType(rows: readonly UserEventRow[]) {
  const paid = rows.filter(row => row[4] !== null);
  return [...groupBy(paid, row => row[2])]
    .map(([event_type, events]) => {
      const amounts = events.map(row => cents(row[4]));
      return {
        event_type,
        events: String(events.length),
        revenue: money(amounts.reduce((sum, each) => sum + each, 0)),
        smallest: money(Math.min(...amounts)),
        largest: money(Math.max(...amounts)),
      };
    })
    .sort((a, b) => b.revenue - a.revenue);
}

function latestPerUser(rows: readonly UserEventRow[]) {
  return [...groupBy(rows, row => row[1])]
    .map(([user_id, events]) => {
      const last = events.reduce((a, b) =>
        byText(a[5], b[5]) > 0 || (a[5] === b[5] && Number(a[0]) > Number(b[0])) ? a : b,
      );
      const bought = events.filter(row => row[2] === 'purchase');
      return {
        user_id,
        events: String(events.length),
        last_seen: last[5],
        last_event: last[2],
        spent: bought.length === 0 ? null : money(bought.reduce((sum, row) => sum + cents(row[4]), 0)),
      };
    })
    .sort((a, b) => Number(b.events) - Number(a.events) || byText(a.user_id, b.user_id))
    .slice(0, 20);
}

function bestSellers(rows: readonly UserEventRow[]) {
  const kept = rows
    .filter(row => row[2] === 'add_to_cart')
    .map(row => ({ user: row[1], ...JSON.parse(row[3]) }))
    .filter(({ removed }) => !removed);
  return [...groupBy(kept, ({ product }) => product)]
    .map(([product, carts]) => ({
      product: String(product),
      pieces: String(carts.reduce((sum, { quantity }) => sum + quantity, 0)),
      users: String(new Set(carts.map(({ user }) => user)).size),
    }))
    .sort((a, b) => Number(b.pieces) - Number(a.pieces) || Number(a.product) - Number(b.product))
    .slice(0, 10);
}
