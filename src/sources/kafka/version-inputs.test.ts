import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CdcError } from '../../core/errors.ts';
import { AssignedPartition } from './assigned-partition.ts';
import type { EnvelopeReader } from './envelope.ts';
import { VersionInputs } from './version-inputs.ts';

interface Change {
  lsn: bigint;
  lastCommit?: bigint;
  snapshot?: boolean;
}

const hi = (lsn: bigint) => Number(lsn >> 32n);
const lo = (lsn: bigint) => Number(lsn & 0xffffffffn);
const join = (high: number, low: number) => (BigInt(high) << 32n) | BigInt(low >>> 0);

function versionOf(
  partition: AssignedPartition,
  offset: number,
  { lsn, lastCommit = 0n, snapshot = false }: Change,
  isKeyless = false,
): [commit: bigint, lsn: bigint] {
  const reader = {
    isSnapshot: snapshot,
    lsnHi: hi(lsn),
    lsnLo: lo(lsn),
    lastCommitHi: hi(lastCommit),
    lastCommitLo: lo(lastCommit),
  } as EnvelopeReader;
  const inputs = new VersionInputs();
  inputs.take(reader, partition, offset, isKeyless);
  return [join(inputs.commitHi, inputs.commitLo), join(inputs.lsnHi, inputs.lsnLo)];
}

const partition = (index = 0) => new AssignedPartition('t', index);

test('a change is behind the commit before it', () => {
  assert.deepEqual(versionOf(partition(), 0, { lsn: 0x2_0000_0100n, lastCommit: 0x1_ffff_ffffn }), [
    0x2_0000_0000n,
    0x2_0000_0100n,
  ]);
});

test('without a commit before it, a change is behind itself', () => {
  assert.deepEqual(versionOf(partition(), 0, { lsn: 1000n }), [1001n, 1000n]);
});

test('halves of every size are told apart rightly', () => {
  for (const lsn of [0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0xff_ffff_ffff_fffen]) {
    assert.deepEqual(versionOf(partition(), 0, { lsn }), [lsn + 1n, lsn]);
  }
});

test('snapshot rows are at their LSN, below every change', () => {
  const read = partition();
  assert.deepEqual(versionOf(read, 5, { lsn: 2000n, snapshot: true }), [2000n, 0n]);
  // Its transaction was open while the snapshot was taken.
  assert.deepEqual(versionOf(read, 6, { lsn: 1900n, lastCommit: 1800n }), [2001n, 1900n]);
  assert.deepEqual(versionOf(read, 7, { lsn: 2100n, lastCommit: 2050n }), [2051n, 2100n]);
});

test('snapshot rows of another partition do not count', () => {
  versionOf(partition(1), 5, { lsn: 2000n, snapshot: true });
  assert.deepEqual(versionOf(partition(2), 6, { lsn: 1900n, lastCommit: 1800n }), [1801n, 1900n]);
});

test('a replay from any offset gives the same versions', () => {
  const changes: Change[] = [];
  for (let i = 0; i < 40; i++) {
    const snapshot = i % 7 === 0;
    changes.push({
      lsn: BigInt(1000 + i * 10 + (snapshot ? 300 : 0)),
      lastCommit: BigInt(990 + i * 10),
      snapshot,
    });
  }
  const read = partition();
  read.locate({ offset: 0, leaderEpoch: -1, snapshots: [], lastCommit: 0n, lastLsn: 0n });
  const versions: [bigint, bigint][] = [];
  const saved = [];
  for (const [offset, change] of changes.entries()) {
    read.offset = offset;
    saved.push(read.describe());
    versions.push(versionOf(read, offset, change));
  }
  const last = saved.at(-1)!;
  for (const [from, position] of saved.entries()) {
    // From the checkpoint of that offset, or from a later one that is set back.
    for (const start of [position, { ...last, offset: from }]) {
      const again = partition();
      again.locate(start);
      for (let offset = from; offset < changes.length; offset++)
        assert.deepEqual(versionOf(again, offset, changes[offset]!), versions[offset], `${from}, ${offset}`);
    }
  }
});

test('a tombstone without its delete is where the change before it was', () => {
  const read = partition();
  versionOf(read, 1, { lsn: 1000n, lastCommit: 900n });
  assert.deepEqual(versionOf(read, 2, { lsn: 0n }), [901n, 1000n]);
  const resumed = partition();
  read.offset = 2;
  resumed.locate(read.describe());
  assert.deepEqual(versionOf(resumed, 2, { lsn: 0n }), [901n, 1000n]);
});

test('rows without a key are ordered by LSN, as truncates are, and told apart by partition and offset', () => {
  assert.deepEqual(versionOf(partition(3), 5, { lsn: 1000n, lastCommit: 900n }, true), [
    1001n,
    (3n << 44n) | 5n,
  ]);
  assert.deepEqual(versionOf(partition(4095), 2 ** 44 - 1, { lsn: 1000n, snapshot: true }, true), [
    1000n,
    2n ** 56n - 1n,
  ]);
  const isRange = (error: CdcError) => error.code === 'POSITION_RANGE';
  assert.throws(() => versionOf(partition(4096), 0, { lsn: 1n }, true), isRange);
  assert.throws(() => versionOf(partition(0), 2 ** 44, { lsn: 1n }, true), isRange);
});
