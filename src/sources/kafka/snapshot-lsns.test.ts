import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SnapshotLsns } from './snapshot-lsns.ts';

test('the highest LSN counts, and what it was at each offset is known', () => {
  const lsns = new SnapshotLsns();
  lsns.see(10, 0, 500);
  lsns.see(11, 0, 500);
  lsns.see(20, 0, 400);
  lsns.see(30, 1, -1);
  assert.deepEqual([lsns.hi, lsns.lo], [1, -1]);
  assert.deepEqual(lsns.at(10), []);
  assert.deepEqual(lsns.at(11), [{ offset: 10, lsn: 500n }]);
  assert.deepEqual(lsns.at(31), [
    { offset: 10, lsn: 500n },
    { offset: 30, lsn: 0x1_ffff_ffffn },
  ]);
});

test('a start from a saved list is where the list was, and so is going back', () => {
  const marks = [
    { offset: 10, lsn: 500n },
    { offset: 30, lsn: 0x1_ffff_fff0n },
  ];
  const whole = new SnapshotLsns(marks, 31);
  assert.deepEqual([whole.hi, whole.lo], [1, -16]);
  const older = new SnapshotLsns(marks, 30);
  assert.deepEqual([older.hi, older.lo], [0, 500]);
  whole.rewind(30);
  assert.deepEqual([whole.hi, whole.lo], [0, 500]);
  whole.rewind(5);
  assert.deepEqual([whole.hi, whole.lo], [0, 0]);
});

test('of many snapshots the first and the newest are kept', () => {
  const lsns = new SnapshotLsns();
  for (let i = 0; i < 100; i++) lsns.see(i, 0, 1000 + i);
  const marks = lsns.at(1000);
  assert.equal(marks.length, 16);
  assert.deepEqual(marks[0], { offset: 0, lsn: 1000n });
  assert.deepEqual(marks.at(-1), { offset: 99, lsn: 1099n });
});
