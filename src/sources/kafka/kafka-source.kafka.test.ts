import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import type { KafkaBroker } from '../../../test/support/kafka/broker.ts';
import { withoutKafka } from '../../../test/support/kafka/java.ts';
import { sharedKafka } from '../../../test/support/kafka/shared-kafka.ts';
import {
  MemberStore,
  SourceMember,
  sourceOf,
  TextReader,
  textsOf,
} from '../../../test/support/kafka/source-member.ts';
import { createTopic, endOffsets, type NewMessage, produce } from '../../../test/support/kafka/topics.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { KafkaMessage } from './envelope.ts';
import type { KafkaSource } from './kafka-source.ts';
import { NotReady } from './not-ready.ts';

const topicName = (name: string) => `${name}-${randomUUID()}`;
const values = (n: number, partition = 0, from = 0): NewMessage[] =>
  Array.from({ length: n }, (_, i) => ({ partition, value: `${partition}:${from + i}` }));
const texts = (n: number, partition = 0, from = 0) =>
  values(n, partition, from).map(({ value }) => value as string);
const ofPartition = (all: string[], partition: number) =>
  all.filter(text => text.startsWith(`${partition}:`));

describe('a source of Kafka topics', { skip: withoutKafka }, () => {
  test('gives the messages of each partition in order, and says where it is', async () => {
    const broker = await sharedKafka();
    const topic = topicName('order');
    await createTopic(broker, topic, { partitions: 3 });
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    for (let round = 0; round < 5; round++)
      for (const partition of [0, 1, 2]) await produce(broker, topic, values(200, partition, round * 200));
    await member.waitFor(() => store.texts.length === 3000, '3000 rows');
    for (const partition of [0, 1, 2])
      assert.deepEqual(ofPartition(store.texts, partition), texts(1000, partition));
    assert.deepEqual(
      [0, 1, 2].map(partition => store.offset(`${topic}/${partition}`)),
      [1000, 1000, 1000],
    );
    const positions = member.batches.map(({ batch }) => batch.position);
    assert.deepEqual(
      positions,
      positions.map((_, i) => BigInt(i + 1)),
    );
    assert.deepEqual(
      member.source.lags().map(({ lag }) => lag),
      [0, 0, 0],
    );
  });

  test('goes on from saved positions, whatever the group committed', async () => {
    const broker = await sharedKafka();
    const topic = topicName('resume');
    const group = randomUUID();
    await createTopic(broker, topic, { partitions: 2 });
    await produce(broker, topic, [...values(100, 0), ...values(100, 1)]);
    const first = new MemberStore();
    {
      await using _ = await SourceMember.start(broker, first, { topics: [topic], group });
      await waitFor(() => first.texts.length === 200, { what: 'all rows' });
    }
    const second = new MemberStore();
    second.positions.set(`${topic}/0`, { ...first.positions.get(`${topic}/0`)!, offset: 40 });
    await using _ = await SourceMember.start(broker, second, { topics: [topic], group });
    await waitFor(() => second.texts.length === 160, { what: 'what is behind the positions' });
    assert.deepEqual(ofPartition(second.texts, 0), texts(60, 0, 40));
    assert.deepEqual(ofPartition(second.texts, 1), texts(100, 1));
  });

  test('commits to the group what is acked, and no more', async () => {
    const broker = await sharedKafka();
    const topic = topicName('commit');
    const group = randomUUID();
    await createTopic(broker, topic, { partitions: 2 });
    await produce(broker, topic, values(30, 1));
    await using source = disposable(sourceOf(broker, new MemberStore(), { topics: [topic], group }));
    await source.start();
    const first = await source.read();
    await produce(broker, topic, values(20, 1, 30));
    const second = await source.read();
    assert.equal(await committed(broker, group, topic, 1), undefined);
    source.ack(first.position);
    await waitFor(async () => (await committed(broker, group, topic, 1)) === first.rows, {
      what: 'the first batch to be committed',
    });
    assert.equal(await committed(broker, group, topic, 0), undefined);
    source.ack(second.position);
    await waitFor(async () => (await committed(broker, group, topic, 1)) === first.rows + second.rows, {
      what: 'the second batch to be committed',
    });
  });

  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    test(`gives messages with compression ${compression} byte by byte`, async () => {
      const broker = await sharedKafka();
      const topic = topicName(compression);
      const large = Array.from({ length: 40 }, (_, i) => ({ value: `${i} ${randomUUID().repeat(i * 30)}` }));
      for (let from = 0; from < large.length; from += 10)
        await produce(broker, topic, large.slice(from, from + 10), { compression });
      const store = new MemberStore();
      await using member = await SourceMember.start(broker, store, { topics: [topic] });
      await member.waitFor(() => store.texts.length === large.length, 'all rows');
      assert.deepEqual(
        store.texts,
        large.map(({ value }) => value),
      );
    });
  }

  test('leaves aborted transactions out, and goes past their markers', async () => {
    const broker = await sharedKafka();
    const topic = topicName('aborted');
    // The broker writes the marker of a transaction a moment after its end was answered.
    const endsAt = (offset: bigint) =>
      waitFor(async () => (await endOffsets(broker, topic))[0] === offset, { what: `offset ${offset}` });
    await produce(broker, topic, values(3));
    await produce(broker, topic, [{ value: 'never' }], { transaction: 'abort' });
    await endsAt(5n);
    await produce(broker, topic, values(3, 0, 3), { transaction: 'commit' });
    await endsAt(9n);
    await produce(broker, topic, [{ value: 'never' }, { value: 'never' }], { transaction: 'abort' });
    await endsAt(12n);
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    const end = await member.source.until();
    await waitFor(() => member.batches.some(({ batch }) => member.source.passed(end, batch.position)), {
      what: 'the end',
    });
    assert.deepEqual(store.texts, texts(6));
    // 3 messages; 1 and a marker; 3 and a marker; 2 and a marker.
    assert.equal(store.offset(`${topic}/0`), 12);
    // A start at any of these offsets, markers too, gives the rest.
    for (let offset = 0; offset <= 12; offset++) {
      const again = new MemberStore();
      again.positions.set(`${topic}/0`, { topic, partition: 0, offset });
      await using reader = await SourceMember.start(broker, again, { topics: [topic] });
      const target = await reader.source.until();
      await waitFor(() => reader.batches.some(({ batch }) => reader.source.passed(target, batch.position)), {
        what: `the end from ${offset}`,
      });
      const rest =
        offset <= 3
          ? texts(6 - offset, 0, offset)
          : texts(Math.min(3, Math.max(0, 8 - offset)), 0, Math.max(3, offset - 2));
      assert.deepEqual(again.texts, rest, `from ${offset}`);
    }
  });

  test('ends a batch before a truncate, which the next one begins with', async () => {
    const broker = await sharedKafka();
    const topic = topicName('truncate');
    await produce(broker, topic, [
      { value: 'a lsn=100' },
      { value: 'b lsn=100' },
      { value: 'truncate' },
      { value: 'truncate' },
      { value: 'c lsn=300' },
    ]);
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    await member.waitFor(() => store.texts.length === 3, 'all rows');
    const shapes = member.batches.map(({ texts, batch }) => [batch.truncates.length, ...texts]);
    assert.deepEqual(shapes, [
      [0, 'a lsn=100', 'b lsn=100'],
      [2, 'c lsn=300'],
    ]);
    const [truncate] = member.batches[1]!.batch.truncates;
    assert.deepEqual([truncate!.commitLsn, truncate!.changeLsn], [2n, 1n]);
  });

  test('puts what is malformed or too large beside the rows, with its bytes where there are any', async () => {
    const broker = await sharedKafka();
    const topic = topicName('poison');
    await createTopic(broker, topic, { settings: { 'max.message.bytes': '10000000' } });
    const huge = 'x'.repeat(3_000_000);
    await produce(broker, topic, [
      { value: 'one' },
      {
        key: 'k',
        value: 'bad one',
        headers: [
          ['h', '1'],
          ['h', '2'],
        ],
      },
      { value: huge },
      { value: 'two' },
    ]);
    const bomb = 'y'.repeat(5_000_000);
    await produce(broker, topic, [{ value: bomb }], { compression: 'zstd' });
    await produce(broker, topic, [{ value: 'three' }]);
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, {
      topics: [topic],
      maxMessageBytes: 2_000_000,
    });
    await member.waitFor(() => store.texts.length === 3, 'all rows');
    assert.deepEqual(store.texts, ['one', 'two', 'three']);
    const poison = member.batches.flatMap(({ batch }) => batch.poison ?? []);
    assert.deepEqual(
      poison.map(({ reason, ...rest }) => ({ ...rest, reason: reason.slice(0, 16) })),
      [
        {
          topic,
          partition: 0,
          offset: 1,
          lastOffset: 1,
          key: Buffer.from('k'),
          value: Buffer.from('bad one'),
          headers: [
            ['h', Buffer.from('1')],
            ['h', Buffer.from('2')],
          ],
          reason: 'it says so',
        },
        ...[2, 4].map(offset => ({
          topic,
          partition: 0,
          offset,
          lastOffset: offset,
          key: null,
          value: null,
          headers: [],
          reason: `a message of ${offset === 2 ? 300 : 500}`,
        })),
      ],
    );
    assert.equal(store.offset(`${topic}/0`), 6);
  });

  test('waits for a reader that must load something, and reads the message again', async () => {
    const broker = await sharedKafka();
    const topic = topicName('load');
    await produce(broker, topic, values(6));
    let loads = 0;
    class LoadingReader extends TextReader {
      #ready = false;
      override read(message: KafkaMessage, out: ByteWriter): number {
        if (message.value!.toString() === '0:2' && !this.#ready) {
          loads++;
          throw new NotReady(
            sleep(20).then(() => {
              this.#ready = true;
            }),
          );
        }
        return super.read(message, out);
      }
    }
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, {
      topics: [topic],
      readerOf: () => new LoadingReader(),
    });
    await member.waitFor(() => store.texts.length === 6, 'all rows');
    assert.deepEqual(store.texts, texts(6));
    assert.equal(loads, 1);

    await using failing = await SourceMember.start(broker, new MemberStore(), {
      topics: [topic],
      readerOf: () =>
        Object.assign(new TextReader(), {
          read: () => {
            throw new NotReady(Promise.reject(new Error('no such schema')));
          },
        }),
    });
    await assert.rejects(failing.ended, /no such schema/);
  });

  test('holds no more than a batch while nobody reads', async () => {
    const broker = await sharedKafka();
    const topic = topicName('pressure');
    const value = 'v'.repeat(10_000);
    for (let round = 0; round < 40; round++)
      await produce(
        broker,
        topic,
        Array.from({ length: 50 }, () => ({ value })),
      );
    const maxBatchBytes = 200_000;
    await using source = disposable(sourceOf(broker, new MemberStore(), { topics: [topic], maxBatchBytes }));
    await source.start();
    let rows = 0;
    for (let batches = 1; rows < 2000; batches++) {
      const batch = await source.read();
      assert.ok(batch.data.pos < maxBatchBytes + 11_000, `${batch.data.pos} bytes`);
      assert.ok(textsOf(batch).every(text => text === value));
      rows += batch.rows;
      source.ack(batch.position);
      assert.ok(batches < 200);
    }
    assert.equal(rows, 2000);
  });

  test('gives an empty batch to who wakes it, and positions without rows after a while', async () => {
    const broker = await sharedKafka();
    const topic = topicName('idle');
    await produce(broker, topic, [{ value: 'ignore this' }, { value: 'ignore that' }]);
    await using source = disposable(sourceOf(broker, new MemberStore(), { topics: [topic] }));
    await source.start();
    const pending = source.read();
    await waitFor(() => source.lags().length === 1, { what: 'a fetch' });
    source.wake();
    const batch = await pending;
    assert.equal(batch.rows, 0);
    const end = await source.until();
    const last = source.passed(end, batch.position) ? batch : await source.read();
    assert.ok(source.passed(end, last.position));
    assert.equal(source.offsetsAt(last.position)[0]!.offset, 2);
  });
});

function disposable(source: KafkaSource): KafkaSource & AsyncDisposable {
  return Object.assign(source, { [Symbol.asyncDispose]: () => source.close() });
}

async function committed(
  broker: KafkaBroker,
  group: string,
  topic: string,
  partition: number,
): Promise<number | undefined> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.address()] });
  try {
    const groups = await admin.listConsumerGroupOffsets({ groups: [group] });
    const offset = groups[0]?.topics
      .find(({ name }) => name === topic)
      ?.partitions.find(({ partitionIndex }) => partitionIndex === partition)?.committedOffset;
    return offset === undefined || offset < 0n ? undefined : Number(offset);
  } finally {
    await admin.close();
  }
}
