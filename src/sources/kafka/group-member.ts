import { setTimeout as sleep } from 'node:timers/promises';
import {
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
} from '@platformatic/kafka';
import type { CdcError } from '../../core/errors.ts';
import { assignPartitions, type TopicPartitions } from './assignor.ts';
import type { BrokerConnection } from './broker-connection.ts';
import { brokerError, isPassing, KafkaError } from './broker-errors.ts';
import { type Cluster, mayPass } from './cluster.ts';

export interface GroupMemberOptions {
  cluster: Cluster;
  group: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  heartbeatIntervalMs: number;
  /** How long the coordinator may be away before `failed` is called. */
  patienceMs: number;
  /** Topics to read and their numbers of partitions, freshly read. */
  topics(): Promise<ReadonlyMap<string, number>>;
  /**
   * Others may get what was assigned: resolves when nothing of it is read any more and what was read is settled. With
   * `lost` they have it already. Heartbeats go on meanwhile.
   */
  revoke(lost: boolean): Promise<void>;
  /** `kept`: since the assignment before nobody else had any of it. */
  assign(partitions: TopicPartitions, kept: boolean): void;
  failed(error: unknown): void;
}

/** No other kind of consumer has this protocol, so that none shares the group by mistake. */
const protocolName = 'wal-cdc-sticky';
const protocolType = 'consumer';
const subscriptionVersion = 2;

/**
 * Membership in a consumer group with the classic protocol: every rebalance takes back all partitions and hands them out
 * anew, mostly to who had them. Joins, beats, and joins again until `leave`.
 */
export class GroupMember {
  readonly #options: GroupMemberOptions;
  #memberId = '';
  #generation = -1;
  #coordinator: number | undefined;
  #assigned: TopicPartitions = new Map();
  #joinedWith: ReadonlyMap<string, number> = new Map();
  #isLeader = false;
  #closed = false;
  #wakeUp: (() => void) | undefined;
  #rejoin = false;
  #lost = false;
  #reachedAtMs = performance.now();

  constructor(options: GroupMemberOptions) {
    this.#options = options;
  }

