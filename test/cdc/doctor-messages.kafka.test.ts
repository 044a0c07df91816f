import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RunningCommand, walCdc } from '../support/command-line.ts';
import { queryClickHouse } from '../support/command-pipeline.ts';
import { freePort } from '../support/free-port.ts';
import { asEnvironment, cdcConfig, cdcSettings, complaints, examine } from '../support/kafka/findings.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { sharedKafka } from '../support/kafka/shared-kafka.ts';
import {
  createTopic,
  deleteRecordsBefore,
  deleteTopic,
  type NewMessage,
  produce,
} from '../support/kafka/topics.ts';
import { freshDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const source = (table: string, lsn: number, snapshot: unknown = null) => ({
  snapshot,
  schema: 'public',
  table,
  lsn,
  sequence: `["${lsn - 8}","${lsn}"]`,
  ts_us: 1_700_000_000_000_000,
});

/** An insert as Debezium writes it without schemas. */
function insert(table: string, row: { id: number }, more: Partial<NewMessage> = {}): NewMessage {
  const envelope = { before: null, after: row, source: source(table, 1000 + row.id * 8), op: 'c' };
  return { key: JSON.stringify({ id: row.id }), value: JSON.stringify(envelope), ...more };
}

async function send(name: string, table: string, messages: NewMessage[], partitions = 1): Promise<void> {
  const broker = await sharedKafka();
  await createTopic(broker, `${name}.public.${table}`, { partitions });
  if (messages.length > 0) await produce(broker, `${name}.public.${table}`, messages);
}

const makeTable = (name: string, table: string, columns = 'id Int32, v Nullable(String)') =>
  queryClickHouse(`CREATE TABLE ${name}.${table} (${columns}, _version UInt128, _is_deleted UInt8,
    _committed_at DateTime64(6, 'UTC')) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`);

describe('doctor about messages', { skip: withoutKafka }, () => {
  test('a topic whose table ClickHouse has is fine; without one nothing says of what types columns are', async () => {
    await queryClickHouse('CREATE DATABASE fine');
    await makeTable('fine', 'known');
    await send('fine', 'known', [insert('known', { id: 1, v: 'a' } as never), insert('known', { id: 2 })]);
    await send('fine', 'unknown', [insert('unknown', { id: 1 })]);
    await send('fine', 'nothing', []);
    const findings = await examine(await cdcConfig('fine'));
    assert.deepEqual(complaints(findings), [
      'fail public.unknown: nothing says of what types the columns of public.unknown are: its messages carry no schema, and ClickHouse has no such table [TABLE_UNKNOWN]',
    ]);
    const lines = findings.map(({ subject, message }) => `${subject}: ${message}`);
    for (const line of [
      'topics: 3 topics to read',
      'consumer group wal_cdc_fine: run makes it',
      'lag: 3 messages to read',
      'topic fine.public.known: 1 partition, about 2 messages: JSON without schemas; public.known; not read yet',
      'topic fine.public.nothing: 1 partition, empty: nothing can be said of its messages yet',
      'public.known: → fine.known, told apart by (id); types from the ClickHouse table',
    ])
      assert.ok(lines.includes(line), `${line}\n${lines.join('\n')}`);

    // plan says the same, and makes nothing.
    const env = asEnvironment(await cdcSettings('fine'));
    const plan = await walCdc(['plan'], { env });
    assert.equal(plan.code, 0, plan.stderr);
    assert.match(plan.stdout, /^-- table fine\.known for public\.known: fits$/m);
    assert.match(
      plan.stdout,
      /^-- table for public\.unknown: nothing can be said yet: .*\n-- Set postgres\.url/m,
    );
    assert.match(
      plan.stdout,
      /^-- table for topic fine\.public\.nothing: nothing can be said yet: it has no/m,
    );
    assert.match(plan.stdout, /CREATE TABLE IF NOT EXISTS wal_cdc\.offsets/);
  });

  test('K11, K12: messages that cannot be read are named; so are tables without keys', async () => {
    await queryClickHouse('CREATE DATABASE garbage');
    await makeTable('garbage', 'some');
    await makeTable('garbage', 'keyless');
    const garbage = { key: null, value: 'no envelope' };
    await send('garbage', 'some', [insert('some', { id: 1 }), garbage, insert('some', { id: 2 })]);
    await send('garbage', 'all', [garbage, { key: null, value: '{"id": 1}' }]);
    await send(
      'garbage',
      'keyless',
      [0, 1].map(partition => insert('keyless', { id: partition }, { key: null, partition })),
      2,
    );
    const findings = complaints(await examine(await cdcConfig('garbage')));
    assert.equal(findings.length, 4, findings.join('\n'));
    assert.match(
      findings[0]!,
      /^fail topic garbage\.public\.all: 2 of the 2 messages looked at cannot be read: garbage\.public\.all\/0\/0: .*; garbage\.public\.all\/0\/1: neither an envelope.* \[MESSAGE_INVALID\]$/,
    );
    assert.match(
      findings[1]!,
      /^warn topic garbage\.public\.keyless: messages of public\.keyless have no key, in 2 partitions/,
    );
    assert.match(
      findings[2]!,
      /^warn topic garbage\.public\.some: 1 of the 3 .*: garbage\.public\.some\/0\/1: .*; such messages go to the dead letters$/,
    );
    assert.match(
      findings[3]!,
      /^warn public\.keyless: is told apart by \(id\), but its messages have no key$/,
    );
  });

  test('K05, K13: keys in two partitions, and flattened rows that say too little', async () => {
    await queryClickHouse('CREATE DATABASE flat');
    await makeTable('flat', 'rows');
    const row = (id: number, more: object) => ({
      key: `{"id":${id}}`,
      value: JSON.stringify({ id, v: 'a', __op: 'c', __lsn: 1000 + id, ...more }),
    });
    await send(
      'flat',
      'rows',
      [0, 1].map(partition => ({ ...row(1, {}), partition })),
      2,
    );
    const findings = complaints(await examine(await cdcConfig('flat')));
    assert.deepEqual(findings, [
      'warn topic flat.public.rows: flattened rows lack sequence, schema, table, source.ts_us: changes are ordered by their LSN alone, and do not compare with those of mode wal; schemas and tables are taken from the names of topics; _committed_at is the time of reading',
      'warn topic flat.public.rows: messages of one key are in partitions 0 and 1: changes of a row may come out of order, and only their LSNs order them',
    ]);
  });

  test('Avro without a registry, and a registry that does not answer', async () => {
    const avro = Buffer.from([0, 0, 0, 0, 7, 2]);
    await send('avro', 't', [{ key: null, value: avro }]);
    const without = complaints(await examine(await cdcConfig('avro')));
    assert.match(
      without.join('\n'),
      /cannot be read: avro\.public\.t\/0\/0: Avro, but kafka\.registry is not set/,
    );
    const registry = `http://me:secret@127.0.0.1:${await freePort()}`;
    const away = complaints(await examine(await cdcConfig('avro', { 'kafka.registry': registry })));
    assert.equal(away.length, 2);
    assert.match(away[0]!, /^fail schema registry: .*ECONNREFUSED.* \[REGISTRY_UNREACHABLE\]$/);
    assert.match(away[1]!, /^fail topic avro\.public\.t: .* \[REGISTRY_UNREACHABLE\]$/);
    assert.doesNotMatch(away.join('\n'), /secret/);
  });

  test('patterns that match nothing, brokers that are away or want something else, and a wrong postgres.url', async () => {
    await send('other', 't', [insert('t', { id: 1 })]);
    const none = await examine(await cdcConfig('nobody'));
    assert.match(
      complaints(none).join('\n'),
      /^fail topics: none matches "nobody\\\.\.\*": run would wait for one; these are there: .* \[NO_TOPICS\]$/,
    );
    const some = complaints(await examine(await cdcConfig('other', { 'kafka.topics': 'other\\..*,others' })));
    assert.ok(some.includes('warn topics: none matches "others"'), some.join('\n'));

    const away = `127.0.0.1:${await freePort()}`;
    const env = asEnvironment(await cdcSettings('away', { 'kafka.brokers': away }));
    const { code, stdout } = await walCdc(['doctor'], { env });
    assert.equal(code, 3);
    assert.match(
      stdout,
      /^FAIL {2}Kafka: no connection to the Kafka broker at .*Check kafka\.brokers.*\[BROKER_UNREACHABLE\]$/m,
    );
    assert.match(stdout, /^ok {4}ClickHouse: /m);

    const sasl = {
      'kafka.sasl.mechanism': 'plain',
      'kafka.sasl.username': 'me',
      'kafka.sasl.password': 'secret',
    };
    const refused = complaints(await examine(await cdcConfig('other', sasl)));
    assert.match(refused.join('\n'), /^fail Kafka: .*\[BROKER_/);
    assert.doesNotMatch(refused.join('\n'), /secret/);

    await using db = await freshDatabase();
    const wrong = db.url.replace(/\/[^/]*$/, '/nowhere');
    const config = await cdcConfig('other', { 'postgres.url': wrong });
    assert.match(
      complaints(await examine(config)).join('\n'),
      /^fail PostgreSQL: .*nowhere.* \[SOURCE_AUTH\]$/m,
    );
  });

  test('status without a service and with brokers away; teardown then says what is left', async () => {
    await send('left', 't', [insert('t', { id: 1 }), insert('t', { id: 2 })], 2);
    await queryClickHouse('CREATE DATABASE left');
    await makeTable('left', 't');
    const settings = await cdcSettings('left');
    const env = asEnvironment(settings);
    const run = await walCdc(['run', '--until', 'current'], { env });
    assert.equal(run.code, 0, run.stderr);
    await produce(await sharedKafka(), 'left.public.t', [insert('t', { id: 3 }, { partition: 1 })]);

    const status = await walCdc(['status'], { env });
    assert.equal(status.code, 0, status.stderr);
    assert.match(status.stdout, /^offsets {5}2 partitions of 1 topic, 1 message behind$/m);
    assert.match(status.stdout, /^left\.public\.t\/1 +\d+ +1$/m);
    assert.match(status.stdout, /^public\.t +left\.t +streaming/m);
    const json = JSON.parse((await walCdc(['status', '--json'], { env })).stdout);
    assert.equal(json.running, false);
    assert.equal(json.lagMessages, 1);
    assert.deepEqual(
      json.partitions.map((one: { partition: number; lag: number }) => [one.partition, one.lag]),
      [
        [0, 0],
        [1, 1],
      ],
    );

    const away = { ...env, WAL_CDC_KAFKA_BROKERS: `127.0.0.1:${await freePort()}` };
    const offline = await walCdc(['status'], { env: away });
    assert.equal(offline.code, 3);
    assert.match(offline.stdout, /^offsets {5}2 partitions of 1 topic; how far behind is not known$/m);
    assert.match(offline.stdout, /^problem {5}no connection to the Kafka broker/m);
    assert.match(offline.stdout, /^left\.public\.t\/0 +\d+ +unknown$/m);

    const first = await walCdc(['teardown'], { env: away });
    assert.equal(first.code, 3);
    assert.match(first.stdout, /^left {5}consumer group wal_cdc_left: no connection/m);
    assert.match(first.stdout, /^left {5}table left\.t: only --data drops it$/m);
    assert.match(first.stdout, /^dropped {2}what wal_cdc has of pipeline left$/m);
    assert.match(first.stderr, /Kafka still has consumer group wal_cdc_left/);
    assert.deepEqual(await queryClickHouse("SELECT 1 FROM wal_cdc.offsets WHERE pipeline = 'left'"), []);

    const warned = complaints(await examine(await cdcConfig('left')));
    assert.match(
      warned.join('\n'),
      /^warn consumer group wal_cdc_left: it has committed offsets that this pipeline has not saved/m,
    );

    const second = await walCdc(['teardown', '--data'], { env });
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stdout, /^dropped {2}consumer group wal_cdc_left$/m);
    // It was there before: nobody but its owner drops it.
    assert.match(second.stdout, /^left {5}table left\.t: no pipeline made it: it is yours$/m);
    assert.match((await walCdc(['teardown'], { env })).stdout, /^absent {3}consumer group wal_cdc_left$/m);
  });

  test('K07, K08: offsets that are gone, a topic that is another one, and one that is gone', async () => {
    const broker = await sharedKafka();
    await queryClickHouse('CREATE DATABASE lost');
    for (const table of ['expired', 'again', 'gone']) {
      await makeTable('lost', table);
      await send('lost', table, [insert(table, { id: 1 })]);
    }
    const settings = await cdcSettings('lost', { listen: `127.0.0.1:${await freePort()}` });
    const env = asEnvironment(settings);
    await using service = new RunningCommand(['run'], { env });
    await waitFor(async () => (await walCdc(['status'], { env })).stdout.includes('read to their ends'), {
      what: 'all to be read',
    });
    // A service that runs is asked; Connect is asked by status itself.
    const connect = `http://127.0.0.1:${await freePort()}`;
    const status = await walCdc(['status', '--connect', connect], { env });
    assert.equal(status.code, 3);
    assert.match(status.stdout, /^pipeline {4}lost \(cdc\), streaming[\s\S]*^lost\.public\.gone\/0 +1 +0$/m);
    assert.match(status.stdout, /^connect {5}.*\(CONNECT_UNREACHABLE\)$/m);
    const refused = await walCdc(['teardown'], { env });
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /answers at http[\s\S]*PIPELINE_RUNNING/);
    assert.equal((await service.stop()).code, 0);

    await produce(broker, 'lost.public.expired', [
      insert('expired', { id: 2 }),
      insert('expired', { id: 3 }),
    ]);
    await deleteRecordsBefore(broker, 'lost.public.expired', 0, 2n);
    await deleteTopic(broker, 'lost.public.gone');
    await deleteTopic(broker, 'lost.public.again');
    await send('lost', 'again', [insert('again', { id: 1 })]);
    const findings = complaints(await examine(await cdcConfig('lost')));
    assert.deepEqual(findings, [
      'fail topic lost.public.expired: offset 1 of partition 0 is to be read next, but it begins at 2 [OFFSET_LOST]',
      'warn topic lost.public.again: it was deleted and created again: run reads it from its beginning, and its rows go before those of the old one',
      'warn topics: 1 topic that this pipeline has read is gone, or not among kafka.topics any more: lost.public.gone',
    ]);
  });
});
