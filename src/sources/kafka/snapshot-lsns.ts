import type { Lsn } from '../../core/lsn.ts';

/** From the message behind `offset` on, this is the highest LSN of a snapshot row that was seen. */
export interface SnapshotMark {
  offset: number;
  lsn: Lsn;
}

/** A snapshot has one LSN; incremental snapshots have one for each chunk. */
const mostMarks = 16;

/**
 * The highest LSN of the snapshot rows of a partition, by offset: a change is ordered behind what the snapshot had read when
 * it came, and a replay from an older offset must give it the same version.
 */
export class SnapshotLsns {
  hi = 0;
  /** Signed, as the lower halves everywhere. */
  lo = 0;
  #marks: SnapshotMark[];

  constructor(marks: readonly SnapshotMark[] = [], offset = Number.POSITIVE_INFINITY) {
    this.#marks = marks.filter(mark => mark.offset < offset);
    this.#setHighest();
  }

  /** A snapshot row at `offset`. */
  see(offset: number, hi: number, lo: number): void {
    if (hi < this.hi || (hi === this.hi && lo >>> 0 <= this.lo >>> 0)) return;
    this.hi = hi;
    this.lo = lo | 0;
    this.#marks.push({ offset, lsn: (BigInt(hi) << 32n) | BigInt(lo >>> 0) });
    // The first is that of the initial snapshot; of the others the newest matter.
    if (this.#marks.length > mostMarks) this.#marks.splice(1, 1);
  }

  /** What was valid at `offset`. */
  at(offset: number): SnapshotMark[] {
    return this.#marks.filter(mark => mark.offset < offset);
  }

  /** Forgets what was seen at `offset` and behind. */
  rewind(offset: number): void {
    this.#marks = this.at(offset);
    this.#setHighest();
  }

  #setHighest(): void {
    const lsn = this.#marks.at(-1)?.lsn ?? 0n;
    this.hi = Number(lsn >> 32n);
    this.lo = Number(BigInt.asIntN(32, lsn));
  }
}