  start(): void {
    this.#run().catch(error => {
      if (!this.#closed) this.#options.failed(error);
    });
  }

  /** What is to be read now: joins again if that makes a difference to what it joined with. */
  topicsFound(topics: ReadonlyMap<string, number>): void {
    if (this.#generation < 0) return;
    const isSubscriptionOther =
      topics.size !== this.#joinedWith.size || [...topics.keys()].some(name => !this.#joinedWith.has(name));
    // Counts of partitions concern the leader, who hands them out.
    const isCountOther = [...topics].some(([name, count]) => this.#joinedWith.get(name) !== count);
    if (isSubscriptionOther || (this.#isLeader && isCountOther)) this.#joinAgain();
  }

  /**
   * Commits offsets under the present generation, so that the coordinator refuses them once others may have the
   * partitions. Resolves with whether they were taken.
   */
  async commit(offsets: { topic: string; partition: number; offset: number }[]): Promise<boolean> {
    if (this.#generation < 0 || offsets.length === 0) return false;
    const topics = new Map<string, { name: string; partitions: object[] }>();
    for (const { topic, partition, offset } of offsets) {
      const entry = topics.get(topic) ?? { name: topic, partitions: [] };
      topics.set(topic, entry);
      entry.partitions.push({
        partitionIndex: partition,
        committedOffset: BigInt(offset),
        committedLeaderEpoch: -1,
        committedMetadata: null,
      });
    }
    const { group } = this.#options;
    const generation = this.#generation;
    const memberId = this.#memberId;
    try {
      const connection = await this.#connection('control');
      const answer = await connection.call('offsetCommit', 0, group, generation, memberId, null, [
        ...topics.values(),
      ] as never);
      return answer.topics.every(({ partitions }) =>
        partitions.every(({ errorCode }) => errorCode === KafkaError.none),
      );
    } catch {
      return false;
    }
  }

  /** Leaves the group, so that others need not wait for the session to end. */
  async leave(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeUp?.();
    if (this.#memberId === '' || this.#coordinator === undefined) return;
    try {
      const connection = await this.#connection('control');
      await connection.call('leaveGroup', 0, this.#options.group, [{ memberId: this.#memberId }]);
    } catch {
      // The session ends by itself.
    }
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#rejoin = this.#lost = false;
      const before = this.#generation;
      const hadAssignment = this.#assigned.size > 0;
      this.#assigned = await this.#join();
      if (this.#closed) return;
      this.#options.assign(this.#assigned, hadAssignment && this.#generation === before + 1);
      const heartbeats = this.#beat();
      try {
        while (!this.#rejoin && !this.#closed) {
          await new Promise<void>(resolve => {
            this.#wakeUp = resolve;
          });
        }
        if (!this.#closed) await this.#options.revoke(this.#lost);
      } finally {
        heartbeats.stop();
      }
      if (this.#lost) this.#forget();
    }
  }

  #joinAgain(lost = false): void {
    this.#rejoin = true;
    this.#lost ||= lost;
    this.#wakeUp?.();
  }

  /** Others may have what this member had. */
  #forget(): void {
    this.#generation = -1;
    this.#assigned = new Map();
  }

  /** Beats until stopped: a member that is about to join again is one still. */
  #beat(): { stop(): void } {
    let stopped = false;
    const once = async () => {
      const { group } = this.#options;
      const connection = await this.#connection('control');
      const { errorCode } = await connection.call(
        'heartbeat',
        0,
        group,
        this.#generation,
        this.#memberId,
        null,
      );
      if (stopped) return;
      switch (errorCode) {
        case KafkaError.none:
          break;
        case KafkaError.rebalanceInProgress:
          this.#joinAgain();
          break;
        case KafkaError.unknownMemberId:
          this.#memberId = '';
          this.#joinAgain(true);
          break;
        case KafkaError.illegalGeneration:
          this.#joinAgain(true);
          break;
        default:
          throw this.#groupError(errorCode);
      }
      this.#reachedAtMs = performance.now();
    };
    const loop = async () => {
      while (!stopped && !this.#closed) {
        try {
          await once();
        } catch (error) {
          if (stopped || this.#closed) return;
          this.#checkPatience(error);
        }
        await sleep(this.#options.heartbeatIntervalMs, undefined, { ref: false });
      }
    };
    loop().catch(error => this.#options.failed(error));
    return {
      stop: () => {
        stopped = true;
      },
    };
  }

  /** Throws what is not worth another attempt, or has been tried for too long. */
  #checkPatience(error: unknown): void {
    if (!mayPass(error)) throw error;
    this.#coordinator = undefined;
    if (performance.now() - this.#reachedAtMs > this.#options.patienceMs) throw error;
  }

  /** Joins and syncs until both were successful. */
  async #join(): Promise<TopicPartitions> {
    for (let delayMs = 100; !this.#closed; delayMs = Math.min(delayMs * 2, 1000)) {
      try {
        const assigned = await this.#joinOnce();
        this.#reachedAtMs = performance.now();
        if (assigned) return assigned;
        delayMs = 50;
      } catch (error) {
        if (this.#closed) break;
        this.#checkPatience(error);
      }
      await sleep(delayMs);
    }
    return new Map();
  }

  /** Undefined when it must be tried again at once. */
  async #joinOnce(): Promise<TopicPartitions | undefined> {
    const { group, sessionTimeoutMs, rebalanceTimeoutMs } = this.#options;
    const topics = await this.#options.topics();
    const names = [...topics.keys()];
    const metadata = encodeConsumerProtocolSubscription({
      version: subscriptionVersion,
      topics: names,
      ownedPartitions: [...this.#assigned].map(([topic, partitions]) => ({ topic, partitions })),
      generationId: this.#generation,
    });
    const connection = await this.#connection('group');
    // The coordinator answers when all have joined, or the time for that is over.
    const joined = await connection.call(
      'joinGroup',
      rebalanceTimeoutMs + 5000,
      group,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      this.#memberId,
      null,
      protocolType,
      [{ name: protocolName, metadata }],
      '',
    );
    if (joined.errorCode === KafkaError.memberIdRequired) {
      this.#memberId = joined.memberId;
      return this.#joinOnce();
    }
    if (joined.errorCode !== KafkaError.none) return this.#retryJoin(joined.errorCode);
    this.#memberId = joined.memberId;
    this.#isLeader = joined.leader === joined.memberId;
    const assignments = this.#isLeader ? handOut(joined.members, topics) : [];
    const synced = await connection.call(
      'syncGroup',
      rebalanceTimeoutMs,
      group,
      joined.generationId,
      joined.memberId,
      null,
      protocolType,
      protocolName,
      assignments,
    );
    if (synced.errorCode !== KafkaError.none) return this.#retryJoin(synced.errorCode);
    this.#generation = joined.generationId;
    this.#joinedWith = topics;
    const { assignedPartitions } = decodeConsumerProtocolAssignment(synced.assignment);
    return new Map(assignedPartitions.map(({ topic, partitions }) => [topic, partitions]));
  }

  #retryJoin(errorCode: number): undefined {
    switch (errorCode) {
      case KafkaError.unknownMemberId:
        this.#memberId = '';
        this.#forget();
        return;
      case KafkaError.illegalGeneration:
      case KafkaError.rebalanceInProgress:
        return;
      default:
        throw this.#groupError(errorCode);
    }
  }

  #groupError(errorCode: number): CdcError {
    if (isPassing(errorCode)) this.#coordinator = undefined;
    return brokerError(errorCode, `membership in the consumer group ${this.#options.group}`);
  }

  async #connection(purpose: 'control' | 'group'): Promise<BrokerConnection> {
    const { cluster, group } = this.#options;
    this.#coordinator ??= await cluster.coordinatorOf(group);
    return cluster.connection(this.#coordinator, purpose);
  }
}

/** What the leader sends to the others. */
function handOut(
  members: readonly { memberId: string; metadata: Buffer }[],
  topics: ReadonlyMap<string, number>,
): { memberId: string; assignment: Buffer }[] {
  const described = members.map(({ memberId, metadata }) => {
    const { topics, ownedPartitions, generationId } = decodeConsumerProtocolSubscription(metadata);
    return { id: memberId, topics, owned: ownedPartitions, generation: generationId };
  });
  return [...assignPartitions(described, topics)].map(([memberId, partitions]) => ({
    memberId,
    assignment: encodeConsumerProtocolAssignment({
      version: 0,
      assignedPartitions: [...partitions].map(([topic, indexes]) => ({ topic, partitions: indexes })),
    }),
  }));
}
