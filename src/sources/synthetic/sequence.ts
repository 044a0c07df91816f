import { Op } from '../../core/batch.ts';
import { below, derive, hash, share } from './hash.ts';

export interface SequenceOptions {
  seed: number;
  /** Shares of all sequence numbers. */
  updates: number;
  deletes: number;
}

/** The plan is made for so many sequence numbers at once. */
export const blockRows = 256;
/** Rows live this many blocks at least; a delete takes one of the block that is this far back, so that none goes twice. */
const deleteAfterBlocks = 8;
/** Updates and twice the deletes come to 0.9 at most (`config/schema.ts`): a tenth of a block, or more, are inserts. */
const fewestInserts = 0.1;

/**
 * What happens at each sequence number, from 1: the insert of the next id, or an update or a delete of an earlier one that is
 * there. A pure function of the options and the number: rows can be made again from anywhere.
 *
 * Ids are those of the inserts, without gaps. How many a block has is known without looking at those before it.
 */
export class Sequence {
  /** Of the number that `at` was asked for last. */
  op: number = Op.insert;
  id = 0;
  readonly #seed: number;
  readonly #updates: number;
  readonly #deletes: number;
  /** Number of the block whose plan is here, from 0. */
  #block = -1;
  readonly #ops = new Uint8Array(blockRows);
  readonly #ids = new Float64Array(blockRows);
  readonly #places = new Uint8Array(blockRows);

  constructor({ seed, updates, deletes }: SequenceOptions) {
    this.#seed = derive(hash(0, seed), 1);
    this.#updates = blockRows * updates;
    this.#deletes = blockRows * deletes;
  }

  /** Sets `op` and `id` for sequence number `n`. */
  at(n: number): void {
    const block = Math.floor((n - 1) / blockRows);
    if (block !== this.#block) this.#plan(block);
    const place = n - 1 - block * blockRows;
    this.op = this.#ops[place]!;
    this.id = this.#ids[place]!;
  }

  /** The sequence number at which `id` is inserted. */
  insertOf(id: number): number {
    let from = 0;
    let to = Math.ceil(id / (blockRows * fewestInserts)) + 1;
    while (to - from > 1) {
      const middle = Math.floor((from + to) / 2);
      if (this.#insertsBefore(middle) < id) from = middle;
      else to = middle;
    }
    this.#plan(from);
    for (let place = 0; place < blockRows; place++)
      if (this.#ops[place] === Op.insert && this.#ids[place] === id) return from * blockRows + place + 1;
    throw new RangeError(`no sequence number inserts id ${id}`);
  }

  #plan(block: number): void {
    const updates = this.#updatesBefore(block + 1) - this.#updatesBefore(block);
    const deletes = this.#deletesBefore(block + 1) - this.#deletesBefore(block);
    const seed = hash(this.#seed, block);
    const ops = this.#ops.fill(Op.insert);
    const ids = this.#ids;
    const places = this.#shuffle(blockRows, updates + deletes, derive(seed, 1));
    for (let i = 0; i < updates + deletes; i++) {
      const place = places[i]!;
      if (i < updates) {
        ops[place] = Op.update;
        ids[place] = this.#updated(block, derive(seed, 10 + i));
      } else ops[place] = Op.delete;
    }
    let id = this.#insertsBefore(block);
    for (let place = 0; place < blockRows; place++) if (ops[place] === Op.insert) ids[place] = ++id;
    if (deletes > 0) {
      const from = block - deleteAfterBlocks;
      const before = this.#insertsBefore(from);
      const gone = this.#shuffle(this.#insertsBefore(from + 1) - before, deletes, derive(seed, 2));
      let next = 0;
      for (let place = 0; place < blockRows; place++)
        if (ops[place] === Op.delete) ids[place] = before + gone[next++]! + 1;
    }
    this.#block = block;
  }

  /** A row of an earlier block that cannot be gone yet, more likely a recent one. */
  #updated(block: number, seed: number): number {
    const recent = share(seed);
    const from = block - 1 - Math.floor(recent * recent * Math.min(block, deleteAfterBlocks - 1));
    const before = this.#insertsBefore(from);
    return before + 1 + below(derive(seed, 1), this.#insertsBefore(from + 1) - before);
  }

  /** `count` different numbers below `limit`, in any order. */
  #shuffle(limit: number, count: number, seed: number): Uint8Array {
    const places = this.#places;
    for (let i = 0; i < limit; i++) places[i] = i;
    for (let i = 0; i < count; i++) {
      const other = i + below(derive(seed, i), limit - i);
      const place = places[i]!;
      places[i] = places[other]!;
      places[other] = place;
    }
    return places;
  }

  #insertsBefore(block: number): number {
    return block * blockRows - this.#updatesBefore(block) - this.#deletesBefore(block);
  }

  /** There is nothing to update in the first block. */
  #updatesBefore(block: number): number {
    return Math.floor(Math.max(0, block - 1) * this.#updates);
  }

  #deletesBefore(block: number): number {
    return Math.floor(Math.max(0, block - deleteAfterBlocks) * this.#deletes);
  }
}
