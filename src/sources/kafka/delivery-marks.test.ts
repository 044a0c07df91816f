import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssignedPartition } from './assigned-partition.ts';
import { DeliveryMarks } from './delivery-marks.ts';

const nowhere = { leaderEpoch: -1, snapshots: [], lastCommit: 0n, lastLsn: 0n };

function assigned(index: number, offset: number): AssignedPartition {
  const partition = new AssignedPartition('t', index);
  partition.locate({ ...nowhere, offset });
  return partition;
}

const offsetsAt = (marks: DeliveryMarks, position: bigint) =>
  Object.fromEntries([...marks.at(position)].map(([{ partition }, { offset }]) => [partition, offset]));

function threeBatches() {
  const partitions = [assigned(0, 10), assigned(1, 20)];
  const [first, second] = partitions as [AssignedPartition, AssignedPartition];
  let owned: AssignedPartition[] = partitions;
  const marks = new DeliveryMarks(() => owned);
  const setOwned = (next: AssignedPartition[]) => {
    owned = next;
  };
  first.offset = 15;
  marks.add(1n, [first]);
  first.offset = 18;
  second.offset = 25;
  marks.add(2n, [first, second]);
  second.offset = 30;
  marks.add(3n, [second]);
  return { first, second, marks, setOwned };
}

test('a position has the offsets of its batch and of those before', () => {
  const { marks } = threeBatches();
  assert.deepEqual(offsetsAt(marks, 0n), { 0: 10, 1: 20 });
  assert.deepEqual(offsetsAt(marks, 1n), { 0: 15, 1: 20 });
  assert.deepEqual(offsetsAt(marks, 2n), { 0: 18, 1: 25 });
  assert.deepEqual(offsetsAt(marks, 9n), { 0: 18, 1: 30 });
});

test('settling gives what moved, and keeps the offsets', () => {
  const { marks } = threeBatches();
  assert.deepEqual(
    marks.settle(2n).map(({ partition, offset }) => [partition, offset]),
    [
      [0, 18],
      [1, 25],
    ],
  );
  assert.deepEqual(marks.settle(2n), []);
  assert.deepEqual(offsetsAt(marks, 2n), { 0: 18, 1: 25 });
  assert.deepEqual(offsetsAt(marks, 3n), { 0: 18, 1: 30 });
});

test('partitions go back behind what was delivered, and batches that were not are forgotten', () => {
  const { first, second, marks } = threeBatches();
  marks.deliver(1n);
  marks.deliver(2n);
  first.rewind();
  second.rewind();
  marks.cutBehind(2n);
  assert.deepEqual([first.offset, second.offset], [18, 25]);
  assert.deepEqual([first.fetchOffset, second.fetchOffset], [18, 25]);
  assert.deepEqual(offsetsAt(marks, 9n), { 0: 18, 1: 25 });
});

test('partitions that others have are not mentioned again', () => {
  const { first, marks, setOwned } = threeBatches();
  setOwned([first]);
  marks.forgetRest();
  assert.deepEqual(offsetsAt(marks, 9n), { 0: 18 });
  assert.deepEqual(
    marks.settle(3n).map(({ partition }) => partition),
    [0],
  );
});

test('an end is passed by batches, and reached by what was read', () => {
  const { marks, first } = threeBatches();
  const end = new Map([
    [
      't',
      new Map([
        [0, 18],
        [1, 26],
      ]),
    ],
    ['other', new Map([[0, 5]])],
  ]);
  assert.equal(marks.passed(end, 2n), false);
  assert.equal(marks.passed(end, 3n), true);
  assert.equal(marks.reached(end), true);
  first.offset = 17;
  assert.equal(marks.reached(end), false);
});
