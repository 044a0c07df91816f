import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assignPartitions, type Member } from './assignor.ts';

const member = (id: string, topics: string[], owned: Member['owned'] = [], generation = -1): Member => ({
  id,
  topics,
  owned,
  generation,
});

const flat = (assigned: ReturnType<typeof assignPartitions>) =>
  Object.fromEntries(
    [...assigned].map(([id, topics]) => [
      id,
      [...topics]
        .flatMap(([topic, partitions]) => partitions.map(partition => `${topic}/${partition}`))
        .sort(),
    ]),
  );

const ownedBy = (assigned: ReturnType<typeof assignPartitions>, id: string) =>
  [...assigned.get(id)!].map(([topic, partitions]) => ({ topic, partitions }));

test('one member gets everything', () => {
  const assigned = assignPartitions(
    [member('a', ['t', 'u'])],
    new Map([
      ['t', 2],
      ['u', 1],
    ]),
  );
  assert.deepEqual(flat(assigned), { a: ['t/0', 't/1', 'u/0'] });
});

test('a second member takes half, the first keeps the rest', () => {
  const counts = new Map([['t', 4]]);
  const one = assignPartitions([member('b', ['t'])], counts);
  const two = assignPartitions([member('a', ['t']), member('b', ['t'], ownedBy(one, 'b'), 1)], counts);
  assert.deepEqual(flat(two), { a: ['t/2', 't/3'], b: ['t/0', 't/1'] });
});

test('when a member is gone, the others keep what they have', () => {
  const counts = new Map([['t', 6]]);
  const three = assignPartitions(
    ['a', 'b', 'c'].map(id => member(id, ['t'])),
    counts,
  );
  const two = assignPartitions(
    ['a', 'c'].map(id => member(id, ['t'], ownedBy(three, id), 1)),
    counts,
  );
  for (const id of ['a', 'c'])
    for (const partition of flat(three)[id]!) assert.ok(flat(two)[id]!.includes(partition));
});

test('of two that claim a partition, the one of the later generation keeps it', () => {
  const claim = [{ topic: 't', partitions: [0] }];
  const assigned = assignPartitions(
    [member('a', ['t'], claim, 3), member('b', ['t'], claim, 5)],
    new Map([['t', 2]]),
  );
  assert.deepEqual(flat(assigned), { a: ['t/1'], b: ['t/0'] });
});

test('a member gets only topics that it knows', () => {
  const assigned = assignPartitions(
    [member('a', ['new', 't']), member('b', ['t'])],
    new Map([
      ['new', 3],
      ['t', 1],
    ]),
  );
  assert.deepEqual(flat(assigned), { a: ['new/0', 'new/1', 'new/2'], b: ['t/0'] });
});

test('every partition has one owner, loads are even, and stay when nothing changes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (before, sizes, after) => {
        const counts = new Map(sizes.map((size, i) => [`t${i}`, size]));
        const topics = [...counts.keys()];
        const ids = (n: number) => Array.from({ length: n }, (_, i) => `m${i}`);
        const first = assignPartitions(
          ids(before).map(id => member(id, topics)),
          counts,
        );
        const claims = (assigned: typeof first) => (id: string) =>
          member(id, topics, assigned.has(id) ? ownedBy(assigned, id) : [], assigned.has(id) ? 1 : -1);
        const second = assignPartitions(ids(after).map(claims(first)), counts);
        const third = assignPartitions(ids(after).map(claims(second)), counts);
        for (const assigned of [first, second]) {
          const all = Object.values(flat(assigned));
          const total = sizes.reduce((sum, size) => sum + size, 0);
          assert.equal(new Set(all.flat()).size, total);
          assert.equal(all.flat().length, total);
          const loads = all.map(partitions => partitions.length);
          assert.ok(Math.max(...loads) - Math.min(...loads) <= 1);
        }
        assert.deepEqual(flat(third), flat(second));
      },
    ),
  );
});
