import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CdcError } from '../core/errors.ts';
import { Metrics } from '../observe/metrics.ts';
import { Trouble } from './trouble.ts';

const full = new CdcError('SINK_FULL', 'disk full');

test('trouble outlives sessions that stream and write nothing', () => {
  const metrics = new Metrics();
  const trouble = new Trouble(metrics);
  trouble.failed(full);
  const since = trouble.problem!.since;
  trouble.started(100n, 0);
  metrics.freshness.setOldestPending(Date.now() - 60_000);
  assert.equal(trouble.overcome(100n, 20_000), false, 'a batch waits to be written');
  trouble.failed(new CdcError('SINK_UNREACHABLE', 'away'));
  assert.equal(trouble.overcome(101n, 20_000), false, 'no session streams');
  assert.deepEqual(
    { code: trouble.problem!.code, since: trouble.problem!.since },
    { code: 'SINK_UNREACHABLE', since },
  );
  assert.ok(metrics.freshness.ageMs(Date.now()) >= 60_000);
});

test('a checkpoint that moved, a batch, or a while with nothing to write ends trouble', () => {
  const cases: [string, (metrics: Metrics) => { checkpointed: bigint; nowMs: number }][] = [
    ['a checkpoint', () => ({ checkpointed: 101n, nowMs: 1 })],
    [
      'a batch',
      metrics => {
        metrics.batchWritten({ bytes: 1, insertSeconds: 0.01 });
        return { checkpointed: 100n, nowMs: 1 };
      },
    ],
    ['a while', () => ({ checkpointed: 100n, nowMs: 15_000 })],
  ];
  for (const [name, progress] of cases) {
    const metrics = new Metrics();
    const trouble = new Trouble(metrics);
    metrics.batchWritten({ bytes: 1, insertSeconds: 0.01 });
    trouble.failed(full);
    trouble.started(100n, 0);
    assert.equal(trouble.overcome(100n, 1), false, name);
    const { checkpointed, nowMs } = progress(metrics);
    assert.equal(trouble.overcome(checkpointed, nowMs), true, name);
    assert.equal(trouble.problem, undefined, name);
    assert.equal(metrics.freshness.ageMs(Date.now()), 0, name);
  }
});

test('a slot that was in use is over with a session that streams, other trouble before it is not', () => {
  const trouble = new Trouble(new Metrics());
  const inUse = new CdcError('SLOT_IN_USE', 'in use');
  trouble.failed(inUse);
  trouble.started(100n, 0);
  assert.ok(!trouble.problem);
  trouble.failed(full);
  trouble.failed(inUse);
  trouble.started(100n, 0);
  assert.ok(trouble.problem);
});
