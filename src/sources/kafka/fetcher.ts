import { CdcError } from '../../core/errors.ts';
import type { AssignedPartition } from './assigned-partition.ts';
import type { RawAnswer } from './broker-connection.ts';
import { brokerError, isPassing, KafkaError } from './broker-errors.ts';
import { type Cluster, mayPass } from './cluster.ts';
import { decodeFetchResponse, type FetchedPartition } from './fetch-response.ts';
import { type AbortedTransaction, lastBatch } from './record-cursor.ts';

/** Record batches of one partition, fetched and not yet walked. */
export interface Stretch {
  partition: AssignedPartition;
  session: number;
  /** What it was fetched from. */
  offset: number;
  bytes: Buffer;
  start: number;
  end: number;
  aborted: AbortedTransaction[];
  response: { bytes: Buffer; node: number; stretches: number };
}

export interface FetcherOptions {
  cluster: Cluster;
  /** Of one answer; more only when a single batch of records is larger. */
  fetchBytes: number;
  /** How long brokers may be away. */
  patienceMs: number;
  partitions(): Iterable<AssignedPartition>;
  /** Something can be taken, or a partition is known to have nothing more. */
  arrived(): void;
  /** Leaders or topics are not what they were. */
  stale(): void;
  /** Its offset is not in the log. */
  outOfRange(partition: AssignedPartition): void;
  failed(error: unknown): void;
}

const maxWaitMs = 500;
const readCommitted = 1;
/** How long a partition rests that could not be fetched from. */
const pauseMs = 100;

