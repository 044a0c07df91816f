import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../core/byte-writer.ts';
import { KnownValues } from './known-values.ts';

const read = (known: KnownValues, row: number, key: string): string | undefined => {
  const out = new ByteWriter();
  return known.reader(row, key)?.(1, out) ? out.written().toString() : undefined;
};

test('a stretch leaves what is sure, the rows used last first, within the limit', () => {
  const known = new KnownValues([1]);
  const value = Buffer.alloc(10_000, 'x');
  for (const key of ['a', 'b', 'c', 'd']) known.set(key, [value], true);
  known.set('e', [Buffer.from('unsure')], false);
  known.setOwn(7, [Buffer.from('own')]);
  known.set('a', [Buffer.from('used again')], true);
  assert.deepEqual([known.isSure('a'), known.isSure('e'), known.has('e')], [true, false, true]);
  assert.equal(read(known, 7, 'a'), 'own');
  assert.equal(read(known, 8, 'e'), 'unsure');

  known.endStretch(25_000);
  assert.equal(read(known, 7, 'a'), 'used again');
  assert.deepEqual(
    ['a', 'b', 'c', 'd', 'e'].map(key => known.has(key)),
    [true, false, true, true, false],
  );
  known.delete('c');
  assert.equal(known.size, 2);
  // Small values count with what the objects around them take.
  for (let i = 0; i < 1000; i++) known.set(`small ${i}`, [Buffer.from('1')], true);
  known.endStretch(100_000);
  assert.ok(known.size < 350 && known.size > 200, String(known.size));
  known.endStretch(0);
  assert.equal(known.size, 0);
});
