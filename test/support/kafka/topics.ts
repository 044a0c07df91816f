import { randomUUID } from 'node:crypto';
import { Admin, Consumer, Producer } from '@platformatic/kafka';
import type { RecordedMessage } from '../../fixtures/envelopes.ts';
import type { KafkaBroker } from './broker.ts';

export interface TopicOptions {
  /** Default 1. */
  partitions?: number;
  /** Of the topic, as in `{ 'cleanup.policy': 'compact' }`. */
  settings?: Readonly<Record<string, string>>;
}

export interface NewMessage {
  /** Absent: none. */
  key?: Uint8Array | string | null;
  /** null: a tombstone. */
  value: Uint8Array | string | null;
  /** In order; a name may come more than once. */
  headers?: readonly (readonly [name: string, value: Uint8Array | string | null])[];
  /** Absent: by the key, as Java's producer does it. */
  partition?: number;
  timestampMs?: number;
}

export interface ProduceOptions {
  compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  /** All messages in a transaction that ends so. */
  transaction?: 'commit' | 'abort';
}

/** In the place of a timestamp in a ListOffsets request. */
const firstOffset = -2n;
const lastOffset = -1n;

export async function createTopic(
  broker: KafkaBroker,
  topic: string,
  { partitions = 1, settings = {} }: TopicOptions = {},
): Promise<void> {
  const configs = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await withAdmin(broker, admin => admin.createTopics({ topics: [topic], partitions, replicas: 1, configs }));
}

export async function deleteTopic(broker: KafkaBroker, topic: string): Promise<void> {
  await withAdmin(broker, admin => admin.deleteTopics({ topics: [topic] }));
}

/** @param count of partitions from now on, not more of them */
export async function setPartitions(broker: KafkaBroker, topic: string, count: number): Promise<void> {
  const topics = [{ name: topic, count }];
  await withAdmin(broker, admin => admin.createPartitions({ topics }));
}

/** Drops the messages before `offset`, as retention does. */
export async function deleteRecordsBefore(
  broker: KafkaBroker,
  topic: string,
  partition: number,
  offset: bigint,
): Promise<void> {
  const topics = [{ name: topic, partitions: [{ partition, offset }] }];
  await withAdmin(broker, admin => admin.deleteRecords({ topics }));
}

/** Resolves when all copies have the messages; they are in the topic in this order. */
export async function produce(
  broker: KafkaBroker,
  topic: string,
  messages: readonly NewMessage[],
  { compression = 'none', transaction }: ProduceOptions = {},
): Promise<void> {
  const producer = new Producer({
    ...clientOptions(broker),
    autocreateTopics: true,
    compression,
    transactionalId: transaction && randomUUID(),
    // Else a retry writes again what another partition has taken, as right after a topic was made.
    idempotent: true,
  });
  const batch = {
    messages: messages.map(message => ({
      topic,
      partition: message.partition,
      key: bytes(message.key),
      value: bytes(message.value),
      timestamp: message.timestampMs === undefined ? undefined : BigInt(message.timestampMs),
      headers: new Map(message.headers?.map(([name, value]) => [Buffer.from(name), bytes(value)!])),
    })),
  };
  try {
    if (transaction === undefined) {
      await producer.send(batch);
    } else {
      const open = await producer.beginTransaction();
      await open.send(batch);
      await open[transaction]();
    }
  } finally {
    await producer.close();
  }
}

/** Offsets that the next message of each partition gets; empty when there is no such topic. */
export async function endOffsets(broker: KafkaBroker, topic: string): Promise<bigint[]> {
  return withConsumer(
    broker,
    async consumer => (await listOffsets(broker, consumer, topic, lastOffset)) ?? [],
  );
}

/**
 * Everything that is in a topic now, partition after partition. A topic that is not there has nothing.
 * @param isolation `committed`: without what aborted transactions wrote
 */
export async function readTopic(
  broker: KafkaBroker,
  topic: string,
  { isolation = 'committed' }: { isolation?: 'committed' | 'uncommitted' } = {},
): Promise<RecordedMessage[]> {
  return withConsumer(broker, async consumer => {
    const ends = (await listOffsets(broker, consumer, topic, lastOffset)) ?? [];
    const starts = await listOffsets(broker, consumer, topic, firstOffset);
    if (ends.every((end, partition) => end === starts?.[partition])) return [];
    const isolationLevel = isolation === 'committed' ? 1 : 0;
    const stream = await consumer.consume({
      topics: [topic],
      mode: 'earliest',
      autocommit: false,
      isolationLevel,
      maxWaitTime: 50,
    });
    const messages: RecordedMessage[][] = ends.map(() => []);
    const isAtEnd = () =>
      ends.every((end, partition) => (stream.offsetsToFetch.get(`${topic}:${partition}`) ?? 0n) >= end);
    stream.on('fetch', () => {
      if (isAtEnd()) stream.close();
    });
    for await (const message of stream) {
      const { partition, offset, key, value, timestamp } = message;
      if (offset >= ends[partition]!) continue;
      messages[partition]!.push({
        topic,
        partition,
        offset,
        timestampMs: Number(timestamp),
        headers: message.headerEntries.map(([name, content]) => [name.toString(), content ?? null]),
        key: key ?? null,
        value: value ?? null,
      });
    }
    return messages.flat();
  });
}

/** Offsets of each partition; undefined when there is no such topic, instead of an error. */
async function listOffsets(
  broker: KafkaBroker,
  consumer: Consumer,
  topic: string,
  timestamp: typeof firstOffset | typeof lastOffset,
): Promise<bigint[] | undefined> {
  const topics = await withAdmin(broker, admin => admin.listTopics({ includeInternals: true }));
  return topics.includes(topic)
    ? (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic)
    : undefined;
}

async function withAdmin<T>(broker: KafkaBroker, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin(clientOptions(broker));
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}

async function withConsumer<T>(broker: KafkaBroker, work: (consumer: Consumer) => Promise<T>): Promise<T> {
  const consumer = new Consumer({ ...clientOptions(broker), groupId: randomUUID() });
  try {
    return await work(consumer);
  } finally {
    await consumer.close(true);
  }
}

function clientOptions(broker: KafkaBroker) {
  return { clientId: 'test', bootstrapBrokers: [broker.address()], retries: 100, retryDelay: 50 };
}

function bytes(content: Uint8Array | string | null | undefined): Buffer | undefined {
  return content === null || content === undefined ? undefined : Buffer.from(content);
}
