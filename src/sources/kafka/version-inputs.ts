import { CdcError } from '../../core/errors.ts';
import type { AssignedPartition } from './assigned-partition.ts';
import type { EnvelopeReader } from './envelope.ts';

/**
 * What orders the changes of a partition, in halves, the lower ones signed: found by `take`, for one change at a time.
 *
 * Commit position of a change: 1 + the larger of `lastCommitLsn` and the highest LSN of a snapshot row that came before it in
 * the partition. A transaction that was open while the snapshot was taken has changes below the snapshot's LSN, and must
 * win all the same. Where `lastCommitLsn` is null, the LSN of the change stands for it: row locks put it behind the commit of
 * every earlier transaction on that key. So it does for a row without a key, which needs no order but to truncates, also to
 * those of its own transaction.
 */
export class VersionInputs {
  commitHi = 0;
  commitLo = 0;
  /** Of the row; 0 for a snapshot row, which is then below every change. */
  lsnHi = 0;
  lsnLo = 0;

  take(reader: EnvelopeReader, partition: AssignedPartition, offset: number, isKeyless: boolean): void {
    let { lsnHi } = reader;
    let lsnLo = reader.lsnLo | 0;
    if (reader.isSnapshot) {
      partition.snapshots.see(offset, lsnHi, lsnLo);
      this.commitHi = lsnHi;
      this.commitLo = lsnLo;
      lsnHi = lsnLo = 0;
    } else {
      let commitHi = reader.lastCommitHi;
      let commitLo = reader.lastCommitLo | 0;
      if (lsnHi === 0 && lsnLo === 0) {
        // The delete of a tombstone was compacted away: it came behind everything that is left before it.
        commitHi = partition.lastCommitHi;
        commitLo = partition.lastCommitLo;
        lsnHi = partition.lastLsnHi;
        lsnLo = partition.lastLsnLo;
      } else {
        if (isKeyless || (commitHi === 0 && commitLo === 0)) {
          commitHi = lsnHi;
          commitLo = lsnLo;
        }
        partition.lastCommitHi = commitHi;
        partition.lastCommitLo = commitLo;
        partition.lastLsnHi = lsnHi;
        partition.lastLsnLo = lsnLo;
      }
      const { hi, lo } = partition.snapshots;
      if (hi > commitHi || (hi === commitHi && lo >>> 0 > commitLo >>> 0)) {
        commitHi = hi;
        commitLo = lo;
      }
      this.commitLo = (commitLo + 1) | 0;
      this.commitHi = commitLo === -1 ? commitHi + 1 : commitHi;
    }
    if (isKeyless) {
      // Nothing but the place in the topic tells rows without a key apart.
      if (partition.partition >= mostPartitions || offset >= mostOffsets)
        throw new CdcError(
          'POSITION_RANGE',
          `${partition.name} at offset ${offset}: rows without a key are told apart in ${mostPartitions} partitions, and offsets up to 2^44`,
        );
      lsnHi = partition.partition * 2 ** 12 + Math.floor(offset / 2 ** 32);
      lsnLo = offset | 0;
    }
    this.lsnHi = lsnHi;
    this.lsnLo = lsnLo;
  }
}

const mostPartitions = 2 ** 12;
const mostOffsets = 2 ** 44;
