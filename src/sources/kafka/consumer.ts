import { setTimeout as sleep } from 'node:timers/promises';
import { CdcError } from '../../core/errors.ts';
import { AssignedPartition, type PartitionPosition } from './assigned-partition.ts';
import type { TopicPartitions } from './assignor.ts';
import { Cluster, type ClusterOptions, mayPass } from './cluster.ts';
import { Fetcher } from './fetcher.ts';
import { GroupMember } from './group-member.ts';
import { TopicCatalog } from './topic-catalog.ts';

export interface PartitionId {
  topic: string;
  topicId: string | undefined;
  partition: number;
}

/** A position that was saved; what it lacks is not known. */
export type SavedPosition = Pick<PartitionPosition, 'topic' | 'partition' | 'offset'> &
  Partial<PartitionPosition>;

export interface ConsumerOptions extends ClusterOptions {
  /** Regular expressions of whole topic names. */
  topics: readonly string[];
  group: string;
  fetchBytes: number;
  /**
   * Where the checkpoint is in partitions that this member was given; those that are missing are read from their earliest
   * message. Called again whenever partitions are given to it.
   */
  savedPositions(partitions: PartitionId[]): Promise<SavedPosition[]>;
  /**
   * A partition's topic is another one than that of its saved position. Returns to read it from its earliest message; throws
   * to do something else about it.
   */
  recreated(partition: PartitionId, savedTopicId: string): Promise<void>;
  /** A topic that was read is gone. */
  deleted?(topic: string): void;
  sessionTimeoutMs?: number;
  rebalanceTimeoutMs?: number;
  heartbeatIntervalMs?: number;
  /** How often topics and partitions are looked for. */
  refreshIntervalMs?: number;
  /** How long brokers may be away before the consumer fails. */
  patienceMs?: number;
}

export interface ConsumerEvents {
  /** Messages can be taken from `fetcher`, or a partition has no more of them. */
  arrived(): void;
  /**
   * Partitions are about to be taken back: resolves when what is in flight of them is saved, or will not be. They are at
   * their last delivered positions afterwards.
   */
  revoked(lost: boolean): Promise<void>;
  /** These partitions are read now, those that are not among them no more. */
  assigned(): void;
  failed(error: unknown): void;
}

/** Reads topics as a member of a consumer group: which partitions, from where, and their fetches. */
export class Consumer {
  readonly fetcher: Fetcher;
  /** By topic and partition. */
  partitions: ReadonlyMap<string, AssignedPartition> = new Map();
  readonly #options: ConsumerOptions;
  readonly #events: ConsumerEvents;
  readonly #cluster: Cluster;
  readonly #catalog: TopicCatalog;
  readonly #member: GroupMember;
  readonly #patienceMs: number;
  #refreshing: Promise<void> | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  #refreshedAtMs = performance.now();
  /** Counts assignments: what was begun for an older one has no effect. */
  #assignment = 0;
  #closed = false;

