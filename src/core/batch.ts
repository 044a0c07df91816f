import type { ByteWriter } from './byte-writer.ts';
import type { Lsn } from './lsn.ts';
import type { Relation } from './relation.ts';

/** What a row of a batch is; one byte each. */
export const Op = { insert: 1, update: 2, delete: 3 } as const;

/**
 * Changes of one relation as the source sent them: where their bytes lie in `Batch.data` and what orders them.
 * Six 32-bit numbers per row, no object.
 */
export class RowGroup {
  static readonly stride = 6;
  static readonly offset = 0;
  static readonly opAndPlace = 1;
  static readonly lsnHi = 2;
  static readonly lsnLo = 3;
  static readonly transaction = 4;
  static readonly length = 5;

  readonly relation: Relation;
  count = 0;
  index: Uint32Array<ArrayBuffer>;

  /** `rows`: how many may come; room for more is made when they do. */
  constructor(relation: Relation, rows = 64) {
    this.relation = relation;
    this.index = new Uint32Array(RowGroup.stride * rows);
  }

  /**
   * `offset`, `length`: the tuple part of the change in `Batch.data`. `place`: among the changes of the transaction
   * that share the LSN. `transaction`: index into the batch's transactions.
   */
  add(
    offset: number,
    length: number,
    op: number,
    place: number,
    lsnHi: number,
    lsnLo: number,
    transaction: number,
  ): void {
    let at = this.count * RowGroup.stride;
    if (at === this.index.length) {
      const grown = new Uint32Array(this.index.length * 2);
      grown.set(this.index);
      this.index = grown;
    }
    const { index } = this;
    index[at++] = offset;
    index[at++] = (place << 8) | op;
    index[at++] = lsnHi;
    index[at++] = lsnLo;
    index[at++] = transaction;
    index[at] = length;
    this.count++;
  }
}

/** Commit position and time of the transactions in a batch, by index; times in µs since 2000-01-01 UTC. */
export class Transactions {
  count = 0;
  commitHi: Uint32Array<ArrayBuffer>;
  commitLo: Uint32Array<ArrayBuffer>;
  committedAtUs: Float64Array<ArrayBuffer>;

  /** `expected`: how many may come; room for more is made when they do. */
  constructor(expected = 64) {
    this.commitHi = new Uint32Array(expected);
    this.commitLo = new Uint32Array(expected);
    this.committedAtUs = new Float64Array(expected);
  }

  add(commitHi: number, commitLo: number, committedAtUs: number): number {
    if (this.count === this.commitHi.length) {
      const { commitHi: hi, commitLo: lo, committedAtUs: times } = this;
      (this.commitHi = new Uint32Array(this.count * 2)).set(hi);
      (this.commitLo = new Uint32Array(this.count * 2)).set(lo);
      (this.committedAtUs = new Float64Array(this.count * 2)).set(times);
    }
    this.commitHi[this.count] = commitHi;
    this.commitLo[this.count] = commitLo;
    this.committedAtUs[this.count] = committedAtUs;
    return this.count++;
  }

  commitLsn(i: number): Lsn {
    return (BigInt(this.commitHi[i]!) << 32n) | BigInt(this.commitLo[i]!);
  }
}

export interface Truncate {
  relation: Relation;
  commitLsn: Lsn;
  changeLsn: Lsn;
}

/** Messages that cannot be read as changes: for the dead letters, or a reason to stop. */
export interface PoisonMessage {
  topic: string;
  partition: number;
  /** Below 2^53. `lastOffset` is another one when a whole batch of records cannot be read. */
  offset: number;
  lastOffset: number;
  /** As they came; all are empty where the bytes could not be had, or are too many. */
  key: Buffer | null;
  value: Buffer | null;
  headers: readonly (readonly [name: string, value: Buffer | null])[];
  reason: string;
}

/**
 * A stretch of the stream. Applied in this order: `truncates` (everything before them was in earlier batches), then the
 * rows, per relation in stream order. Whole transactions, but for one that is larger than `batch.maxBytes`: its parts
 * carry the position before it, the last part carries its own.
 */
export interface Batch {
  data: ByteWriter;
  groups: RowGroup[];
  transactions: Transactions;
  truncates: Truncate[];
  rows: number;
  /** Only of sources whose messages can be malformed. */
  poison?: PoisonMessage[];
  /** Everything up to here is in this batch or earlier ones: what a checkpoint may say once they are written. */
  position: Lsn;
}
