import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatLiveLine, formatMs, formatStatus, formatTables } from './format-status.ts';
import type { StatusSnapshot } from './status.ts';

const status: StatusSnapshot = {
  pipeline: 'default',
  mode: 'wal',
  phase: 'streaming',
  startedAt: '2024-01-01T00:00:00.000Z',
  position: '0/3A4F21B8',
  checkpoint: '0/3A4EF000',
  sourcePosition: '0/3A4F2240',
  lagBytes: 136,
  retainedWalBytes: 18_400_000,
  safeWalBytes: null,
  freshnessMs: 6100,
  freshnessObjectiveMs: 5000,
  commitToQueryableMs: { p50: 21.43, p99: 166.2 },
  rowsPerSecond: 5200.4,
  rowsTotal: 39_184_221,
  deadLetters: 2,
  problem: { code: 'SINK_FULL', message: 'disk full', hint: 'Free some.', since: '2024-01-01T01:00:00.000Z' },
  tables: [
    { name: 'public.user_events', target: 'cdc.user_events', state: 'streaming', rows: 38_120_554 },
    {
      name: 'shop.items',
      target: 'cdc_shop.items',
      state: 'copying',
      rows: 0,
      copiedRows: 4200,
      copyPercent: 43.9,
      copyRemainingSeconds: 96,
    },
    {
      name: 'shop.old',
      target: 'cdc_shop.old',
      state: 'stopped',
      rows: 12,
      since: '0/39FF0010',
      skippedChanges: 1204,
      reason: {
        code: 'VALUE_INVALID',
        message: 'due_on: 9999-12-31 does not fit',
        hint: 'Choose a wider type.',
      },
    },
  ],
};

test('the status as text', () => {
  assert.equal(
    formatStatus(status),
    `pipeline    default (wal), streaming, since 2024-01-01T00:00:00.000Z
freshness   6.1 s, above the objective of 5 s
latency     commit to queryable p50 21 ms, p99 166 ms in the last minute
rows        39,184,221, 5,200 per second
position    0/3A4F21B8, 136 B behind 0/3A4F2240; checkpoint 0/3A4EF000
slot        keeps 18 MiB of WAL, without limit
set aside   2 dead letters: "wal-cdc dead-letters list" shows them

problem     disk full (SINK_FULL, since 2024-01-01T01:00:00.000Z)
            Free some.

TABLE               CLICKHOUSE       STATE                         COPIED     CHANGES
public.user_events  cdc.user_events  streaming                          0  38,120,554
shop.items          cdc_shop.items   copying 43%, 1 min 36 s left   4,200           0
shop.old            cdc_shop.old     stopped                            0          12
  due_on: 9999-12-31 does not fit (VALUE_INVALID, at 0/39FF0010, 1,204 changes left out)
  Choose a wider type.`,
  );
});

test('the live line', () => {
  assert.equal(
    formatLiveLine(status),
    'streaming | 5,200 rows/s | freshness 6.1 s | commit to queryable p50 21 ms, p99 166 ms | lag 136 B | 39,184,221 rows | 2 dead letters | 1 of 3 tables stopped | SINK_FULL',
  );
  const young = {
    ...status,
    commitToQueryableMs: {},
    lagBytes: undefined,
    problem: undefined,
    tables: [],
    deadLetters: 0,
  };
  assert.equal(
    formatLiveLine(young),
    'streaming | 5,200 rows/s | freshness 6.1 s | no commits | 39,184,221 rows',
  );
});

test('dead letters stand beside the rows of their table', () => {
  const [first, ...others] = status.tables;
  assert.deepEqual(formatTables([{ ...first!, deadLetters: 1204 }, others[0]!]), [
    'TABLE               CLICKHOUSE       STATE                         DEAD LETTERS  COPIED     CHANGES',
    'public.user_events  cdc.user_events  streaming                     1,204              0  38,120,554',
    'shop.items          cdc_shop.items   copying 43%, 1 min 36 s left  0              4,200           0',
  ]);
});

test('units', () => {
  assert.deepEqual([0, 9.96, 12.4, 999, 1500, 61_000, 7_260_000].map(formatMs), [
    '0 ms',
    '10 ms',
    '12 ms',
    '999 ms',
    '1.5 s',
    '1 min 1 s',
    '2 h 1 min',
  ]);
  assert.deepEqual([0, 1023, 1536, 20_000_000, 3 * 2 ** 40].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '19 MiB',
    '3 TiB',
  ]);
});

test('partitions of topics: those that are the furthest behind first, and not too many', () => {
  const partition = (n: number, lag: number | undefined) => ({ topic: 'p.t', partition: n, offset: 7, lag });
  const { position: _, lagBytes: __, retainedWalBytes: ___, problem: ____, ...rest } = status;
  const cdc = { ...rest, tables: [], deadLetters: 0, mode: 'cdc' as const };
  assert.equal(
    formatStatus({ ...cdc, partitions: [partition(0, 0), partition(1, 1200), partition(2, undefined)] })
      .split('\n')
      .slice(4)
      .join('\n'),
    `offsets     3 partitions of 1 topic, 1,200 messages behind

PARTITION  NEXT OFFSET      LAG
p.t/1                7    1,200
p.t/0                7        0
p.t/2                7  unknown`,
  );
  const many = Array.from({ length: 40 }, (_, n) => partition(n, 0));
  assert.match(
    formatStatus({ ...cdc, partitions: many }),
    /read to their ends[\s\S]*\nand 10 more, which --json shows$/,
  );
});
