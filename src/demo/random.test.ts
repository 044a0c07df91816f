import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from './random.ts';

test('one seed gives one sequence, and each stream of it another', () => {
  const sequence = (seed: number, stream?: number) => {
    const random = new Random(seed, stream);
    return Array.from({ length: 50 }, () => random.uint32());
  };
  assert.deepEqual(sequence(7, 1), sequence(7, 1));
  const all = [sequence(7), sequence(7, 1), sequence(7, 2), sequence(8), sequence(8, 1)].flat();
  assert.equal(new Set(all).size, all.length);
});

test('below is even over its range', () => {
  const random = new Random(1);
  const counts = [0, 0, 0];
  for (let i = 0; i < 30_000; i++) counts[random.below(3)]++;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, String(counts));
});

test('uuids are of version 4', () => {
  const random = new Random(1);
  for (let i = 0; i < 100; i++)
    assert.match(random.uuid(), /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-a[\da-f]{3}-[\da-f]{12}$/);
});
