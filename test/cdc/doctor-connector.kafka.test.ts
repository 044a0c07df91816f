import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { walCdc } from '../support/command-line.ts';
import { freePort } from '../support/free-port.ts';
import { startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { asEnvironment, cdcConfig, cdcSettings, complaints, examine } from '../support/kafka/findings.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { debeziumDefaults, jsonConverters, platformProfile } from '../support/kafka/platform-profile.ts';
import { sharedConnect, sharedKafka } from '../support/kafka/shared-kafka.ts';
import { createTopic, endOffsets } from '../support/kafka/topics.ts';
import { freshDatabase, type TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const sourceOf = (db: TestDatabase) => ({
  postgresUrl: db.url,
  topicPrefix: db.name,
  slot: db.name,
  publication: db.name,
});

/** Of every test server: its WAL has no limit. */
const expected = /^warn max_slot_wal_keep_size: -1: while the connector is away/;
const others = (lines: string[]) => lines.filter(line => !expected.test(line));

async function untilMessages(topic: string, count: number): Promise<void> {
  const kafka = await sharedKafka();
  await waitFor(async () => ((await endOffsets(kafka, topic))[0] ?? 0n) >= BigInt(count), {
    what: `${count} messages in ${topic}`,
  });
}

describe('doctor about the connector', { skip: withoutKafka }, () => {
  test('a pipeline that runs as advised: nothing to complain of; status and teardown see its instance', async () => {
    await using db = await freshDatabase();
    await db.client.query(`
      CREATE TABLE t (id int PRIMARY KEY, note text DEFAULT 'x', price numeric);
      CREATE TABLE empty (id int PRIMARY KEY);
      INSERT INTO t VALUES (1, NULL, 'NaN')`);
    const connect = await sharedConnect();
    await using replication = await startCdcReplication(db, {
      connector: source => ({ ...platformProfile(source), 'include.unknown.datatypes': 'true' }),
      // Else the service looks for new ones half a minute later.
      prepareTopics: async () => createTopic(await sharedKafka(), `${db.name}.public.t`),
    });
    await db.client.query(`INSERT INTO t VALUES (2, NULL, 1.10)`);
    await waitFor(() => replication.service.status().rowsTotal >= 2, { what: 'both rows to come' });
    await replication.expectEqual();
    const settings = await cdcSettings(db.name, { 'postgres.url': db.url, 'kafka.connect': connect.url });
    const findings = await examine(await cdcConfig(db.name, settings));
    assert.deepEqual(others(complaints(findings)), []);
    const lines = findings.map(({ subject, message }) => `${subject}: ${message}`);
    for (const line of [
      `connector ${db.name}: RUNNING, 1 task, topic.prefix ${db.name}`,
      `connector ${db.name}: set up as docs/cdc.md advises, or as well as that`,
      `connector ${db.name}: kafka.connector says what the connector does`,
      `consumer group wal_cdc_${db.name}: 1 instance of the service: 127.0.0.1; Stable`,
      `public.t: → ${db.name}.t, told apart by (id); replicated already`,
      'tables: no topic carries 1 empty table yet: public.empty; one is made with the first row',
    ])
      assert.ok(lines.includes(line), `${line}\n${lines.join('\n')}`);

    const env = asEnvironment(settings);
    const status = await walCdc(['status'], { env });
    assert.equal(status.code, 0, status.stdout);
    assert.match(status.stdout, /^group {7}wal_cdc_\w+ has 1 member \(wal-cdc at 127\.0\.0\.1\)/m);
    assert.match(status.stdout, new RegExp(`^connector {3}${db.name}: RUNNING\n +task 0: RUNNING$`, 'm'));
    const refused = await walCdc(['teardown', '--data'], { env });
    assert.equal(refused.code, 3);
    assert.equal(refused.stdout, '');
    assert.match(refused.stderr, /has 1 member: wal-cdc at 127\.0\.0\.1[\s\S]*PIPELINE_RUNNING/);

    const plan = await walCdc(['plan'], { env });
    assert.match(plan.stdout, /^-- table \w+\.t for public\.t: fits; streaming$/m);
    assert.match(
      plan.stdout,
      /^-- table \w+\.empty for public\.empty: no message of it has come yet\nCREATE TABLE/m,
    );
    await replication.stop();
    const torn = await walCdc(['teardown', '--data'], { env });
    assert.equal(torn.code, 0, torn.stderr);
    assert.match(torn.stdout, new RegExp(`^dropped {2}consumer group wal_cdc_${db.name}$`, 'm'));
    assert.match(torn.stdout, new RegExp(`^dropped {2}table ${db.name}\\.t$`, 'm'));
    assert.match(torn.stdout, /^left {5}connector, its slot and publication, topics: /m);
  });

  test('what the connector loses is said of the setting and of the rows that have it', async () => {
    await using db = await freshDatabase();
    await db.client.query(`
      CREATE TABLE t (id int PRIMARY KEY, note text DEFAULT 'x', price numeric(12, 2), day date, tags int[], span interval, box box);
      CREATE TABLE left_out (id int PRIMARY KEY);
      INSERT INTO left_out VALUES (1);
      INSERT INTO t VALUES (1, NULL, 'NaN', '0044-03-15 BC', '{{1,2},{3,4}}', '1 month', '((0,0),(1,1))');
      CREATE PUBLICATION ${db.name} FOR TABLE t`);
    const connect = await sharedConnect();
    const { 'value.converter.replace.null.with.default': _, ...converters } = jsonConverters({
      schemas: false,
    });
    await connect.putConnector(db.name, {
      ...debeziumDefaults(sourceOf(db)),
      ...converters,
      'publication.autocreate.mode': 'disabled',
      'table.include.list': 'public.t',
    });
    try {
      await db.client.query('INSERT INTO t (id) VALUES (2)');
      await untilMessages(`${db.name}.public.t`, 2);
      const settings = { 'postgres.url': db.url, 'kafka.connect': connect.url };
      const config = await cdcConfig(db.name, {
        ...settings,
        columns: '{"public.t.day": {"onInvalid": "null"}}',
      });
      const findings = others(complaints(await examine(config)));
      const of = `connector ${db.name}:`;
      const lossy = 'rows? with values that Debezium changes';
      for (const line of [
        `^warn ${of} value.converter.replace.null.with.default = true \\(the default\\): a NULL in a column`,
        `^warn ${of} skipped.operations = t \\(the default\\): these do not arrive: TRUNCATE$`,
        `^warn ${of} include.unknown.datatypes = false`,
        `^fail ${of} decimal.handling.mode = precise \\(the default\\), but kafka.connector.decimals is string, and messages do not say it: .*\\[CONNECTOR_MISMATCH\\]$`,
        `^fail ${of} time.precision.mode = adaptive \\(the default\\), but kafka.connector.times is isostring`,
        `^fail ${of} interval.handling.mode = numeric \\(the default\\), but kafka.connector.intervals is string`,
        `^warn public.t: column "day" has 1 ${lossy}: BC, `,
        `^warn public.t: column "tags" has 1 ${lossy}: arrays in arrays`,
        `^warn public.t: column "price" has 1 ${lossy}: NaN or infinity`,
        `^warn public.t: column "span" has 1 ${lossy}: with days, months or years`,
        `^warn public.t: its messages lack box: the connector leaves it out`,
        `^warn public.t: a NULL in note arrives as the default of the column`,
        '^warn tables: no topic carries 1 table with rows: public.left_out$',
      ])
        assert.ok(
          findings.some(text => new RegExp(line).test(text)),
          `${line}\n${findings.join('\n')}`,
        );
      assert.ok(!findings.some(line => line.includes('VALUE_INVALID')), 'NaN arrives as NULL');
      // The messages show it without Connect, too; its settings are not known then.
      const alone = complaints(await examine(await cdcConfig(db.name, { 'postgres.url': db.url }), true));
      assert.ok(
        alone.includes(
          'warn public.t: a NULL in note arrives as the default of the column, and nothing can tell',
        ),
      );
      assert.ok(!alone.some(line => line.includes('CONNECTOR')), alone.join('\n'));
    } finally {
      await connect.deleteConnector(db.name);
    }
    // Its slot stays, and keeps WAL; and a role that may only look at the catalog.
    const role = `${db.name}_reader`;
    await db.client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    try {
      const url = new URL(db.url);
      url.username = role;
      url.password = 'secret';
      const left = complaints(await examine(await cdcConfig(db.name, { 'postgres.url': url.href }), true));
      for (const line of [
        /^warn slot \w+: at [0-9A-F/]+, and nobody reads it: no changes come$/,
        /^fail public\.t: the role may not SELECT from it: a large value .* \[TABLE_UNREADABLE\]$/,
      ])
        assert.ok(
          left.some(text => line.test(text)),
          `${line}\n${left.join('\n')}`,
        );
    } finally {
      await db.client.query(`DROP ROLE ${role}`);
    }
  });

  test('a connector that failed, one that is missing, and a Connect that does not answer', async () => {
    await using db = await freshDatabase();
    await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
    const connect = await sharedConnect();
    const settings = await cdcSettings(db.name, { 'kafka.connect': connect.url });
    const config = await cdcConfig(db.name, settings);
    const missing = complaints(await examine(config));
    assert.match(missing.join('\n'), /^fail Kafka Connect: .*: it has no connectors \[CONNECTOR_MISSING\]$/m);

    // There is no publication, and the connector may make none.
    const failing = connect.putConnector(db.name, {
      ...platformProfile(sourceOf(db)),
      'database.dbname': db.name,
    });
    await assert.rejects(failing, /Publication autocreation is disabled/);
    try {
      const failed = complaints(await examine(config));
      assert.match(
        failed.join('\n'),
        new RegExp(
          `^fail connector ${db.name}: task 0 FAILED: .*[Pp]ublication.*\\[CONNECTOR_FAILED\\]$`,
          'm',
        ),
      );
      const status = await walCdc(['status', '--json'], { env: asEnvironment(settings) });
      assert.equal(status.code, 3, status.stderr);
      const [one] = JSON.parse(status.stdout).connect.connectors;
      assert.equal(one.name, db.name);
      assert.equal(one.tasks[0].state, 'FAILED');
      assert.match(one.tasks[0].reason, /publication/i);
      assert.doesNotMatch(status.stdout, /database\.password/);

      // Topics of another prefix, in another database.
      const elsewhere = await cdcConfig('elsewhere', { 'kafka.connect': connect.url });
      const others = complaints(await examine(elsewhere)).join('\n');
      assert.match(others, /fail topics: none matches/);
    } finally {
      await connect.deleteConnector(db.name);
    }
    const away = `http://me:secret@127.0.0.1:${await freePort()}`;
    const env = asEnvironment({ ...settings, 'kafka.connect': away });
    const status = await walCdc(['status'], { env });
    assert.equal(status.code, 3);
    assert.match(
      status.stdout,
      /^connect {5}Kafka Connect at .* does not answer: .*\(CONNECT_UNREACHABLE\)$/m,
    );
    assert.doesNotMatch(status.stdout, /secret/);
    const doctor = await walCdc(['doctor'], { env });
    assert.equal(doctor.code, 3);
    assert.match(doctor.stdout, /^FAIL {2}Kafka Connect: .*\[CONNECT_UNREACHABLE\]$/m);
  });
});
