import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import pg from 'pg';
import type { ErrorCode } from '../../src/core/errors.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { connect } from '../../src/sources/wal/connect.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { type CommandResult, RunningCommand, walCdc } from '../support/command-line.ts';
import { freePort } from '../support/free-port.ts';
import { freshDatabase, slotReleased, startTestPostgres, type TestDatabase } from '../support/postgres.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait-for.ts';

/** What a user sees: the code, words of the message, the exit code. */
interface Expected {
  code: ErrorCode;
  message: RegExp;
  exit: number;
}

type Settings = Record<string, string>;

/** A pipeline of its own over a database with one table of one row. */
async function pipelineOver(url: string, name: string): Promise<Settings> {
  return {
    WAL_CDC_MODE: 'wal',
    WAL_CDC_PIPELINE: name,
    WAL_CDC_POSTGRES_URL: url,
    WAL_CDC_CLICKHOUSE_URL: (await sharedClickHouse()).url,
    WAL_CDC_CLICKHOUSE_DATABASE: name,
    WAL_CDC_LISTEN: '127.0.0.1:0',
    WAL_CDC_LOG_FORMAT: 'json',
  };
}

async function withPipeline(use: (db: TestDatabase, settings: Settings) => Promise<void>): Promise<void> {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  await use(db, await pipelineOver(db.url, db.name));
}

/** Each error in both places where users meet it. Gives what `run` printed. */
async function expectOfBoth(settings: Settings, expected: Expected): Promise<CommandResult> {
  const [run, doctor] = await Promise.all([runOnce(settings), walCdc(['doctor'], { env: settings })]);
  expectError(run, expected);
  expectFinding(doctor, expected);
  return run;
}

function runOnce(settings: Settings): Promise<CommandResult> {
  return walCdc(['run', '--until', 'current'], { env: settings });
}

function expectError(result: CommandResult, { code, message, exit }: Expected): void {
  expectNoStack(result);
  const [, text, hint] = /^error: ([\s\S]*)\nhint: (.+)\ncode: \w+$/m.exec(result.stderr) ?? [];
  assert.match(result.stderr, new RegExp(`^code: ${code}$`, 'm'));
  assert.match(text!, message);
  assert.ok(hint!.length > 10);
  assert.equal(result.code, exit, result.stderr);
}

function expectFinding(result: CommandResult, { code, message }: Expected): void {
  expectNoStack(result);
  const line = result.stdout.split('\n').find(text => text.startsWith('FAIL') && text.endsWith(`[${code}]`));
  assert.ok(line, `doctor says nothing of ${code}:\n${result.stdout}${result.stderr}`);
  assert.match(line, message);
  assert.equal(result.code, 3);
}

/** Of a table that stops while the others go on. */
function expectStopped(
  result: CommandResult,
  table: string,
  { code, message }: Omit<Expected, 'exit'>,
): void {
  expectNoStack(result);
  const entry = result.stderr
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as { level: string; table?: string; code?: string; msg: string })
    .find(line => line.level === 'error' && line.table === table);
  assert.ok(entry, `nothing is said of ${table}:\n${result.stderr}`);
  assert.equal(entry.code, code);
  assert.match(entry.msg, message);
  assert.equal(result.code, 4, result.stderr);
}

function expectNoStack({ stdout, stderr }: CommandResult): void {
  assert.doesNotMatch(stdout + stderr, /^\s+at .*:\d+:\d+\)?$|node:internal|UNEXPECTED/m);
}

async function clickhouse(sql: string): Promise<unknown[]> {
  const client = new ClickHouse(splitAddress((await sharedClickHouse()).url));
  try {
    return await client.query(sql);
  } finally {
    await client.close();
  }
}

const asRole = (url: string, role: string, password = 'secret') =>
  url.replace(/\/\/[^@]*@/, `//${role}:${password}@`);

