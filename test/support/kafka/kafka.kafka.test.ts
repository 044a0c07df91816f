import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Admin, type AdminOptions } from '@platformatic/kafka';
import { freshDatabase } from '../postgres.ts';
import { waitFor } from '../wait-for.ts';
import { type KafkaBroker, startKafka } from './broker.ts';
import { withoutKafka } from './java.ts';
import { type Listener, saslMechanisms, saslUser } from './listeners.ts';
import {
  avroConverters,
  type ConnectorSource,
  debeziumDefaults,
  platformProfile,
} from './platform-profile.ts';
import { sharedConnect, sharedKafka, sharedRegistry } from './shared-kafka.ts';
import {
  createTopic,
  deleteRecordsBefore,
  deleteTopic,
  endOffsets,
  produce,
  readTopic,
  setPartitions,
} from './topics.ts';

const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../fixtures/tls', name));

describe('Kafka', { skip: withoutKafka }, () => {
  test('a topic gives back what was put into it: null keys, tombstones, equal headers, committed transactions', async () => {
    const broker = await sharedKafka();
    await createTopic(broker, 'given', { partitions: 2 });
    await produce(broker, 'given', [
      {
        partition: 0,
        key: 'a',
        value: 'one',
        headers: [
          ['h', '1'],
          ['h', '2'],
          ['none', null],
        ],
        timestampMs: 1_000,
      },
      { partition: 0, value: Buffer.from([0, 255]) },
      { partition: 1, key: 'a', value: null },
    ]);
    await produce(broker, 'given', [{ partition: 1, value: 'aborted' }], { transaction: 'abort' });
    for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const)
      await produce(broker, 'given', [{ partition: 1, value: compression }], {
        transaction: 'commit',
        compression,
      });

    const messages = await readTopic(broker, 'given');
    assert.deepEqual(
      messages.map(({ partition, key, value }) => [
        partition,
        key && `${key}`,
        value?.toString('latin1') ?? null,
      ]),
      [
        [0, 'a', 'one'],
        [0, null, '\0\xff'],
        [1, 'a', null],
        [1, null, 'gzip'],
        [1, null, 'snappy'],
        [1, null, 'lz4'],
        [1, null, 'zstd'],
      ],
    );
    assert.deepEqual(messages[0]!.headers, [
      ['h', Buffer.from('1')],
      ['h', Buffer.from('2')],
      ['none', null],
    ]);
    assert.equal(messages[0]!.timestampMs, 1_000);
    const all = await readTopic(broker, 'given', { isolation: 'uncommitted' });
    assert.equal(all.filter(({ value }) => value?.toString() === 'aborted').length, 1);
  });

  test('partitions are added, old messages dropped, topics deleted', async () => {
    const broker = await sharedKafka();
    await createTopic(broker, 'changing');
    await produce(broker, 'changing', [{ value: '1' }, { value: '2' }, { value: '3' }]);
    await setPartitions(broker, 'changing', 3);
    await deleteRecordsBefore(broker, 'changing', 0, 2n);
    assert.deepEqual(await endOffsets(broker, 'changing'), [3n, 0n, 0n]);
    assert.deepEqual(
      (await readTopic(broker, 'changing')).map(({ offset }) => offset),
      [2n],
    );
    await deleteTopic(broker, 'changing');
    assert.deepEqual(await endOffsets(broker, 'changing'), []);
  });

  test('TLS, client certificates and every SASL mechanism; a crash loses no message', async () => {
    await using broker = await startKafka({ listeners: ['tls', 'mtls', 'sasl', 'sasl_tls'] });
    const ca = fixture('ca.crt');
    await connects(broker, 'tls', { tls: { ca } });
    await isRefused(broker, 'tls', { tls: {} });
    await connects(broker, 'mtls', { tls: { ca, cert: fixture('client.crt'), key: fixture('client.key') } });
    await isRefused(broker, 'mtls', { tls: { ca } });
    for (const mechanism of saslMechanisms) {
      const isToken = mechanism === 'OAUTHBEARER';
      const sasl = { mechanism, ...(isToken ? { token: broker.token() } : saslUser) };
      await connects(broker, 'sasl', { sasl });
      await connects(broker, 'sasl_tls', { sasl, tls: { ca } });
      const wrong = isToken
        ? { token: broker.token({ expiresInS: -120 }) }
        : { ...saslUser, password: 'wrong' };
      await isRefused(broker, 'sasl', { sasl: { mechanism, ...wrong } });
    }
    await isRefused(broker, 'sasl', {
      sasl: { mechanism: 'OAUTHBEARER', token: broker.token({ aud: 'other' }) },
    });

    await produce(broker, 'kept', [{ value: '1' }, { value: '2' }]);
    await broker.kill();
    await broker.startAgain();
    await produce(broker, 'kept', [{ value: '3' }]);
    const values = (await readTopic(broker, 'kept')).map(({ offset, value }) => `${offset}:${value}`);
    assert.deepEqual(values, ['0:1', '1:2', '2:3']);
    await broker.stop();
    await broker.startAgain();
    assert.deepEqual(await endOffsets(broker, 'kept'), [3n]);
  });

  test('a killed test process leaves no broker', async () => {
    const program = `
      import { startKafka } from ${JSON.stringify(import.meta.resolve('./broker.ts'))};
      const broker = await startKafka();
      console.log(JSON.stringify({ pid: broker.pid, dir: broker.dir }));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    const { pid, dir } = JSON.parse(line);
    assert.ok(isRunning(pid));
    child.kill('SIGKILL');
    await waitFor(() => !isRunning(pid), { what: 'the broker to end' });
    rmSync(dir, { recursive: true });
  });
});

describe('Debezium', { skip: withoutKafka }, () => {
  test('writes a change with the platform profile, and goes on after Connect was killed', async () => {
    const [broker, connect] = [await sharedKafka(), await sharedConnect()];
    await using db = await freshDatabase();
    await db.client.query(`CREATE TABLE item (id int PRIMARY KEY, name text DEFAULT 'x', price numeric, at timestamptz);
      CREATE PUBLICATION items FOR TABLE item`);
    await connect.putConnector('items', platformProfile(sourceOf(db.url, 'items')));
    await db.client.query("INSERT INTO item VALUES (1, NULL, 1.50, '2026-01-02 03:04:05.678901Z')");
    const [inserted] = await messagesOf(broker, 'items.public.item', 1);
    assert.equal(inserted!.key?.toString(), '{"id":1}');
    assert.deepEqual(inserted!.headers, []);
    const envelope = JSON.parse(inserted!.value!.toString());
    assert.equal(envelope.op, 'c');
    assert.deepEqual(envelope.after, { id: 1, name: null, price: '1.50', at: '2026-01-02T03:04:05.678901Z' });

    await connect.kill();
    await db.client.query('UPDATE item SET price = 2 WHERE id = 1');
    await connect.startAgain();
    await connect.connectorRuns('items');
    await db.client.query('DELETE FROM item');
    const envelopes = async () =>
      (await readTopic(broker, 'items.public.item')).map(({ value }) => JSON.parse(`${value}`));
    await waitFor(async () => (await envelopes()).at(-1).op === 'd', { what: 'the delete' });
    // As an update, or as a row of another snapshot when Connect had not yet stored how far it was.
    assert.ok((await envelopes()).some(({ after }) => after?.price === '2'));
    await connect.deleteConnector('items');
  });

  test("writes {schema, payload} with Debezium's defaults", async () => {
    const [broker, connect] = [await sharedKafka(), await sharedConnect()];
    await using db = await freshDatabase();
    await db.client.query('CREATE TABLE item (id int PRIMARY KEY, price numeric(5,2))');
    await connect.putConnector('plain', debeziumDefaults(sourceOf(db.url, 'plain')));
    await db.client.query('INSERT INTO item VALUES (1, 1.50); DELETE FROM item');
    const [inserted, , tombstone] = await messagesOf(broker, 'plain.public.item', 3);
    const { schema, payload } = JSON.parse(inserted!.value!.toString());
    assert.equal(schema.name, 'plain.public.item.Envelope');
    assert.deepEqual(payload.after, {
      id: 1,
      price: 'AJY=',
    });
    assert.equal(tombstone!.value, null);
    await connect.deleteConnector('plain');
  });

  test('writes Avro with a zero byte and the id of a schema that the registry gives', async () => {
    const [broker, connect, registry] = [await sharedKafka(), await sharedConnect(), await sharedRegistry()];
    await using db = await freshDatabase();
    await db.client.query('CREATE TABLE item (id int PRIMARY KEY); CREATE PUBLICATION avro FOR TABLE item');
    await connect.putConnector('avro', {
      ...platformProfile(sourceOf(db.url, 'avro')),
      ...avroConverters(registry.nativeUrl),
    });
    await db.client.query('INSERT INTO item VALUES (7)');
    const [{ key, value } = { key: null, value: null }] = await messagesOf(broker, 'avro.public.item', 1);
    for (const [content, name] of [
      [key, 'Key'],
      [value, 'Envelope'],
    ] as const) {
      assert.equal(content![0], 0);
      const response = await fetch(`${registry.url}/schemas/ids/${content!.readUInt32BE(1)}`);
      const schema = JSON.parse(((await response.json()) as { schema: string }).schema);
      assert.equal(`${schema.namespace}.${schema.name}`, `avro.public.item.${name}`);
    }
    assert.deepEqual([...key!.subarray(5)], [14], '7 as a zigzag number');
    await connect.deleteConnector('avro');
  });
});

function sourceOf(postgresUrl: string, name: string): ConnectorSource {
  return { postgresUrl, topicPrefix: name, slot: name, publication: name };
}

async function messagesOf(broker: KafkaBroker, topic: string, count: number) {
  return waitFor(
    async () => {
      const messages = await readTopic(broker, topic);
      return messages.length >= count && messages;
    },
    { what: `${count} messages in ${topic}` },
  );
}

type Access = Pick<AdminOptions, 'tls' | 'sasl'>;

async function connects(broker: KafkaBroker, listener: Listener, access: Access): Promise<void> {
  const options = { clientId: 'test', bootstrapBrokers: [broker.address(listener)], retries: 0, ...access };
  const admin = new Admin(options);
  try {
    await admin.listTopics();
  } finally {
    await admin.close();
  }
}

async function isRefused(broker: KafkaBroker, listener: Listener, access: Access): Promise<void> {
  await assert.rejects(connects(broker, listener, access), `${listener} ${access.sasl?.mechanism ?? ''}`);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
