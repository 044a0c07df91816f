import type { Transactions } from '../../core/batch.ts';
import { SnapshotLsns, type SnapshotMark } from './snapshot-lsns.ts';

/** Where to go on in a partition, for the checkpoint. */
export interface PartitionPosition {
  topic: string;
  /** Another one when the topic was deleted and created again; undefined when the brokers are older than 2.8. */
  topicId: string | undefined;
  partition: number;
  /** Of the next message; below 2^53. */
  offset: number;
  /** Of the message before it, or -1: tells whether the log still has what was read. */
  leaderEpoch: number;
  /** Snapshot LSNs that were seen before `offset`. */
  snapshots: SnapshotMark[];
  /** Of the last change before `offset`: a tombstone without its delete takes the version from here. */
  lastCommit: bigint;
  lastLsn: bigint;
}

/** A partition that this member reads. */
export class AssignedPartition {
  readonly topic: string;
  topicId: string | undefined;
  readonly partition: number;
  leader = -1;
  leaderEpoch = -1;
  /** False until it is known where to begin. */
  located = false;
  /** Set while the partition is read from the earliest offset and nothing has come yet. */
  atEarliest = false;

  /** Where the next fetch starts, and the epoch of the batch before. */
  fetchOffset = 0;
  fetchedEpoch = -1;
  /** What was fetched for an older session is dropped. */
  session = 0;
  pausedUntilMs = 0;
  highWatermark = -1;
  lastStableOffset = -1;

  /** Behind the last message that went into a batch, or was found to need none. */
  offset = 0;
  epoch = -1;
  snapshots = new SnapshotLsns();
  lastCommitHi = 0;
  lastCommitLo = 0;
  lastLsnHi = 0;
  lastLsnLo = 0;

  /** Where reading began. */
  begin: PartitionPosition | undefined;
  /** As of the last batch that was delivered: where a revoked partition is left. */
  #delivered: PartitionPosition | undefined;

  /** The transaction of the last change, in the batch that it is part of. */
  #transactions: Transactions | undefined;
  #transaction = -1;
  #commitHi = 0;
  #commitLo = 0;
  #committedAtUs = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get name(): string {
    return `${this.topic}/${this.partition}`;
  }

  locate(at: Omit<PartitionPosition, 'topic' | 'topicId' | 'partition'>): void {
    this.offset = this.fetchOffset = at.offset;
    this.epoch = this.fetchedEpoch = at.leaderEpoch;
    this.snapshots = new SnapshotLsns(at.snapshots, at.offset);
    this.lastCommitHi = Number(at.lastCommit >> 32n);
    this.lastCommitLo = Number(BigInt.asIntN(32, at.lastCommit));
    this.lastLsnHi = Number(at.lastLsn >> 32n);
    this.lastLsnLo = Number(BigInt.asIntN(32, at.lastLsn));
    this.located = true;
    this.#delivered = this.describe();
    this.begin ??= this.#delivered;
  }

  /** Index of a transaction in those of a batch: of its changes most follow each other. */
  transactionOf(
    transactions: Transactions,
    commitHi: number,
    commitLo: number,
    committedAtUs: number,
  ): number {
    if (
      this.#transactions === transactions &&
      this.#commitLo === commitLo &&
      this.#commitHi === commitHi &&
      this.#committedAtUs === committedAtUs
    )
      return this.#transaction;
    this.#transactions = transactions;
    this.#commitHi = commitHi;
    this.#commitLo = commitLo;
    this.#committedAtUs = committedAtUs;
    this.#transaction = transactions.add(commitHi, commitLo, committedAtUs);
    return this.#transaction;
  }

  describe(): PartitionPosition {
    return {
      topic: this.topic,
      topicId: this.topicId,
      partition: this.partition,
      offset: this.offset,
      leaderEpoch: this.epoch,
      snapshots: this.snapshots.at(this.offset),
      lastCommit: joinHalves(this.lastCommitHi, this.lastCommitLo),
      lastLsn: joinHalves(this.lastLsnHi, this.lastLsnLo),
    };
  }

  delivered(position: PartitionPosition): void {
    this.#delivered = position;
  }

  /** Goes back behind the last message that was delivered; what is on its way for the old place is dropped. */
  rewind(): void {
    this.session++;
    if (this.#delivered) this.locate(this.#delivered);
  }
}

function joinHalves(hi: number, lo: number): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo >>> 0);
}