suite('errors at the start', { concurrency: 4 }, () => {
  test('PostgreSQL: text in an encoding without meaning', () =>
    withPipeline(async (db, settings) => {
      const url = new URL(db.url);
      url.pathname = `/${db.name}_ascii`;
      await db.client.query(
        `CREATE DATABASE ${db.name}_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`,
      );
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      await client.query(
        `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, E'caf\\xe9')`,
      );
      await client.end();
      expectStopped(await runOnce({ ...settings, WAL_CDC_POSTGRES_URL: url.href }), 'public.t', {
        code: 'VALUE_INVALID',
        message: /invalid byte sequence for encoding "UTF8".*SQL_ASCII/,
      });
    }));

  test('Kafka: nobody answers, and the pipeline is as new for another mode', () =>
    withPipeline(async (_, settings) => {
      const brokers = `127.0.0.1:${await freePort()}`;
      await expectOfBoth(
        { ...settings, WAL_CDC_MODE: 'cdc', WAL_CDC_KAFKA_BROKERS: brokers },
        { code: 'BROKER_UNREACHABLE', message: new RegExp(brokers), exit: 3 },
      );
      const wal = await runOnce(settings);
      assert.equal(wal.code, 0, wal.stderr);
    }));

  test('PostgreSQL: wrong host, port, password and database; TLS that is not offered', () =>
    withPipeline(async (db, settings) => {
      const hostPort = new URL(db.url).host;
      const closed = await freePort();
      const wrong: [string, Expected][] = [
        [
          db.url.replace(hostPort, 'nowhere.invalid:5432'),
          { code: 'SOURCE_UNREACHABLE', message: /nowhere\.invalid:5432/, exit: 3 },
        ],
        [
          db.url.replace(hostPort, `127.0.0.1:${closed}`),
          { code: 'SOURCE_UNREACHABLE', message: new RegExp(`127\\.0\\.0\\.1:${closed}`), exit: 3 },
        ],
        [
          asRole(db.url, 'postgres', 'wrong'),
          { code: 'SOURCE_AUTH', message: /password authentication failed for user "postgres"/, exit: 3 },
        ],
        [
          db.url.replace(/\/[^/]*$/, '/nosuch'),
          { code: 'SOURCE_AUTH', message: /database "nosuch" does not exist/, exit: 3 },
        ],
        [`${db.url}?sslmode=require`, { code: 'SOURCE_TLS', message: /does not support SSL/, exit: 3 }],
      ];
      for (const [url, expected] of wrong)
        expectError(await runOnce({ ...settings, WAL_CDC_POSTGRES_URL: url }), expected);
      const [url, expected] = wrong[0]!;
      const doctor = await walCdc(['doctor'], { env: { ...settings, WAL_CDC_POSTGRES_URL: url } });
      expectFinding(doctor, expected);
    }));

  test('PostgreSQL: wal_level is not logical', async () => {
    await using server = await startTestPostgres({ settings: { wal_level: 'replica' } });
    const client = await connect({ url: server.url });
    await client.query('CREATE TABLE t (id int PRIMARY KEY)');
    await client.end();
    await expectOfBoth(await pipelineOver(server.url, 'wal_level'), {
      code: 'WAL_LEVEL',
      message: /wal_level.*replica, logical is needed/,
      exit: 3,
    });
  });

  test('PostgreSQL: a standby', async () => {
    using dir = tempDir();
    const settings = { fsync: 'off' };
    await (await startPostgres({ dir: dir.path, settings })).stop();
    writeFileSync(join(dir.path, 'data', 'standby.signal'), '');
    const server = await startPostgres({ dir: dir.path, settings });
    try {
      await expectOfBoth(await pipelineOver(server.url, 'standby'), {
        code: 'SOURCE_STANDBY',
        message: /is a standby/,
        exit: 3,
      });
    } finally {
      await server.stop('immediate');
    }
  });

  test('PostgreSQL: a role without REPLICATION, and one that may not create the publication', () =>
    withPipeline(async (db, settings) => {
      const role = `${db.name}_role`;
      await db.client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT SELECT ON t TO ${role}`);
      const asIt = { ...settings, WAL_CDC_POSTGRES_URL: asRole(db.url, role) };
      try {
        const first = await expectOfBoth(asIt, {
          code: 'SOURCE_PRIVILEGE',
          message: /permission denied/,
          exit: 3,
        });
        assert.match(first.stderr, new RegExp(`ALTER ROLE "${role}" REPLICATION`));

        await db.client.query(`ALTER ROLE ${role} REPLICATION`);
        const second = await expectOfBoth(asIt, {
          code: 'PUBLICATION_MISSING',
          message: /does not exist and (may not be|cannot be) created/,
          exit: 3,
        });
        assert.match(second.stderr, /CREATE PUBLICATION "\w+" FOR TABLE "public"."t"/);
      } finally {
        await db.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    }));

  test('S07, S08: a table that the role may not read, or reads only in part; the others run', () =>
    withPipeline(async (db, settings) => {
      const role = `${db.name}_role`;
      await db.client.query(`
        CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret';
        CREATE TABLE hidden (id int PRIMARY KEY);
        CREATE TABLE partly (id int PRIMARY KEY);
        ALTER TABLE partly ENABLE ROW LEVEL SECURITY;
        GRANT SELECT ON t, partly TO ${role};
        CREATE PUBLICATION p FOR TABLE t, hidden, partly`);
      const asIt = {
        ...settings,
        WAL_CDC_POSTGRES_URL: asRole(db.url, role),
        WAL_CDC_POSTGRES_PUBLICATION: 'p',
      };
      try {
        const doctor = await walCdc(['doctor'], { env: asIt });
        const run = await runOnce(asIt);
        for (const [table, message] of [
          ['public.hidden', /public\.hidden.*may not SELECT/],
          ['public.partly', /public\.partly.*row security/],
        ] as const) {
          expectFinding(
            { ...doctor, stdout: linesWith(doctor.stdout, table) },
            {
              code: 'TABLE_UNREADABLE',
              message,
              exit: 3,
            },
          );
          expectStopped(run, table, { code: 'TABLE_UNREADABLE', message });
        }
        assert.deepEqual(await clickhouse(`SELECT id FROM ${db.name}.t FINAL`), [{ id: 1 }]);
      } finally {
        await db.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    }));

  test('a table pattern that matches nothing', () =>
    withPipeline(async (_, settings) => {
      await expectOfBoth(
        { ...settings, WAL_CDC_TABLES: 'public.t,public.nosuch' },
        {
          code: 'NO_TABLES',
          message: /no table matches "public\.nosuch"/,
          exit: 2,
        },
      );
    }));

  test('R13: a slot that another consumer streams from', () =>
    withPipeline(async (db, settings) => {
      await db.client.query('CREATE PUBLICATION other FOR TABLE t');
      await db.client.query(`SELECT pg_create_logical_replication_slot('wal_cdc_${db.name}', 'pgoutput')`);
      const consumer = new pg.Client({
        connectionString: db.url,
        application_name: 'another',
        replication: 'database',
      } as pg.ClientConfig);
      consumer.on('error', () => {});
      await consumer.connect();
      const streaming = consumer.query(
        `START_REPLICATION SLOT wal_cdc_${db.name} LOGICAL 0/0 (proto_version '1', publication_names 'other')`,
      );
      streaming.catch(() => {}); // ends with the connection
      const pid = await waitFor(
        async () => {
          const { rows } = await db.client.query(
            'SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = $1',
            [`wal_cdc_${db.name}`],
          );
          return rows[0].pid as number | null;
        },
        { what: 'the consumer to stream' },
      );
      try {
        await expectOfBoth(settings, {
          code: 'SLOT_IN_USE',
          message: new RegExp(`in use by process ${pid} of PostgreSQL \\(another from 127\\.0\\.0\\.1\\)`),
          exit: 3,
        });
      } finally {
        await db.client.query('SELECT pg_terminate_backend($1)', [pid]);
      }
    }));

  test('R14: two instances of one pipeline', () =>
    withPipeline(async (db, settings) => {
      await using first = new RunningCommand(['run'], { env: settings });
      await first.prints(/"msg":"streaming"/);
      const doctor = await walCdc(['doctor'], { env: settings });
      assert.equal(doctor.code, 0, doctor.stdout);
      assert.match(doctor.stdout, /^ok +slot \w+: a service streams from it: process \d+ \(wal-cdc/m);
      const second = await runOnce(settings);
      expectError(second, {
        code: 'SLOT_IN_USE',
        message: /in use by process \d+ of PostgreSQL \(wal-cdc from 127\.0\.0\.1\)/,
        exit: 3,
      });
      const teardown = await walCdc(['teardown'], { env: settings });
      expectError(teardown, { code: 'SLOT_IN_USE', message: new RegExp(db.name), exit: 3 });
      assert.equal((await first.stop()).code, 0);
    }));

  test('R07, R18: slot or publication changed behind the checkpoint', () =>
    withPipeline(async (db, settings) => {
      const slot = `wal_cdc_${db.name}`;
      assert.equal((await runOnce(settings)).code, 0);
      await db.client.query('INSERT INTO t VALUES (2)');
      await slotReleased(db.client, slot);
      await db.client.query(`SELECT pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`);
      await expectOfBoth(settings, { code: 'SLOT_MOVED', message: /ahead of the checkpoint/, exit: 3 });
      await slotReleased(db.client, slot);
      await db.client.query(`SELECT pg_drop_replication_slot('${slot}')`);
      await expectOfBoth(settings, { code: 'SLOT_MISSING', message: /does not exist/, exit: 3 });
      await db.client.query(`SELECT pg_create_physical_replication_slot('${slot}')`);
      await expectOfBoth(settings, { code: 'SLOT_UNUSABLE', message: /is physical/, exit: 3 });
      await slotReleased(db.client, slot);
      await db.client.query(`SELECT pg_drop_replication_slot('${slot}')`);
      await db.client.query(`DROP PUBLICATION ${slot}`);
      await expectOfBoth(settings, { code: 'PUBLICATION_MISSING', message: /was dropped/, exit: 3 });
      // The way out that the hint names.
      assert.equal((await walCdc(['teardown'], { env: settings })).code, 0);
      assert.equal((await runOnce(settings)).code, 0);
      assert.deepEqual(await clickhouse(`SELECT id FROM ${db.name}.t FINAL ORDER BY id`), [
        { id: 1 },
        { id: 2 },
      ]);
    }));

  test('ClickHouse: down, wrong password, and something else that listens there', () =>
    withPipeline(async (db, settings) => {
      const url = new URL(settings.WAL_CDC_CLICKHOUSE_URL!);
      const closed = `127.0.0.1:${await freePort()}`;
      const wrong: [string, Expected][] = [
        [
          `http://me:pw@${closed}`,
          { code: 'SINK_UNREACHABLE', message: new RegExp(`ClickHouse at ${closed}`), exit: 3 },
        ],
        [
          `http://${url.username}:wrong@${url.host}`,
          { code: 'SINK_AUTH', message: /as wal_cdc: .*password/, exit: 3 },
        ],
        [
          `http://me:pw@${new URL(db.url).host}`,
          { code: 'SINK_UNREACHABLE', message: /does not answer/, exit: 3 },
        ],
      ];
      for (const [address, expected] of wrong)
        expectError(await runOnce({ ...settings, WAL_CDC_CLICKHOUSE_URL: address }), expected);
      const [address, expected] = wrong[0]!;
      const doctor = await walCdc(['doctor'], { env: { ...settings, WAL_CDC_CLICKHOUSE_URL: address } });
      expectFinding(doctor, expected);
    }));

  test('ClickHouse: takes connections and does not answer; a stop is heeded all the same', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    try {
      const connected = once(silent, 'connection');
      await using run = new RunningCommand(['run', '--mode', 'synthetic'], {
        env: { WAL_CDC_CLICKHOUSE_URL: `http://127.0.0.1:${port}`, WAL_CDC_LISTEN: '127.0.0.1:0' },
      });
      await connected;
      const stoppedAtMs = performance.now();
      const { code, stderr } = await run.stop();
      assert.equal(code, 0, stderr);
      assert.ok(performance.now() - stoppedAtMs < 30_000);
    } finally {
      silent.close();
    }
  });

  test('ClickHouse: a table that does not fit, alone and beside one that does', () =>
    withPipeline(async (db, settings) => {
      const message = /ClickHouse table \w+\.t does not fit public\.t: .*ReplacingMergeTree/;
      await clickhouse(`CREATE DATABASE ${db.name}`);
      await clickhouse(`CREATE TABLE ${db.name}.t (id Int32) ENGINE = MergeTree ORDER BY id`);
      await expectOfBoth(settings, { code: 'TABLE_MISMATCH', message, exit: 3 });
      const plan = await walCdc(['plan'], { env: settings });
      assert.match(plan.stdout, /^-- DOES NOT FIT: table \w+\.t for public\.t$/m);
      assert.equal(plan.code, 3);
      await db.client.query('CREATE TABLE u (id int PRIMARY KEY)');
      expectStopped(await runOnce(settings), 'public.t', { code: 'TABLE_MISMATCH', message });
    }));

  for (const [policy, expected] of [
    ['clamp', '2299-12-31'],
    ['null', null],
    ['string', '9999-12-31'],
  ] as const)
    test(`9999-12-31 is found before a row is copied; onInvalid: ${policy} is the way out`, () =>
      withPipeline(async (db, settings) => {
        await db.client.query(`
          CREATE TABLE valid (id int PRIMARY KEY, until date NOT NULL);
          INSERT INTO valid SELECT i, '2024-01-01' FROM generate_series(1, 100) i;
          INSERT INTO valid VALUES (101, '9999-12-31')`);
        const message = /column "until": ClickHouse type Date32 cannot hold 9999-12-31 \(row id = 101\)/;
        if (policy === 'clamp') {
          const doctor = await walCdc(['doctor'], { env: settings });
          expectFinding(doctor, { code: 'VALUE_INVALID', message, exit: 3 });
          assert.match(doctor.stdout, /columns\."public\.valid\.until"\.onInvalid to null, clamp or string/);
        }
        expectStopped(await runOnce(settings), 'public.valid', { code: 'VALUE_INVALID', message });
        const { name } = db;
        assert.deepEqual(await clickhouse(`SELECT count() AS n FROM ${name}.valid`), [{ n: '0' }]);

        const solved = { ...settings, WAL_CDC_COLUMNS: `{"public.valid.until": {onInvalid: ${policy}}}` };
        const again = await runOnce(solved);
        assert.equal(again.code, 0, again.stderr);
        assert.deepEqual(
          await clickhouse(
            `SELECT id, CAST(until, 'Nullable(String)') AS until FROM ${name}.valid FINAL WHERE id > 100`,
          ),
          [{ id: 101, until: expected }],
        );
        assert.equal((await walCdc(['verify'], { env: solved })).code, 0);
      }));

  test('configuration: unknown keys, options that a table cannot have', () =>
    withPipeline(async (_, settings) => {
      using dir = tempDir();
      const file = join(dir.path, 'wal-cdc.yaml');
      writeFileSync(file, 'mode: wal\ntabels: [public.t]\n');
      const unknown = await walCdc(['run', '--config', file], { env: {} });
      expectError(unknown, {
        code: 'CONFIG_INVALID',
        message: /unknown setting tabels.*nearest is tables/,
        exit: 2,
      });
      const unfit: [Settings, Expected][] = [
        [
          { ...settings, WAL_CDC_METACOLUMNS_VERSION: 'id' },
          {
            code: 'TABLE_UNSUPPORTED',
            message: /public\.t has a column "id", the name of a column that wal-cdc adds/,
            exit: 3,
          },
        ],
        [
          { ...settings, WAL_CDC_COLUMNS: '{"public.t.id": {onInvalid: clamp}}' },
          {
            code: 'TABLE_UNSUPPORTED',
            message: /onInvalid: clamp on its key column "id"/,
            exit: 3,
          },
        ],
        [
          { ...settings, WAL_CDC_COLUMNS: '{"public.t.id": {type: Date}}' },
          {
            code: 'TYPE_MISMATCH',
            message: /public\.t: column "id" is int4 in PostgreSQL, which ClickHouse type Date cannot hold/,
            exit: 3,
          },
        ],
      ];
      for (const [env, expected] of unfit) expectError(await runOnce(env), expected);
    }));

  test('the port to listen on is taken', () =>
    withPipeline(async (_, settings) => {
      const other = createServer(socket => socket.end()).listen(0, '127.0.0.1');
      await once(other, 'listening');
      const { port } = other.address() as { port: number };
      try {
        await expectOfBoth(
          { ...settings, WAL_CDC_LISTEN: `127.0.0.1:${port}` },
          {
            code: 'PORT_TAKEN',
            message: new RegExp(`127\\.0\\.0\\.1:${port}.* in use`),
            exit: 2,
          },
        );
      } finally {
        other.close();
      }
    }));
});

function linesWith(text: string, part: string): string {
  return text
    .split('\n')
    .filter(line => line.includes(part))
    .join('\n');
}
