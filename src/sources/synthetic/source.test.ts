import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { userEventDefaults } from '../../../test/support/user-events.ts';
import { type Batch, Op, RowGroup } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { SyntheticSource, type SyntheticSourceOptions } from './source.ts';
import { UserEvents } from './user-events.ts';

function start(options: Partial<SyntheticSourceOptions> = {}) {
  const source = new SyntheticSource({
    events: new UserEvents(userEventDefaults),
    position: 0n,
    until: undefined,
    rate: 1000,
    maxBatchBytes: 1 << 20,
    delayMs: 10,
    ...options,
  });
  return Object.assign(source, { [Symbol.asyncDispose]: () => source.close() });
}

/** Checks that the batch has the changes behind `position`, with their numbers, and returns its own position. */
function expectChanges(batch: Batch, position: bigint): bigint {
  const events = new UserEvents(userEventDefaults);
  const out = new ByteWriter();
  const [group] = batch.groups;
  assert.equal(batch.position, position + BigInt(batch.rows));
  for (let i = 0; i < batch.rows; i++) {
    const n = Number(position) + i + 1;
    const at = i * RowGroup.stride;
    const { index } = group!;
    out.pos = 0;
    const op = events.write(n, out);
    const bytes = batch.data.buf.subarray(index[at]!, index[at]! + index[at + RowGroup.length]!);
    assert.deepEqual(bytes, out.written());
    assert.equal(index[at + RowGroup.opAndPlace], op);
    assert.equal(index[at + RowGroup.lsnHi]! * 2 ** 32 + index[at + RowGroup.lsnLo]!, n);
    assert.equal(batch.transactions.commitLsn(index[at + RowGroup.transaction]!), BigInt(n));
  }
  return batch.position;
}

test('without a rate batches are full, follow each other, and end at the last number', async () => {
  const from = 2n ** 32n - 5000n;
  await using source = start({ rate: 0, position: from, until: from + 20_000n });
  let position = from;
  while (position < from + 20_000n) {
    const batch = await source.read();
    position = expectChanges(batch, position);
    if (position < from + 20_000n) assert.ok(batch.data.pos >= 1 << 20 && batch.data.pos < (1 << 20) + 1000);
  }
  assert.equal(position, from + 20_000n);
});

test('with a rate rows come at their moment, and what was missed comes late', async () => {
  await using source = start({ rate: 2000 });
  const startedAt = performance.now();
  let position = 0n;
  while (position < 200n) position = expectChanges(await source.read(), position);
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs >= 100, `${position} rows after ${elapsedMs} ms`);
  await sleep(300);
  assert.ok(Date.now() - source.oldestPendingMs! > 250);
  const batch = await source.read();
  assert.ok(batch.rows >= 500, `${batch.rows} rows`);
  expectChanges(batch, position);
  const { committedAtUs, count } = batch.transactions;
  const spanMs = (committedAtUs[count - 1]! - committedAtUs[0]!) / 1000;
  assert.ok(Math.abs(spanMs - (batch.rows - 1) / 2) < 2, `${batch.rows} rows within ${spanMs} ms`);
});

test('rows wait for others as long as they may, or until somebody expects them', async () => {
  await using source = start({ rate: 100, delayMs: 60_000 });
  const reading = source.read();
  source.expect(3n);
  const batch = await reading;
  assert.ok(batch.position >= 3n && batch.position < 10n, String(batch.position));
});

test('a read that nothing comes for can be woken', async () => {
  await using source = start({ rate: 1, delayMs: 60_000 });
  const reading = source.read();
  source.wake();
  const batch = await reading;
  assert.equal(batch.rows, 0);
  assert.equal(source.oldestPendingMs, undefined);
});

test('every kind of change comes', async () => {
  await using source = start({ rate: 0 });
  const { groups, rows } = await source.read();
  const seen = new Set<number>();
  for (let i = 0; i < rows; i++)
    seen.add(groups[0]!.index[i * RowGroup.stride + RowGroup.opAndPlace]! & 0xff);
  assert.deepEqual([...seen].sort(), [Op.insert, Op.update, Op.delete]);
});