  constructor(options: ConsumerOptions, events: ConsumerEvents) {
    this.#options = options;
    this.#events = events;
    this.#patienceMs = options.patienceMs ?? 30_000;
    this.#cluster = new Cluster(options, options.fetchBytes);
    this.#catalog = new TopicCatalog(this.#cluster, options.topics);
    this.fetcher = new Fetcher({
      cluster: this.#cluster,
      fetchBytes: options.fetchBytes,
      patienceMs: this.#patienceMs,
      partitions: () => this.partitions.values(),
      arrived: () => events.arrived(),
      stale: () => this.#refreshSoon(),
      outOfRange: partition => this.#outOfRange(partition),
      failed: error => this.#fail(error),
    });
    this.#member = new GroupMember({
      cluster: this.#cluster,
      group: options.group,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 30_000,
      rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 60_000,
      heartbeatIntervalMs: options.heartbeatIntervalMs ?? 3_000,
      patienceMs: this.#patienceMs,
      topics: async () => {
        await this.#catalog.refresh();
        return this.#counts();
      },
      revoke: async lost => {
        this.#assignment++;
        this.fetcher.stop();
        for (const partition of this.partitions.values()) partition.rewind();
        if (lost) this.partitions = new Map();
        await events.revoked(lost);
      },
      assign: (partitions, kept) => this.#assign(partitions, kept),
      failed: error => this.#fail(error),
    });
  }

  /** Connects and joins. Rejects when that cannot work; what happens later goes to `failed`. */
  async start(): Promise<void> {
    await this.#catalog.refresh();
    this.#member.start();
    this.#refreshTimer = setTimeout(() => this.#refreshSoon(), this.#refreshIntervalMs);
  }

  /** Tells the group, for those who watch its lag. Resolves with whether the offsets were taken. */
  commit(offsets: { topic: string; partition: number; offset: number }[]): Promise<boolean> {
    return this.#member.commit(offsets);
  }

  /** Where every partition of the topics ends at the moment, behind the last committed transaction. */
  endOffsets(): Promise<Map<string, Map<number, number>>> {
    return this.#catalog.endOffsets();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#refreshTimer);
    this.fetcher.stop();
    // A coordinator that is away must not keep anybody waiting.
    await Promise.race([this.#member.leave(), sleep(leaveMs, undefined, { ref: false })]);
    this.#cluster.close();
  }

  get #refreshIntervalMs(): number {
    return this.#options.refreshIntervalMs ?? 30_000;
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.fetcher.stop();
    this.#events.failed(error);
  }

  #counts(): Map<string, number> {
    return new Map(
      [...this.#catalog.topics.values()].map(({ name, partitions }) => [name, partitions.length]),
    );
  }

  /** Looks at topics and leaders again, once for all who ask meanwhile. */
  #refreshSoon(): void {
    if (this.#refreshing || this.#closed) return;
    this.#refreshing = this.#refresh()
      .catch(error => this.#fail(error))
      .finally(() => {
        this.#refreshing = undefined;
        clearTimeout(this.#refreshTimer);
        if (this.#closed) return;
        const isLeaderless = [...this.partitions.values()].some(({ leader }) => leader < 0);
        const delayMs = isLeaderless
          ? Math.min(leaderlessMs, this.#refreshIntervalMs)
          : this.#refreshIntervalMs;
        this.#refreshTimer = setTimeout(() => this.#refreshSoon(), delayMs);
      });
  }

  async #refresh(): Promise<void> {
    try {
      await this.#catalog.refresh();
      this.#refreshedAtMs = performance.now();
    } catch (error) {
      if (
        !mayPass(error) ||
        performance.now() - this.#refreshedAtMs > this.#patienceMs + this.#refreshIntervalMs
      )
        throw error;
      return;
    }
    if (this.#closed) return;
    this.#follow();
    this.#member.topicsFound(this.#counts());
  }

  /** Takes over leaders, and notices topics that are others or gone. */
  #follow(): void {
    const gone = new Set<string>();
    for (const partition of this.partitions.values()) {
      const topic = this.#catalog.topics.get(partition.topic);
      if (!topic) {
        gone.add(partition.topic);
        partition.leader = -1;
        continue;
      }
      if (topic.id !== undefined && partition.topicId !== undefined && topic.id !== partition.topicId)
        throw new CdcError('TOPIC_RECREATED', `topic ${partition.topic} was deleted and created again`);
      const info = topic.partitions[partition.partition];
      partition.leader = info?.leader ?? -1;
      partition.leaderEpoch = info?.leaderEpoch ?? -1;
    }
    for (const topic of gone) this.#options.deleted?.(topic);
    this.fetcher.ask();
  }

  #assign(assigned: TopicPartitions, kept: boolean): void {
    this.#assignment++;
    const partitions = new Map<string, AssignedPartition>();
    for (const [topic, indexes] of assigned) {
      for (const index of indexes) {
        const before = kept ? this.partitions.get(`${topic}/${index}`) : undefined;
        const partition = before?.located ? before : new AssignedPartition(topic, index);
        partitions.set(partition.name, partition);
      }
    }
    this.partitions = partitions;
    this.#events.assigned();
    const fresh = [...partitions.values()].filter(partition => !partition.located);
    this.#locate(fresh, this.#assignment).catch(error => this.#fail(error));
  }

  /** Finds out where to begin, then lets the fetcher run. */
  async #locate(fresh: AssignedPartition[], assignment: number): Promise<void> {
    const isCurrent = () => !this.#closed && assignment === this.#assignment;
    await this.#identify(fresh);
    if (fresh.length > 0 && isCurrent()) {
      const saved = new Map<string, SavedPosition>();
      for (const position of await this.#options.savedPositions(fresh.map(identify)))
        saved.set(`${position.topic}/${position.partition}`, position);
      const without: AssignedPartition[] = [];
      for (const partition of fresh) {
        if (!isCurrent()) return;
        const position = saved.get(partition.name);
        const { topicId } = partition;
        const isOther =
          position?.topicId !== undefined && topicId !== undefined && position.topicId !== topicId;
        if (isOther) await this.#options.recreated(identify(partition), position.topicId!);
        if (!position || isOther) without.push(partition);
        else partition.locate({ ...unknown, ...position });
      }
      await this.#locateEarliest(without, isCurrent);
    }
    if (!isCurrent()) return;
    this.#follow();
    this.fetcher.run();
    this.#events.arrived();
  }

  /** The leader of the group may know topics that this member does not yet. */
  async #identify(partitions: AssignedPartition[]): Promise<void> {
    const startedAtMs = performance.now();
    while (partitions.some(({ topic }) => !this.#catalog.topics.has(topic))) {
      if (this.#closed || performance.now() - startedAtMs > identifyMs) break;
      await this.#catalog.refresh();
      await sleep(100);
    }
    for (const partition of partitions) partition.topicId = this.#catalog.topics.get(partition.topic)?.id;
  }

  async #locateEarliest(partitions: AssignedPartition[], isCurrent: () => boolean): Promise<void> {
    const startedAtMs = performance.now();
    while (partitions.length > 0 && isCurrent()) {
      try {
        const asked = partitions.map(({ topic, partition }) => ({
          topic,
          partition,
          leader: this.#catalog.topics.get(topic)?.partitions[partition]?.leader ?? -1,
        }));
        const offsets = await this.#cluster.listOffsets(asked, 'earliest');
        if (!isCurrent()) return;
        for (const partition of partitions) {
          const offset = offsets.get(partition.topic)?.get(partition.partition);
          if (offset === undefined) continue;
          partition.session++;
          partition.locate({ ...unknown, offset });
          partition.atEarliest = true;
        }
        return;
      } catch (error) {
        if (!mayPass(error) || performance.now() - startedAtMs > this.#patienceMs) throw error;
        await sleep(200);
        await this.#catalog.refresh().catch(() => {});
        // One that is gone meanwhile needs no place to begin.
        partitions = partitions.filter(({ topic }) => this.#catalog.topics.has(topic));
      }
    }
  }

  /** Never the latest: what lies between is gone, unless nothing was read yet or the topic is another one. */
  #outOfRange(partition: AssignedPartition): void {
    const assignment = this.#assignment;
    const isCurrent = () => !this.#closed && assignment === this.#assignment;
    const find = async () => {
      await this.#catalog.refresh();
      if (!isCurrent()) return;
      this.#follow();
      if (!this.#catalog.topics.has(partition.topic)) return;
      if (partition.atEarliest) {
        await this.#locateEarliest([partition], isCurrent);
        this.fetcher.ask();
        return;
      }
      throw new CdcError(
        'OFFSET_LOST',
        `${partition.name} no longer has offset ${partition.fetchOffset}, which is to be read next`,
      );
    };
    find().catch(error => {
      if (!mayPass(error)) this.#fail(error);
    });
  }
}

const leaveMs = 3000;
/** A partition without a leader is looked at more often. */
const leaderlessMs = 500;
/** A topic that is not known after this time is gone again. */
const identifyMs = 2000;

const unknown = { leaderEpoch: -1, snapshots: [], lastCommit: 0n, lastLsn: 0n };

function identify({ topic, topicId, partition }: AssignedPartition): PartitionId {
  return { topic, topicId, partition };
}
