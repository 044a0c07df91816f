import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Freshness } from './freshness.ts';
import { Rate } from './rate.ts';

const start = 1_700_000_000_000;

test('the age is that of the oldest pending commit, 0 without one', () => {
  const freshness = new Freshness();
  assert.equal(freshness.ageMs(start), 0);
  freshness.setOldestPending(start - 120);
  assert.equal(freshness.ageMs(start), 120);
  freshness.setOldestPending(start + 50);
  assert.equal(freshness.ageMs(start), 0);
  freshness.setOldestPending(undefined);
  assert.equal(freshness.ageMs(start), 0);
});

test('in trouble the age grows from its begin, or from what waited then', () => {
  const freshness = new Freshness();
  freshness.troubleBegan(start);
  freshness.troubleBegan(start + 500);
  assert.equal(freshness.ageMs(start + 1000), 1000);
  freshness.setOldestPending(start - 200);
  assert.equal(freshness.ageMs(start + 1000), 1200);
  freshness.troubleBegan(start + 1000);
  assert.equal(freshness.pending, false, 'it is read again');
  assert.equal(freshness.ageMs(start + 2000), 2200);
  freshness.troubleEnded();
  assert.equal(freshness.ageMs(start + 2000), 0);
});

test('percentiles are at most 4.5 % above the exact ones', () => {
  const latency = fc.double({ min: 0.2, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(latency, fc.integer({ min: 1, max: 1000 })), { minLength: 1 }), samples => {
      const freshness = new Freshness();
      for (const [ms, transactions] of samples) freshness.record(ms, transactions, start);
      const all = samples
        .flatMap(([ms, transactions]) => Array<number>(transactions).fill(ms))
        .sort((a, b) => a - b);
      const found = freshness.percentiles(start);
      for (const [q, value] of [
        [0.5, found.p50!],
        [0.99, found.p99!],
      ] as const) {
        const exact = all[Math.ceil(all.length * q) - 1]!;
        // Values are rounded: to 0.1 below 100 ms, to whole milliseconds above.
        const rounding = exact < 100 ? 0.051 : 0.51;
        assert.ok(
          value >= exact - rounding && value <= exact * 1.045 + rounding,
          `${q}: ${value} for ${exact}`,
        );
      }
    }),
  );
});

test('percentiles forget after a minute, the exported histogram does not', () => {
  const freshness = new Freshness();
  freshness.record(1000, 10, start);
  freshness.record(-5, 1, start + 50_000);
  assert.ok(freshness.percentiles(start + 50_000).p50! >= 1000);
  assert.deepEqual(freshness.percentiles(start + 62_000), { p50: 0.1, p99: 0.1 });
  assert.deepEqual(freshness.percentiles(start + 200_000), {});
  const { count, sumSeconds } = freshness.exported();
  assert.deepEqual({ count, sumSeconds }, { count: 11, sumSeconds: 10 });
});

test('the rate is that of the last full seconds', () => {
  const rate = new Rate();
  assert.equal(rate.perSecond(start), 0);
  for (let second = 0; second < 10; second++) rate.add(100, start + second * 1000);
  assert.equal(rate.perSecond(start + 10_000), 100);
  rate.add(9, start + 10_000);
  assert.equal(rate.perSecond(start + 10_000), 100, 'the second that runs does not count');
  assert.equal(rate.perSecond(start + 15_000), 9 / 5);
  assert.equal(rate.perSecond(start + 60_000), 0);
  const young = new Rate();
  young.add(50, start);
  assert.equal(young.perSecond(start + 1000), 50);
});
