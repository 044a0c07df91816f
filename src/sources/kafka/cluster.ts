import { CdcError } from '../../core/errors.ts';
import { BrokerConnection, type ConnectionOptions } from './broker-connection.ts';
import { brokerError, KafkaError } from './broker-errors.ts';
import type { Sasl } from './sasl.ts';

export interface ClusterOptions {
  /** `host:port`. */
  brokers: readonly string[];
  tls?: ConnectionOptions['tls'];
  sasl?: Sasl | undefined;
}

/**
 * What a connection is for. A broker answers the requests of a connection one after the other, and those of a group and
 * fetches wait long.
 */
export type Purpose = 'control' | 'group' | 'fetch';

export interface TopicPartitionInfo {
  leader: number;
  leaderEpoch: number;
}

export interface TopicInfo {
  name: string;
  /** Another one when the topic was deleted and created again; undefined before Kafka 2.8. */
  id: string | undefined;
  partitions: TopicPartitionInfo[];
}

export interface ClusterInfo {
  topics: Map<string, TopicInfo>;
  /** Which topics could not be described, and why. */
  errors: Map<string, number>;
}

const connectTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;
const readBytes: Record<Purpose, number> = { control: 16 << 10, group: 16 << 10, fetch: 64 << 10 };
const noId = '00000000-0000-0000-0000-000000000000';

/** The brokers of a cluster, and connections to them: one for each broker and purpose, made when they are needed. */
export class Cluster {
  /** Of the fetch connections. */
  readonly fetchBuffers: ResponseBuffers;
  readonly #options: ClusterOptions;
  readonly #addresses = new Map<number, { host: string; port: number }>();
  readonly #connections = new Map<string, Promise<BrokerConnection>>();
  #closed = false;

  constructor(options: ClusterOptions, fetchBytes = 1 << 20) {
    this.#options = options;
    this.fetchBuffers = new ResponseBuffers(fetchBytes);
  }

  /** Topics by name, or all but Kafka's own. Rejects when no broker can be asked. */
  async describe(names: readonly string[] | null): Promise<ClusterInfo> {
    const connection = await this.#anyBroker();
    const answer = await connection.call('metadata', 0, names as string[] | null, false, false);
    this.#addresses.clear();
    for (const { nodeId, host, port } of answer.brokers) this.#addresses.set(nodeId, { host, port });
    const info: ClusterInfo = { topics: new Map(), errors: new Map() };
    for (const { name, topicId, isInternal, errorCode, partitions } of answer.topics) {
      if (name === undefined || name === null || isInternal) continue;
      if (errorCode !== KafkaError.none) {
        info.errors.set(name, errorCode);
        continue;
      }
      const topic: TopicInfo = {
        name,
        id: topicId && topicId !== noId ? topicId : undefined,
        partitions: [],
      };
      for (const { partitionIndex, leaderId, leaderEpoch } of partitions)
        topic.partitions[partitionIndex] = { leader: leaderId, leaderEpoch: leaderEpoch ?? -1 };
      // An answer may lack some while the topic is being made.
      if (Object.keys(topic.partitions).length === topic.partitions.length) info.topics.set(name, topic);
    }
    return info;
  }

  /** The broker that coordinates a consumer group. */
  async coordinatorOf(group: string): Promise<number> {
    const connection = await this.#anyBroker();
    const { coordinators } = await connection.call('findCoordinator', 0, 0, [group]);
    const { errorCode, errorMessage, nodeId, host, port } = coordinators[0]!;
    if (errorCode !== KafkaError.none)
      throw brokerError(errorCode, `finding the coordinator of the consumer group ${group}`, errorMessage);
    this.#addresses.set(nodeId, { host, port });
    return nodeId;
  }

