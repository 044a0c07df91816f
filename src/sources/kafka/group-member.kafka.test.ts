import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin, Consumer } from '@platformatic/kafka';
import { type KafkaBroker, startKafka } from '../../../test/support/kafka/broker.ts';
import { withoutKafka } from '../../../test/support/kafka/java.ts';
import { MemberStore, SourceMember } from '../../../test/support/kafka/source-member.ts';
import { createTopic, produce } from '../../../test/support/kafka/topics.ts';
import type { CdcError } from '../../core/errors.ts';

const topicName = (name: string) => `${name}-${randomUUID()}`;
const partitions = 6;

let shared: Promise<KafkaBroker> | undefined;
/** Sessions may be shorter than brokers allow by default. */
const broker = () => (shared ??= startKafka({ settings: { 'group.min.session.timeout.ms': '500' } }));
after(async () => (await shared)?.[Symbol.asyncDispose]());

/** Produces to all partitions until stopped; returns what was produced. */
function load(topic: string): { stop(): Promise<string[]> } {
  let stopping = false;
  const run = async () => {
    const home = await broker();
    const produced: string[] = [];
    for (let n = 0; !stopping; n++) {
      const messages = Array.from({ length: partitions * 5 }, (_, i) => ({
        partition: i % partitions,
        value: `${i % partitions}:${n * 5 + Math.floor(i / partitions)}`,
      }));
      // What was sent while the broker is away may be in the topic twice.
      while (
        !(await produce(home, topic, messages).then(
          () => true,
          () => false,
        ))
      );
      produced.push(...messages.map(({ value }) => value));
    }
    return produced;
  };
  const running = run();
  return {
    stop: () => {
      stopping = true;
      return running;
    },
  };
}

async function isEmpty(home: KafkaBroker, group: string): Promise<boolean> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [home.address()] });
  try {
    return (await admin.describeGroups({ groups: [group] })).get(group)!.members.size === 0;
  } finally {
    await admin.close();
  }
}

/** Every message arrived. */
function expectAll(store: MemberStore, produced: string[]): void {
  const missing = new Set(produced);
  for (const text of store.texts) missing.delete(text);
  assert.deepEqual([...missing], []);
}

