import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedClickHouse } from '../../test/support/clickhouse.ts';
import { freshDatabase, startTestPostgres } from '../../test/support/postgres.ts';
import { type Config, loadConfig } from '../config.ts';
import { ClickHouse } from '../sinks/clickhouse/client.ts';
import { connect } from '../sources/wal/connect.ts';
import { splitAddress } from './clickhouse-address.ts';
import { diagnose } from './doctor.ts';
import { type Finding, Findings } from './doctor-findings.ts';
import { diagnoseVersion } from './doctor-server.ts';
import { missingGrants } from './doctor-sink.ts';

async function configOf(url: string, pipeline: string, flags: Record<string, string> = {}): Promise<Config> {
  return loadConfig({
    env: {},
    flags: {
      mode: 'wal',
      pipeline,
      'postgres.url': url,
      'clickhouse.url': (await sharedClickHouse()).url,
      'clickhouse.database': pipeline,
      listen: '127.0.0.1:0',
      ...flags,
    },
  });
}

function examine(config: Config, fast = false): Promise<Finding[]> {
  return diagnose({ config, fast, onFinding: () => {}, onScan: () => {} });
}

/** Lines as `warn subject: message` of what is not ok; how full this machine's disk is says nothing. */
function complaints(findings: readonly Finding[], subject?: string): string[] {
  return findings
    .filter(finding => finding.level !== 'ok' && (subject === undefined || finding.subject === subject))
    .filter(finding => !finding.subject.startsWith('ClickHouse disk'))
    .map(({ level, subject, message }) => `${level} ${subject}: ${message}`);
}

async function clickhouse<T>(sql: string): Promise<T[]> {
  const client = new ClickHouse(splitAddress((await sharedClickHouse()).url));
  try {
    return await client.query<T>(sql);
  } finally {
    await client.close();
  }
}

test('M10, M11, M15, T51, T59, S16: what is special about tables is said, and nothing is written', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE fine (id int PRIMARY KEY, at date);
    CREATE TABLE keyless (a int);
    CREATE TABLE "full" (a int); ALTER TABLE "full" REPLICA IDENTITY FULL;
    CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
    CREATE TABLE lost (id int NOT NULL, CONSTRAINT u UNIQUE (id)); ALTER TABLE lost REPLICA IDENTITY USING INDEX u;
    ALTER TABLE lost DROP CONSTRAINT u;
    CREATE TABLE computed (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
    CREATE TABLE nil ();
    CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
    CREATE VIEW seen AS SELECT 1 AS one;
    CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
    INSERT INTO fine VALUES (1, 'infinity')`);
  const config = await configOf(db.url, db.name);
  const findings = await examine(config);
  const refused = 'PostgreSQL refuses UPDATE and DELETE on it while it is published';
  assert.deepEqual(complaints(findings).sort(), [
    'fail public.fine: table public.fine, column "at": ClickHouse type Nullable(Date32) cannot hold infinity (row id = 1)',
    'warn max_slot_wal_keep_size: -1: while the service is away, PostgreSQL keeps WAL without limit, until its disk is full',
    'warn public.computed: generated column twice left out: not published',
    `warn public.deferred: has a deferrable primary key, which does not tell rows apart: ${refused}`,
    'warn public.full: has no key: rows are appended, and the first UPDATE or DELETE stops the table',
    `warn public.keyless: has no primary key: ${refused}`,
    `warn public.lost: has a replica identity index that was dropped: ${refused}`,
    'warn public.nil: left out: it has no columns',
    `warn public.nothing: has REPLICA IDENTITY NOTHING: ${refused}`,
    'warn tables: left out: 1 unlogged table: public.fleeting; they leave no trace in the WAL',
  ]);
  assert.ok(
    findings.every(finding => finding.level === 'ok' || finding.hint),
    'what to change is always said',
  );
  const hintOf = (subject: string) => findings.find(other => other.subject === subject && other.hint)?.hint;
  assert.match(
    hintOf('public.keyless')!,
    /^Add a primary key; or a unique index .* REPLICA IDENTITY USING INDEX/,
  );
  assert.match(hintOf('public.full')!, /primary key, or a unique index/);
  assert.ok(
    findings.every(finding => !finding.hint?.includes('IDENTITY FULL')),
    'it would give them no key',
  );
  for (const text of ['1 view: public.seen', '1 materialized view: public.kept'])
    assert.ok(findings.some(finding => finding.level === 'ok' && finding.message === `left out: ${text}`));

  // Values are read only without --fast.
  assert.deepEqual(complaints(await examine(config, true), 'public.fine'), []);

  const made = await db.client.query(
    'SELECT 1 FROM pg_publication UNION ALL SELECT 1 FROM pg_replication_slots WHERE database = current_database()',
  );
  assert.equal(made.rowCount, 0);
  const databases = await clickhouse(`SELECT 1 FROM system.databases WHERE name = '${db.name}'`);
  assert.equal(databases.length, 0);
});

test('D27: a publication whose filter or column list makes PostgreSQL refuse changes', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE filtered (id int PRIMARY KEY, region text, note text);
    CREATE TABLE by_key (id int PRIMARY KEY, note text);
    CREATE TABLE listed (id int PRIMARY KEY, a int, b int); ALTER TABLE listed REPLICA IDENTITY FULL;
    CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE PUBLICATION p FOR TABLE filtered WHERE (region = 'eu'), by_key (id, note) WHERE (id > 5), listed (id, a), parted
      WITH (publish = 'insert, update')`);
  // That is what is warned of.
  await assert.rejects(db.client.query(`UPDATE filtered SET note = ''`), /cannot update table/);
  await assert.rejects(db.client.query(`UPDATE listed SET a = 1`), /cannot update table/);
  await db.client.query(`UPDATE by_key SET note = ''`);
  const findings = await examine(await configOf(db.url, db.name, { 'postgres.publication': 'p' }));
  const refused = 'PostgreSQL refuses UPDATE and DELETE on it';
  assert.deepEqual(
    complaints(findings).filter(line => !line.includes('max_slot_wal_keep_size')),
    [
      'warn publication p: it leaves out delete, truncate: ClickHouse will differ from PostgreSQL after these',
      'warn publication p: it has publish_via_partition_root = false: every partition becomes a ClickHouse table of its own',
      `warn public.filtered: the publication's row filter uses region, not in the replica identity: ${refused}`,
      `warn public.listed: the publication's column list lacks b of the replica identity: ${refused}`,
    ],
  );
});