  /**
   * Offsets of the partitions: the earliest, or the end of what is committed. Rejects with the first error.
   */
  async listOffsets(
    partitions: Iterable<{ topic: string; partition: number; leader: number }>,
    which: 'earliest' | 'end',
  ): Promise<Map<string, Map<number, number>>> {
    const byLeader = new Map<number, Map<string, number[]>>();
    for (const { topic, partition, leader } of partitions) {
      const topics = byLeader.get(leader) ?? new Map<string, number[]>();
      byLeader.set(leader, topics);
      topics.set(topic, [...(topics.get(topic) ?? []), partition]);
    }
    const offsets = new Map<string, Map<number, number>>();
    await Promise.all(
      [...byLeader].map(async ([leader, topics]) => {
        const connection = await this.connection(leader, 'control');
        const timestamp = which === 'earliest' ? -2n : -1n;
        const readCommitted = 1;
        const asked = [...topics].map(([name, indexes]) => ({
          name,
          partitions: indexes.map(partitionIndex => ({ partitionIndex, currentLeaderEpoch: -1, timestamp })),
        }));
        const answer = await connection.call('listOffsets', 0, -1, readCommitted, asked);
        for (const { name, partitions } of answer.topics) {
          const found = offsets.get(name) ?? new Map<number, number>();
          offsets.set(name, found);
          for (const { partitionIndex, errorCode, offset } of partitions) {
            if (errorCode !== KafkaError.none)
              throw brokerError(errorCode, `listing offsets of ${name}/${partitionIndex}`);
            found.set(partitionIndex, Number(offset));
          }
        }
      }),
    );
    return offsets;
  }

  /** A connection to a broker that metadata named. */
  connection(node: number, purpose: Purpose): Promise<BrokerConnection> {
    const address = this.#addresses.get(node);
    if (!address)
      return Promise.reject(
        new CdcError('BROKER_UNREACHABLE', `Kafka broker ${node} is not in the cluster at the moment`),
      );
    return this.#connect(address, purpose);
  }

  close(): void {
    this.#closed = true;
    for (const opening of this.#connections.values())
      opening.then(
        connection => connection.close(),
        () => {},
      );
    this.#connections.clear();
  }

  /** The first that answers: of those that are known, and those that were configured. */
  async #anyBroker(): Promise<BrokerConnection> {
    const known = [...this.#addresses.values()].map(({ host, port }) => `${host}:${port}`);
    let failure: unknown;
    for (const address of new Set([...known, ...this.#options.brokers])) {
      const colon = address.lastIndexOf(':');
      const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
      try {
        return await this.#connect({ host, port: Number(address.slice(colon + 1)) }, 'control');
      } catch (error) {
        // Wrong credentials are wrong everywhere.
        if (!mayPass(error)) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  async #connect(address: { host: string; port: number }, purpose: Purpose): Promise<BrokerConnection> {
    const key = `${purpose} ${address.host}:${address.port}`;
    const kept = this.#connections.get(key);
    const connection = await kept;
    if (connection && !connection.failed && connection.expiresAtMs > Date.now()) return connection;
    connection?.retire();
    if (this.#closed) throw new CdcError('BROKER_UNREACHABLE', 'the Kafka consumer was closed');
    // Somebody else may have opened one while this waited.
    const other = this.#connections.get(key);
    if (other !== kept && other) return other;
    const { tls, sasl } = this.#options;
    const opening = BrokerConnection.open({
      ...address,
      tls,
      sasl,
      connectTimeoutMs,
      requestTimeoutMs,
      readBytes: readBytes[purpose],
      take: bytes => (purpose === 'fetch' ? this.fetchBuffers.take(bytes) : Buffer.allocUnsafeSlow(bytes)),
    });
    this.#connections.set(key, opening);
    try {
      return await opening;
    } catch (error) {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
      throw error;
    }
  }
}

/** Every partition of these topics, as `listOffsets` takes them. */
export function partitionsOf(
  topics: Iterable<TopicInfo>,
): { topic: string; partition: number; leader: number }[] {
  return [...topics].flatMap(({ name, partitions }) =>
    partitions.map(({ leader }, partition) => ({ topic: name, partition, leader })),
  );
}

/** Whether what failed may work soon: by itself, or after metadata was read again. */
export function mayPass(error: unknown): boolean {
  return error instanceof CdcError && error.code === 'BROKER_UNREACHABLE';
}

/** Buffers of fetch responses, used again. */
export class ResponseBuffers {
  readonly #bytes: number;
  readonly #free: Buffer[] = [];

  constructor(fetchBytes: number) {
    this.#bytes = fetchBytes + (64 << 10);
  }

  take(bytes: number): Buffer {
    // Most answers of a quiet topic are small.
    if (bytes <= 4096 || bytes > this.#bytes) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  give(buffer: Buffer): void {
    if (buffer.length === this.#bytes && this.#free.length < 4) this.#free.push(buffer);
  }
}
