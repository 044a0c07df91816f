import { type Batch, RowGroup, Transactions, type Truncate } from '../core/batch.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Relation } from '../core/relation.ts';

/** Collects the changes of the next batch. */
export class BatchBuilder {
  data: ByteWriter;
  transactions: Transactions;
  truncates: Truncate[] = [];
  rows = 0;
  /** When the first row came, in ms of `performance.now()`. */
  startedAtMs = 0;
  readonly #groups = new Map<number, RowGroup>();
  #lastGroup: RowGroup | undefined;
  /** Rows of each relation in the batch before. */
  readonly #rowsBefore: ReadonlyMap<number, number>;

  /** `before`: the batch before, to make as much room at once: what is outgrown is garbage. */
  constructor(data: ByteWriter, before?: BatchBuilder) {
    this.data = data;
    this.transactions = new Transactions(roomFor(before?.transactions.count ?? 0));
    this.#rowsBefore = new Map(before && [...before.#groups].map(([id, { count }]) => [id, count]));
  }

  get bytes(): number {
    return this.data.pos;
  }

  get empty(): boolean {
    return this.rows === 0 && this.truncates.length === 0;
  }

  groupFor(relation: Relation): RowGroup {
    if (this.#lastGroup?.relation === relation) return this.#lastGroup;
    let group = this.#groups.get(relation.id);
    if (!group) {
      group = new RowGroup(relation, roomFor(this.#rowsBefore.get(relation.id) ?? 0));
      this.#groups.set(relation.id, group);
    }
    this.#lastGroup = group;
    return group;
  }

  /** Whether rows of this relation are here under an older description of it: they must be written first. */
  holdsOlder(relation: Relation): boolean {
    const group = this.#groups.get(relation.id);
    return group !== undefined && group.relation !== relation;
  }

  build(position: Lsn): Batch {
    return {
      data: this.data,
      groups: [...this.#groups.values()],
      transactions: this.transactions,
      truncates: this.truncates,
      rows: this.rows,
      position,
    };
  }
}

function roomFor(before: number): number {
  return Math.max(64, Math.ceil(before * 1.1));
}

const mostReservedBytes = 64 << 20;

/**
 * Batch buffers, used again: memory stays at two of them, and large ones are let go. They have room for a whole batch from
 * the start: what is not written to takes no memory, and buffers that grow leave garbage that costs collections.
 */
export class BufferPool {
  readonly #free: ByteWriter[] = [];
  readonly #batchBytes: number;

  constructor(batchBytes: number) {
    this.#batchBytes = batchBytes;
  }

  take(): ByteWriter {
    return this.#free.pop() ?? new ByteWriter(Math.min(this.#batchBytes * 1.25, mostReservedBytes));
  }

  give(writer: ByteWriter): void {
    if (this.#free.length >= 2 || writer.buf.length > this.#batchBytes * 2) return;
    writer.pos = 0;
    this.#free.push(writer);
  }
}
