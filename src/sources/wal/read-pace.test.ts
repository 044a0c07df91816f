import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restAfter } from './read-pace.ts';

test('a quiet stream is read at once', () => {
  assert.equal(restAfter(0, 10), 0);
  // 1,000 transactions of 600 bytes a second
  assert.equal(restAfter(3_000, 5), 0);
});

test('a busy stream is left to gather for 10 ms', () => {
  // 50,000 and 150,000 rows of 300 bytes a second
  assert.equal(restAfter(150_000, 10), 10);
  assert.equal(restAfter(450_000, 10), 10);
});

test('a rest ends before the buffers of the kernel are full', () => {
  for (let bytesPerMs = 1000; bytesPerMs < 4e6; bytesPerMs *= 1.3) {
    const restMs = restAfter(bytesPerMs * 5, 5);
    assert.ok(restMs <= 10 && restMs * bytesPerMs <= 1 << 20, `${restMs} ms at ${bytesPerMs} bytes/ms`);
  }
  assert.equal(restAfter(5e6, 5), 0);
});
