import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

test('the metrics are those of the interface', async () => {
  const metrics = new Metrics();
  const found = await metrics.registry.getMetricsAsJSON();
  assert.deepEqual(
    found.map(({ name, type }) => `${name} ${type}`).sort(),
    [
      'rows_total counter',
      'bytes_total counter',
      'batches_total counter',
      'insert_seconds histogram',
      'freshness_seconds gauge',
      'commit_to_queryable_seconds histogram',
      'lag_bytes gauge',
      'slot_retained_wal_bytes gauge',
      'slot_safe_wal_bytes gauge',
      'kafka_lag_messages gauge',
      'dead_letters_total counter',
      'table_state gauge',
      'restarts_total counter',
    ]
      .map(name => `wal_cdc_${name}`)
      .sort(),
  );
});

test('values arrive with their labels, and what is not known is absent', async () => {
  const metrics = new Metrics();
  assert.doesNotMatch(await metrics.registry.metrics(), /^wal_cdc_(lag|slot)/m);
  const now = Date.now();
  metrics.rowsWritten('public.t', 'insert', 3, now);
  metrics.rowsWritten('public.t', 'insert', 4, now);
  metrics.batchWritten({ bytes: 100, insertSeconds: 0.02 });
  metrics.freshness.record(30, 5, now);
  metrics.freshness.setOldestPending(now - 2000);
  metrics.setLag(7);
  metrics.setSlot({ retainedBytes: 8, safeBytes: 9 });
  metrics.setKafkaLags([{ topic: 'cdc.t', partition: 3, lag: 10 }]);
  metrics.deadLettered('public.t', 2);
  metrics.setTableState('public.t', 'copying');
  metrics.setTableState('public.t', 'streaming');
  metrics.restarted('SINK_UNREACHABLE');
  const lines = (await metrics.registry.metrics()).split('\n');
  for (const line of [
    'rows_total{table="public.t",op="insert"} 7',
    'bytes_total 100',
    'batches_total 1',
    'insert_seconds_bucket{le="0.025"} 1',
    'commit_to_queryable_seconds_bucket{le="0.025"} 0',
    'commit_to_queryable_seconds_bucket{le="0.05"} 5',
    'commit_to_queryable_seconds_bucket{le="+Inf"} 5',
    'commit_to_queryable_seconds_sum 0.15',
    'commit_to_queryable_seconds_count 5',
    'lag_bytes 7',
    'slot_retained_wal_bytes 8',
    'slot_safe_wal_bytes 9',
    'kafka_lag_messages{topic="cdc.t",partition="3"} 10',
    'dead_letters_total{table="public.t"} 2',
    'table_state{table="public.t",state="copying"} 0',
    'table_state{table="public.t",state="streaming"} 1',
    'restarts_total{reason="SINK_UNREACHABLE"} 1',
  ])
    assert.ok(lines.includes(`wal_cdc_${line}`), line);
  const freshness = Number(lines.find(line => line.startsWith('wal_cdc_freshness_seconds '))!.split(' ')[1]);
  assert.ok(freshness >= 2 && freshness < 10, String(freshness));
  metrics.setSlot({ retainedBytes: 8, safeBytes: null });
  assert.doesNotMatch(await metrics.registry.metrics(), /^wal_cdc_slot_safe/m);
  assert.equal(metrics.rowsTotal, 7);
});

test('the lag of a partition that is not read any more is absent', async () => {
  const metrics = new Metrics();
  metrics.setKafkaLags([
    { topic: 't', partition: 0, lag: 5 },
    { topic: 't', partition: 1, lag: 6 },
  ]);
  metrics.setKafkaLags([{ topic: 't', partition: 1, lag: 4 }]);
  const lines = (await metrics.registry.metrics()).match(/^wal_cdc_kafka_lag.*/gm);
  assert.deepEqual(lines, ['wal_cdc_kafka_lag_messages{topic="t",partition="1"} 4']);
});
