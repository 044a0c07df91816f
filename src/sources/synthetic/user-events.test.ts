import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  expectedUserEvents,
  type UserEventRow,
  userEventChange,
  userEventDefaults,
} from '../../../test/support/user-events.ts';
import { Op } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { type UserEventOptions, UserEvents } from './user-events.ts';

function changes(until: number, options: Partial<UserEventOptions> = {}) {
  const events = new UserEvents({ ...userEventDefaults, ...options });
  return Array.from({ length: until }, (_, i) => userEventChange(events, i + 1));
}

test('the same seed gives the same rows, another one others', () => {
  assert.deepEqual(changes(3000), changes(3000));
  const other = changes(3000, { seed: 43 });
  const same = changes(3000).filter(({ row }, i) => row && row[3] === other[i]!.row?.[3]);
  assert.ok(same.length < 10, `${same.length} payloads are the same`);
});

test('a change does not depend on those that were asked for before', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), fc.array(fc.integer({ min: 1, max: 2 ** 45 })), (n, before) => {
      const used = new UserEvents(userEventDefaults);
      const out = new ByteWriter();
      for (const each of before) used.write(each, out);
      assert.deepEqual(userEventChange(used, n), userEventChange(new UserEvents(userEventDefaults), n));
    }),
  );
});

test('updates and deletes have their shares, and are of rows that are there', () => {
  const shares = fc
    .record({
      updates: fc.double({ min: 0, max: 0.9, noNaN: true }),
      deletes: fc.double({ min: 0, max: 0.45, noNaN: true }),
    })
    .filter(({ updates, deletes }) => updates + 2 * deletes <= 0.9);
  const total = 256 * 40;
  fc.assert(
    fc.property(shares, fc.nat(), (given, seed) => {
      const live = new Set<string>();
      const counts: Record<number, number> = { [Op.insert]: 0, [Op.update]: 0, [Op.delete]: 0 };
      for (const { op, id } of changes(total, { ...given, seed })) {
        counts[op]!++;
        if (op === Op.insert) {
          assert.equal(Number(id), counts[Op.insert], 'ids have no gaps');
          live.add(id);
        } else
          assert.ok(op === Op.delete ? live.delete(id) : live.has(id), `${op} of ${id}, which is not there`);
      }
      // None in the first blocks, which have nothing to change yet.
      assert.ok(Math.abs(counts[Op.update]! - given.updates * (total - 256)) <= 1, JSON.stringify(counts));
      assert.ok(
        Math.abs(counts[Op.delete]! - given.deletes * (total - 8 * 256)) <= 1,
        JSON.stringify(counts),
      );
    }),
    { numRuns: 20 },
  );
});

test('the number at which an id is inserted is found again', () => {
  for (const options of [{}, { updates: 0, deletes: 0 }, { updates: 0.1, deletes: 0.4 }]) {
    const events = new UserEvents({ ...userEventDefaults, ...options });
    for (const n of [1, 2, 255, 256, 257, 2048, 2049, 99_999, 12_345_678, 2 ** 40]) {
      const id = events.idOf(n);
      const at = events.insertOf(id);
      const { op, id: inserted } = userEventChange(events, at);
      assert.deepEqual([op, Number(inserted)], [Op.insert, id]);
      assert.ok(at <= n);
    }
  }
});

test('users make visits: what is bought was put into the cart, and the price is that of the cart', () => {
  const rows = changes(60_000, { updates: 0, deletes: 0 }).map(({ row }) => row!);
  const visits = new Map<string, UserEventRow[]>();
  for (const row of rows) {
    const { session } = JSON.parse(row[3]);
    visits.set(session, [...(visits.get(session) ?? []), row]);
  }
  let purchases = 0;
  for (const visit of visits.values()) {
    assert.equal(new Set(visit.map(([, user]) => user)).size, 1, 'a visit is of one user');
    let cents = 0;
    for (const [, , type, payload, amount] of visit) {
      const { price, quantity, total } = JSON.parse(payload);
      if (type === 'add_to_cart') cents += Math.round(price * 100) * quantity;
      if (type === 'checkout') assert.equal(Math.round(total * 100), cents);
      assert.equal(amount !== null, type === 'purchase' || type === 'refund');
      if (type !== 'purchase') continue;
      purchases++;
      assert.ok(cents > 0);
      assert.equal(Math.round(Number(amount) * 100), cents);
    }
  }
  assert.ok(purchases > 300, `${purchases} purchases`);
  const share = (type: string) => rows.filter(row => row[2] === type).length / rows.length;
  const funnel = ['page_view', 'search', 'add_to_cart', 'checkout', 'purchase', 'refund'].map(share);
  assert.deepEqual(
    funnel,
    funnel.toSorted((a, b) => b - a),
    'the further, the fewer',
  );
  assert.ok(share('page_view') > 0.5 && share('purchase') > 0.005);
});

test('a few users are busy, many are not', () => {
  const counts = new Map<string, number>();
  for (const { row } of changes(50_000)) if (row) counts.set(row[1], (counts.get(row[1]) ?? 0) + 1);
  const sorted = [...counts.values()].sort((a, b) => b - a);
  assert.ok(counts.size > 5000 && counts.size <= 10_000, `${counts.size} users`);
  assert.ok(sorted[0]! > 20 * sorted[sorted.length >> 1]!, `${sorted[0]} events of one user`);
});

test('time passes by ten events of each user a day, more in the evening, and some events are late', () => {
  const rows = changes(100_000, { updates: 0, deletes: 0, start: '2024-02-28' }).map(({ row }) => row!);
  assert.match(rows[0]![5], /^2024-02-28 00:00:0/);
  assert.match(rows[99_999]![5], /^2024-02-28 23:59:/);
  const hours = new Array(24).fill(0);
  for (const [, , , , , at] of rows) hours[Number(at.slice(11, 13))]++;
  assert.ok(hours[20] > 5 * hours[3], JSON.stringify(hours));
  const late = rows.filter((row, i) => i > 0 && row[5] < rows[i - 1]![5]).length / rows.length;
  assert.ok(late > 0.01 && late < 0.1, `${late} of them are late`);
  assert.ok(rows.some(row => row[5] < '2024-02-28'));
});

test('an update writes the row again with more in its payload', () => {
  const inserted = new Map<string, UserEventRow>();
  let paidBack = 0;
  for (const { op, id, row } of changes(60_000, { updates: 0.4 })) {
    if (op === Op.insert) inserted.set(id, row!);
    if (op !== Op.update) continue;
    const before = inserted.get(id)!;
    const [old, now] = [JSON.parse(before[3]), JSON.parse(row![3])];
    assert.deepEqual({ ...now, ...old }, now);
    assert.equal(Object.keys(now).length, Object.keys(old).length + 1);
    assert.deepEqual([row![1], row![2], row![5]], [before[1], before[2], before[5]]);
    if (row![4] !== before[4]) paidBack++;
  }
  assert.ok(paidBack > 0);
});

test('any number of users and any start will do', () => {
  for (const users of [1, 7, 1_000_000_000]) {
    const rows = expectedUserEvents(2000, { users, start: '1999-12-31T23:59:59+02:00' });
    assert.ok(rows.every(row => row[5] > '1999' && !row[5].includes('NaN')));
    assert.ok(new Set(rows.map(row => row[1])).size <= users);
  }
});