describe('members of a consumer group', { skip: withoutKafka }, () => {
  test('two and three members share partitions, and lose nothing when they come and go under load', async () => {
    const home = await broker();
    const topic = topicName('shared');
    const group = randomUUID();
    await createTopic(home, topic, { partitions });
    const store = new MemberStore();
    const options = { topics: [topic], group, beforeWrite: () => sleep(20) };
    const writing = load(topic);
    await using first = await SourceMember.start(home, store, options);
    await first.waitFor(() => first.source.lags().length === 6, 'one member to have all');
    const second = await SourceMember.start(home, store, options);
    await first.waitFor(() => first.source.lags().length === 3, 'two members to share');
    const third = await SourceMember.start(home, store, options);
    await first.waitFor(
      () => [first, second, third].every(member => member.source.lags().length === 2),
      'three members to share',
    );
    const before = store.texts.length;
    await first.waitFor(() => store.texts.length > before + 500, 'more rows');
    await second.stop();
    await first.waitFor(() => first.source.lags().length === 3, 'the partitions of who left');
    await third.abandon();
    await first.waitFor(() => first.source.lags().length === 6, 'all partitions again');
    const produced = await writing.stop();
    const end = await first.source.until();
    await first.waitFor(
      () => first.source.passed(end, BigInt(first.batches.length)),
      'the end of what was produced',
    );
    expectAll(store, produced);
    for (let partition = 0; partition < partitions; partition++)
      assert.equal(store.offset(`${topic}/${partition}`), produced.length / partitions);
    for (const member of [first, second, third]) assert.ok(member.batches.length > 0);
  });

  test('what was delivered is saved before others read on: nothing comes twice', async () => {
    const home = await broker();
    const topic = topicName('once');
    const group = randomUUID();
    await createTopic(home, topic, { partitions });
    const store = new MemberStore();
    // A pause between write and checkpoint is where doubles would come from.
    const options = { topics: [topic], group, beforeWrite: () => sleep(100) };
    const writing = load(topic);
    await using first = await SourceMember.start(home, store, options);
    await first.waitFor(() => store.texts.length > 200, 'rows');
    await using second = await SourceMember.start(home, store, options);
    await second.waitFor(() => second.batches.length > 2, 'rows of the second');
    const produced = await writing.stop();
    await first.waitFor(() => store.texts.length >= produced.length, 'all rows');
    assert.deepEqual(store.texts.toSorted(), produced.toSorted());
    for (let partition = 0; partition < partitions; partition++) {
      const numbers = store.texts
        .filter(text => text.startsWith(`${partition}:`))
        .map(text => Number(text.slice(2)));
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
    }
  });

  test('a broker that crashes under load costs three members nothing', async () => {
    const home = await broker();
    const topic = topicName('crash');
    await createTopic(home, topic, { partitions });
    const store = new MemberStore();
    const options = { topics: [topic], group: randomUUID(), patienceMs: 120_000 };
    await using first = await SourceMember.start(home, store, options);
    await using second = await SourceMember.start(home, store, options);
    await using third = await SourceMember.start(home, store, options);
    const writing = load(topic);
    await first.waitFor(() => store.texts.length > 500, 'rows');
    await home.kill();
    await home.startAgain();
    const before = store.texts.length;
    await first.waitFor(() => store.texts.length > before + 500, 'rows after the crash');
    const produced = await writing.stop();
    const end = await first.source.until();
    const ends = [...end.get(topic)!].map(
      ([partition, offset]) => [`${topic}/${partition}`, offset] as const,
    );
    await first.waitFor(() => ends.every(([name, offset]) => store.offset(name) === offset), 'the end');
    expectAll(store, produced);
    for (const member of [second, third]) await member.waitFor(() => true, 'no failure');
  });

  test('a write that takes longer than a session does not cost the membership', async () => {
    const home = await broker();
    const topic = topicName('slow');
    await createTopic(home, topic);
    await produce(home, topic, [{ value: 'one' }]);
    const store = new MemberStore();
    let assignments = 0;
    await using member = await SourceMember.start(home, store, {
      topics: [topic],
      sessionTimeoutMs: 600,
      heartbeatIntervalMs: 100,
      savedPositions: async () => {
        assignments++;
        return [];
      },
      beforeWrite: () => sleep(2500),
    });
    await member.waitFor(() => store.texts.length === 1, 'the slow write');
    await produce(home, topic, [{ value: 'two' }]);
    await member.waitFor(() => store.texts.length === 2, 'the next row');
    assert.equal(assignments, 1);
  });

  test('a member that was thrown out gives up what is in flight, and joins again', async () => {
    const home = await broker();
    const topic = topicName('thrown-out');
    const group = randomUUID();
    await createTopic(home, topic);
    await produce(home, topic, [{ value: 'one' }]);
    const store = new MemberStore();
    const options = { topics: [topic], group, sessionTimeoutMs: 500 };
    // It beats too rarely for its session.
    await using member = await SourceMember.start(home, store, { ...options, heartbeatIntervalMs: 3000 });
    await member.waitFor(() => store.texts.length === 1, 'the first row');
    await member.waitFor(() => isEmpty(home, group), 'the member to be thrown out');
    await produce(home, topic, [{ value: 'two' }]);
    await member.waitFor(() => store.offset(`${topic}/0`) === 2, 'the second row');
    await member.waitFor(() => member.source.lags().length === 1, 'the partition again');
    await produce(home, topic, [{ value: 'three' }]);
    await member.waitFor(() => store.offset(`${topic}/0`) === 3, 'the third row');
    assert.deepEqual([...new Set(store.texts)], ['one', 'two', 'three']);
  });

  test('a group of another kind of consumer is left alone', async () => {
    const home = await broker();
    const topic = topicName('foreign');
    const group = randomUUID();
    await createTopic(home, topic);
    const foreign = new Consumer({
      clientId: 'test',
      groupId: group,
      bootstrapBrokers: [home.address()],
    });
    try {
      await foreign.joinGroup({});
      await using member = await SourceMember.start(home, new MemberStore(), { topics: [topic], group });
      await assert.rejects(member.ended, (error: CdcError) => {
        assert.equal(error.code, 'GROUP_CONFLICT');
        assert.ok(error.message.includes(group));
        return true;
      });
    } finally {
      await foreign.close(true);
    }
  });
});