test('tables that a named publication lacks, and settings that name what is not there', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY);
    CREATE TABLE "Left" (id int PRIMARY KEY);
    CREATE TABLE other (id int PRIMARY KEY);
    CREATE TABLE apart (id int PRIMARY KEY);
    CREATE PUBLICATION p FOR TABLE t WITH (publish_via_partition_root = true)`);
  const config = await configOf(db.url, db.name, {
    'postgres.publication': 'p',
    exclude: 'public.apart,public.nobody*',
  });
  const named = {
    ...config,
    tableOptions: {
      '"public"."t"': { onError: 'stop' as const },
      '"public"."u"': { onError: 'stop' as const },
    },
    columns: {
      '"public"."t"."id"': { onInvalid: 'fail' as const },
      '"public"."t"."ident"': { onInvalid: 'fail' as const },
      '"public"."u"."id"': { onInvalid: 'fail' as const },
    },
  };
  const findings = await examine(named);
  assert.deepEqual(
    complaints(findings).filter(line => !line.includes('max_slot_wal_keep_size')),
    [
      'warn exclude: "public.nobody*" matches no table',
      'warn tableOptions."public.u": has no effect: no such table is replicated',
      'warn columns."public.t.ident": has no effect: table public.t has no such column',
      'warn columns."public.u.id": has no effect: no such table is replicated',
      'warn publication p: 2 tables that "tables" names are not in it, and not replicated: public.Left, public.other',
    ],
  );
  const hint = findings.find(finding => finding.subject === 'publication p')!.hint!;
  await db.client.query(/ALTER PUBLICATION [^;]*;/.exec(hint)![0]);
  assert.deepEqual(complaints(await examine(config), 'publication p'), []);
});

test('settings of the server that make trouble later', async () => {
  await using server = await startTestPostgres({
    settings: {
      max_replication_slots: '1',
      max_slot_wal_keep_size: '64MB',
      wal_sender_timeout: '0',
      idle_replication_slot_timeout: '1d',
      synchronous_standby_names: 'ANY 1 (standby, *)',
      synchronous_commit: 'off',
    },
  });
  const client = await connect({ url: server.url });
  try {
    await client.query('CREATE TABLE t (id int PRIMARY KEY)');
    await client.query("SELECT pg_create_physical_replication_slot('taken')");
  } finally {
    await client.end();
  }
  const findings = await examine(await configOf(server.url, 'settings'));
  assert.deepEqual(complaints(findings), [
    'fail max_replication_slots: 1 of 1 in use: none is free',
    'warn wal_sender_timeout: 0: PostgreSQL does not notice that a service is gone, and its slot stays in use',
    'warn idle_replication_slot_timeout: 1d: a service that is away for longer loses its slot, and copies the tables afresh',
    'warn synchronous_commit: off: commits are streamed up to 600 ms late, when the WAL writer flushes them',
    'warn synchronous_standby_names: "ANY 1 (standby, *)" makes commits wait for this service, and so for ClickHouse',
  ]);
});

test('D25: minor versions that lose rows while a publication is altered', () => {
  const levels = (version: number, versionText: string) => {
    const findings = new Findings(() => {});
    diagnoseVersion({ version, versionText }, findings);
    return findings.all.map(finding => finding.level);
  };
  assert.deepEqual(levels(170004, '17.4'), ['warn']);
  assert.deepEqual(levels(170005, '17.5'), []);
  assert.deepEqual(levels(150012, '15.12'), ['warn']);
  assert.deepEqual(levels(180000, '18.0'), []);
  assert.deepEqual(levels(190000, '19.0'), ['warn']);
  assert.deepEqual(levels(130021, '13.21'), ['fail']);
});

test('ClickHouse: tables that are there, without fsync; grants that the user lacks', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  await clickhouse(`CREATE DATABASE ${db.name}`);
  await clickhouse(`
    CREATE TABLE ${db.name}.t (id Int32, _version UInt128, _is_deleted UInt8, _committed_at DateTime64(6, 'UTC'))
    ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id`);
  const config = await configOf(db.url, db.name);
  const line = `warn public.t: ClickHouse table ${db.name}.t is without fsync_after_insert: a power failure may lose rows that were acknowledged`;
  const findings = await examine(config);
  assert.deepEqual(complaints(findings, 'public.t'), [line]);
  const hint = findings.find(finding => finding.subject === 'public.t' && finding.level === 'warn')!.hint!;
  await clickhouse(hint.replace(/;$/, ''));
  assert.deepEqual(complaints(await examine(config), 'public.t'), []);

  const client = new ClickHouse(splitAddress((await sharedClickHouse()).url));
  try {
    // The user of the embedded server needs no dictionaries.
    assert.deepEqual(
      await missingGrants(client, ['SELECT', 'CREATE DICTIONARY'], '`a \\`strange\\` name`.*'),
      ['CREATE DICTIONARY'],
    );
  } finally {
    await client.close();
  }
});