/**
 * Fetches from each broker that leads a partition: one request on its way and one answer waiting to be taken, so that brokers
 * and this process work at the same time and memory is bounded.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #queue: Stretch[] = [];
  readonly #asking = new Set<number>();
  /** Answers of a node that were not taken whole. */
  readonly #waiting = new Map<number, number>();
  readonly #reachedAtMs = new Map<number, number>();
  #running = false;
  /** Which partition goes first: brokers fill an answer in the order of the request. */
  #turn = 0;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** What was fetched next; it must be given back with `done`. */
  peek(): Stretch | undefined {
    for (;;) {
      const stretch = this.#queue[0];
      if (!stretch || stretch.session === stretch.partition.session) return stretch;
      this.done(stretch);
    }
  }

  /** `stretch` was walked to its end, or is no longer wanted. */
  done(stretch: Stretch): void {
    const at = this.#queue.indexOf(stretch);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    if (--stretch.response.stretches === 0) this.#release(stretch.response);
  }

  run(): void {
    this.#running = true;
    this.ask();
  }

  /** Asks no more, and drops what came: partitions have new sessions. */
  stop(): void {
    this.#running = false;
    while (this.#queue.length > 0) this.done(this.#queue[0]!);
  }

  /** Asks every broker that leads partitions and may be asked. */
  ask(): void {
    if (!this.#running) return;
    const now = Date.now();
    const byLeader = new Map<number, AssignedPartition[]>();
    for (const partition of this.#options.partitions()) {
      if (!partition.located || partition.leader < 0 || partition.pausedUntilMs > now) continue;
      const led = byLeader.get(partition.leader);
      if (led) led.push(partition);
      else byLeader.set(partition.leader, [partition]);
    }
    for (const [node, partitions] of byLeader) {
      if (this.#asking.has(node) || (this.#waiting.get(node) ?? 0) > 1) continue;
      this.#asking.add(node);
      this.#askNode(node, partitions).catch(error => this.#options.failed(error));
    }
  }

  async #askNode(node: number, partitions: AssignedPartition[]): Promise<void> {
    let retryInMs = 0;
    try {
      const asked = new Map<string, { partition: AssignedPartition; session: number; offset: number }>();
      const connection = await this.#options.cluster.connection(node, 'fetch');
      const version = connection.versionOf('fetch');
      const topics = this.#request(partitions, version, asked);
      const { fetchBytes } = this.#options;
      const answer = await connection.fetch(
        maxWaitMs,
        maxWaitMs,
        1,
        fetchBytes,
        readCommitted,
        0,
        -1,
        topics,
        [],
        '',
      );
      this.#reachedAtMs.set(node, performance.now());
      retryInMs = this.#take(answer, node, asked);
    } catch (error) {
      if (!this.#running) return;
      if (!mayPass(error)) throw error;
      const reachedAtMs = this.#reachedAtMs.get(node) ?? performance.now();
      this.#reachedAtMs.set(node, reachedAtMs);
      if (performance.now() - reachedAtMs > this.#options.patienceMs) throw error;
      this.#options.stale();
      retryInMs = 200;
    } finally {
      this.#asking.delete(node);
    }
    if (retryInMs > 0) setTimeout(() => this.ask(), retryInMs).unref();
    else this.ask();
  }

  #request(
    partitions: AssignedPartition[],
    version: number,
    asked: Map<string, { partition: AssignedPartition; session: number; offset: number }>,
  ) {
    const { fetchBytes } = this.#options;
    const topics = new Map<string, { topicId: string; partitions: object[] }>();
    const first = this.#turn++ % partitions.length;
    for (let i = 0; i < partitions.length; i++) {
      const partition = partitions[(first + i) % partitions.length]!;
      const { topic, topicId, session, fetchOffset: offset } = partition;
      const name = version >= 13 && topicId !== undefined ? topicId : topic;
      const entry = topics.get(name) ?? { topicId: name, partitions: [] };
      topics.set(name, entry);
      entry.partitions.push({
        partition: partition.partition,
        currentLeaderEpoch: partition.leaderEpoch,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: partition.fetchedEpoch,
        partitionMaxBytes: fetchBytes,
      });
      asked.set(`${name}/${partition.partition}`, { partition, session, offset });
    }
    return [...topics.values()] as never[];
  }

  /** Queues what an answer has. Returns how long to wait before the node is asked again. */
  #take(
    { bytes, at, version }: RawAnswer,
    node: number,
    asked: ReadonlyMap<string, { partition: AssignedPartition; session: number; offset: number }>,
  ): number {
    const answer = decodeFetchResponse(bytes, at, version);
    if (answer.errorCode !== KafkaError.none)
      throw brokerError(answer.errorCode, `fetching from broker ${node}`);
    const response = { bytes, node, stretches: 0 };
    let retryInMs = 0;
    for (const fetched of answer.partitions) {
      const wanted = asked.get(`${fetched.topic}/${fetched.partition}`);
      if (!wanted || wanted.session !== wanted.partition.session) continue;
      const { partition, session, offset } = wanted;
      if (fetched.errorCode !== KafkaError.none || fetched.divergesAt !== undefined) {
        this.#refused(partition, fetched);
        retryInMs = pauseMs + 10;
        continue;
      }
      partition.highWatermark = fetched.highWatermark;
      partition.lastStableOffset = fetched.lastStableOffset;
      const last = lastBatch(bytes, fetched.start, fetched.end);
      if (!last || last.nextOffset <= offset) continue;
      partition.fetchOffset = last.nextOffset;
      partition.fetchedEpoch = last.leaderEpoch;
      partition.atEarliest = false;
      const { start, end, aborted } = fetched;
      this.#queue.push({ partition, session, offset, bytes, start, end, aborted, response });
      response.stretches++;
    }
    if (response.stretches > 0) this.#waiting.set(node, (this.#waiting.get(node) ?? 0) + 1);
    else this.#options.cluster.fetchBuffers.give(bytes);
    // The next request is on its way before anything of this answer is looked at.
    setImmediate(() => this.#running && this.#options.arrived());
    return retryInMs;
  }

  #refused(partition: AssignedPartition, { errorCode, divergesAt }: FetchedPartition): void {
    if (divergesAt !== undefined)
      throw new CdcError(
        'OFFSET_LOST',
        `the log of ${partition.name} was cut at offset ${divergesAt}, before offset ${partition.fetchOffset} that was read`,
      );
    partition.pausedUntilMs = Date.now() + pauseMs;
    if (errorCode === KafkaError.offsetOutOfRange) this.#options.outOfRange(partition);
    else if (isPassing(errorCode)) this.#options.stale();
    else throw brokerError(errorCode, `fetching ${partition.name}`);
  }

  #release({ bytes, node }: Stretch['response']): void {
    this.#options.cluster.fetchBuffers.give(bytes);
    this.#waiting.set(node, this.#waiting.get(node)! - 1);
    this.ask();
  }
}
