import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { startKafka } from '../../../test/support/kafka/broker.ts';
import { withoutKafka } from '../../../test/support/kafka/java.ts';
import { sharedKafka } from '../../../test/support/kafka/shared-kafka.ts';
import { MemberStore, SourceMember } from '../../../test/support/kafka/source-member.ts';
import {
  createTopic,
  deleteRecordsBefore,
  deleteTopic,
  produce,
  setPartitions,
} from '../../../test/support/kafka/topics.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import type { CdcError } from '../../core/errors.ts';

const topicName = (name: string) => `${name}-${randomUUID()}`;
const values = (n: number, from = 0, partition = 0) =>
  Array.from({ length: n }, (_, i) => ({ partition, value: `${partition}:${from + i}` }));
const texts = (n: number, from = 0, partition = 0) => values(n, from, partition).map(({ value }) => value);

const hasCode = (code: string, message: RegExp) => (error: CdcError) => {
  assert.equal(error.code, code, error.stack);
  assert.match(error.message, message);
  return true;
};

describe('a consumer of Kafka topics', { skip: withoutKafka }, () => {
  test('stops when messages that were not read are gone', async () => {
    const broker = await sharedKafka();
    const topic = topicName('retention');
    await produce(broker, topic, values(10));
    const store = new MemberStore();
    {
      await using member = await SourceMember.start(broker, store, { topics: [topic] });
      await member.waitFor(() => store.texts.length === 10, 'all rows');
    }
    await produce(broker, topic, values(10, 10));
    await deleteRecordsBefore(broker, topic, 0, 15n);
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    await assert.rejects(member.ended, hasCode('OFFSET_LOST', /retention-.*\/0 no longer has offset 10/));
    assert.equal(store.texts.length, 10);
  });

  test('stops when the log ends before what was read', async () => {
    const broker = await sharedKafka();
    const topic = topicName('ahead');
    await produce(broker, topic, values(10));
    const store = new MemberStore();
    store.positions.set(`${topic}/0`, { topic, partition: 0, offset: 500 });
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    await assert.rejects(member.ended, hasCode('OFFSET_LOST', /no longer has offset 500/));
  });

  test('begins where the log does', async () => {
    const broker = await sharedKafka();
    const topic = topicName('cut');
    await produce(broker, topic, values(10));
    await deleteRecordsBefore(broker, topic, 0, 4n);
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    await member.waitFor(() => store.texts.length === 6, 'what is left');
    assert.deepEqual(store.texts, texts(6, 4));
  });

  test('notices a topic that was made again while it is read, and begins with the new one', async () => {
    const broker = await sharedKafka();
    const topic = topicName('again');
    await createTopic(broker, topic);
    await produce(broker, topic, values(20));
    const store = new MemberStore();
    {
      await using member = await SourceMember.start(broker, store, { topics: [topic] });
      await member.waitFor(() => store.texts.length === 20, 'rows of the first topic');
      await deleteTopic(broker, topic);
      await waitFor(
        async () =>
          createTopic(broker, topic).then(
            () => true,
            () => false,
          ),
        { what: 'the new topic' },
      );
      await produce(broker, topic, values(5, 100));
      const isRecreated = hasCode('TOPIC_RECREATED', /was deleted and created again/);
      // Or it sees the deletion first, and the new topic as one that it was given later.
      await member
        .waitFor(() => store.texts.length === 25, 'rows of the second topic')
        .catch(error => assert.ok(isRecreated(error)));
    }
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    await member.waitFor(() => store.texts.length === 25, 'rows of the second topic');
    assert.deepEqual(store.texts.slice(20), texts(5, 100));
    assert.deepEqual(store.recreated, [topic]);
    assert.equal(store.offset(`${topic}/0`), 5);
  });

  test('a caller may refuse to begin with a topic that was made again', async () => {
    const broker = await sharedKafka();
    const topic = topicName('refused');
    await produce(broker, topic, values(3));
    const store = new MemberStore();
    store.positions.set(`${topic}/0`, { topic, topicId: randomUUID(), partition: 0, offset: 2 });
    await using member = await SourceMember.start(broker, store, {
      topics: [topic],
      recreated: async () => {
        throw new Error('the epoch rises first');
      },
    });
    await assert.rejects(member.ended, /the epoch rises first/);
    assert.deepEqual(store.texts, []);
  });

  test('tells of a topic that is deleted, and reads the others', async () => {
    const broker = await sharedKafka();
    const prefix = topicName('some');
    await produce(broker, `${prefix}.a`, values(3));
    await produce(broker, `${prefix}.b`, values(3));
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [`${prefix}\\..*`] });
    await member.waitFor(() => store.texts.length === 6, 'rows of both');
    await deleteTopic(broker, `${prefix}.a`);
    await member.waitFor(() => store.deleted.includes(`${prefix}.a`), 'the deletion to be noticed');
    await produce(broker, `${prefix}.b`, values(3, 3));
    await member.waitFor(() => store.texts.length === 9, 'rows of the other topic');
    await member.waitFor(
      () => member.source.lags().every(({ topic }) => topic === `${prefix}.b`),
      'a new assignment',
    );
  });

  test('takes in new topics and new partitions, and leaves out what only contains a pattern', async () => {
    const broker = await sharedKafka();
    const prefix = topicName('grow');
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [`${prefix}\\.(a|b)`] });
    await produce(broker, `${prefix}.a`, values(3));
    await produce(broker, `${prefix}.abc`, [{ value: 'never' }]);
    await member.waitFor(() => store.texts.length === 3, 'rows of the first topic');
    await produce(broker, `${prefix}.b`, values(3, 10));
    await member.waitFor(() => store.texts.length === 6, 'rows of the second topic');
    await setPartitions(broker, `${prefix}.a`, 3);
    await produce(broker, `${prefix}.a`, [...values(4, 0, 2), ...values(2, 3, 0)]);
    await member.waitFor(() => store.texts.length === 12, 'rows of new partitions');
    assert.equal(new Set(store.texts).size, 12);
    assert.deepEqual(
      [0, 1, 2].map(partition => store.offset(`${prefix}.a/${partition}`)),
      [5, 0, 4],
    );
  });

  test('a broker that is killed and starts again goes unnoticed, but for the time', async () => {
    await using broker = await startKafka();
    const topic = topicName('killed');
    await createTopic(broker, topic, { partitions: 2 });
    await produce(broker, topic, [...values(100, 0, 0), ...values(100, 0, 1)]);
    const store = new MemberStore();
    await using member = await SourceMember.start(broker, store, { topics: [topic], patienceMs: 120_000 });
    await member.waitFor(() => store.texts.length === 200, 'rows before');
    await broker.kill();
    await broker.startAgain();
    await produce(broker, topic, [...values(100, 100, 0), ...values(100, 100, 1)]);
    await member.waitFor(() => store.texts.length >= 400, 'rows after');
    for (const partition of [0, 1])
      assert.deepEqual(
        store.texts.filter(text => text.startsWith(`${partition}:`)),
        texts(200, 0, partition),
      );
  });

  test('a broker that stays away is an error that passes, and a new source goes on', async () => {
    await using broker = await startKafka();
    const topic = topicName('away');
    await produce(broker, topic, values(10));
    const store = new MemberStore();
    {
      await using member = await SourceMember.start(broker, store, { topics: [topic], patienceMs: 1000 });
      await member.waitFor(() => store.texts.length === 10, 'rows before');
      await broker.stop();
      await assert.rejects(member.ended, hasCode('BROKER_UNREACHABLE', /127\.0\.0\.1/));
    }
    await assert.rejects(
      SourceMember.start(broker, store, { topics: [topic] }),
      hasCode('BROKER_UNREACHABLE', /no connection to the Kafka broker at 127\.0\.0\.1:\d+: .*ECONNREFUSED/),
    );
    await broker.startAgain();
    await produce(broker, topic, values(10, 10));
    await using member = await SourceMember.start(broker, store, { topics: [topic] });
    await member.waitFor(() => store.texts.length === 20, 'rows after');
    assert.deepEqual(store.texts, texts(20));
  });
});
