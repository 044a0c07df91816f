import { setTimeout as sleep } from 'node:timers/promises';
import { AssignedPartition } from './assigned-partition.ts';
import { type Cluster, partitionsOf, type TopicInfo } from './cluster.ts';
import { Fetcher, type Stretch } from './fetcher.ts';
import { Found, RecordCursor } from './record-cursor.ts';

/** The messages of a partition: from `start` up to, and without, `end`. */
export interface PartitionRange {
  topic: string;
  partition: number;
  start: number;
  end: number;
}

export interface SampleOptions {
  cluster: Cluster;
  topics: Iterable<TopicInfo>;
  ranges: readonly PartitionRange[];
  which: 'newest' | 'earliest';
  /** Messages of each partition. */
  perPartition: number;
  /** What `cursor` stands at; it is valid until the promise resolves. */
  take(partition: PartitionRange, found: number, cursor: RecordCursor): Promise<void>;
}

const fetchBytes = 1 << 20;
const maxBatchBytes = 64 << 20;
/** Of large messages fewer are taken. */
const maxPartitionBytes = 4 << 20;
/** A broker that brings nothing for so long brings nothing. */
const idleMs = 10_000;

const noPosition = { leaderEpoch: -1, snapshots: [], lastCommit: 0n, lastLsn: 0n };

/** Where partitions begin and end at the moment, behind the last committed transaction. */
export async function partitionRanges(
  cluster: Cluster,
  topics: Iterable<TopicInfo>,
): Promise<PartitionRange[]> {
  const partitions = partitionsOf(topics);
  const starts = await cluster.listOffsets(partitions, 'earliest');
  const ends = await cluster.listOffsets(partitions, 'end');
  return partitions.map(({ topic, partition }) => ({
    topic,
    partition,
    start: starts.get(topic)?.get(partition) ?? 0,
    end: ends.get(topic)?.get(partition) ?? 0,
  }));
}

/** Reads a few messages of every partition, outside any consumer group. Rejects when brokers do not answer. */
export async function sampleTopics(options: SampleOptions): Promise<void> {
  const open = new Map<AssignedPartition, Sample>();
  for (const topic of options.topics)
    for (const range of options.ranges.filter(({ topic: name }) => name === topic.name))
      if (range.end > range.start) {
        const sample = new Sample(topic, range, options);
        open.set(sample.partition, sample);
      }
  if (open.size === 0) return;
  let wake = () => {};
  let failure: unknown;
  const fetcher = new Fetcher({
    cluster: options.cluster,
    fetchBytes,
    patienceMs: idleMs,
    partitions: () => open.keys(),
    arrived: () => wake(),
    stale: () => {},
    // Retention took it away meanwhile.
    outOfRange: partition => open.delete(partition),
    failed: error => {
      failure = error;
      wake();
    },
  });
  const cursor = new RecordCursor(maxBatchBytes);
  let movedAtMs = performance.now();
  fetcher.run();
  try {
    while (open.size > 0 && failure === undefined && performance.now() - movedAtMs < idleMs) {
      const stretch = fetcher.peek();
      if (!stretch) {
        await Promise.race([new Promise<void>(resolve => (wake = resolve)), sleep(100)]);
        fetcher.ask();
        continue;
      }
      movedAtMs = performance.now();
      const sample = open.get(stretch.partition);
      if (sample && (await sample.walk(stretch, cursor))) open.delete(stretch.partition);
      fetcher.done(stretch);
    }
  } finally {
    fetcher.stop();
  }
  if (failure !== undefined) throw failure;
}

class Sample {
  readonly partition: AssignedPartition;
  readonly #range: PartitionRange;
  readonly #options: SampleOptions;
  #from: number;
  #taken = 0;
  #bytes = 0;

  constructor({ id, partitions }: TopicInfo, range: PartitionRange, options: SampleOptions) {
    const { topic, partition, start, end } = range;
    this.#range = range;
    this.#options = options;
    this.#from = options.which === 'newest' ? Math.max(start, end - options.perPartition) : start;
    this.partition = new AssignedPartition(topic, partition);
    this.partition.topicId = id;
    this.partition.leader = partitions[partition]?.leader ?? -1;
    this.partition.locate({ ...noPosition, offset: this.#from });
  }

  /** Whether no more is wanted of the partition. */
  async walk({ bytes, start, end, offset, aborted }: Stretch, cursor: RecordCursor): Promise<boolean> {
    const { take, perPartition } = this.#options;
    cursor.open(bytes, start, end, offset, aborted);
    for (let found = cursor.next(); found !== Found.nothing; found = cursor.next()) {
      if (cursor.offset >= this.#range.end || this.#taken >= perPartition || this.#bytes > maxPartitionBytes)
        return true;
      this.#taken++;
      this.#bytes += cursor.size;
      await take(this.#range, found, cursor);
    }
    if (cursor.position < this.#range.end && this.#taken < perPartition) return false;
    // The last offsets may be markers of transactions, or were compacted away.
    if (this.#taken > 0 || this.#from === this.#range.start) return true;
    this.#from = this.#range.start;
    this.partition.session++;
    this.partition.locate({ ...noPosition, offset: this.#from });
    return false;
  }
}
