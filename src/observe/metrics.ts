import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../core/errors.ts';
import { Freshness } from './freshness.ts';
import { Rate } from './rate.ts';
import type { TableState } from './status.ts';

export type Op = 'insert' | 'update' | 'delete' | 'copy';

const tableStates: readonly TableState[] = ['pending', 'copying', 'streaming', 'stopped'];

/** Every metric, declared once. Updated per batch or less often, never per row. */
export class Metrics {
  readonly registry = new Registry();
  readonly freshness = new Freshness();
  readonly rate = new Rate();
  rowsTotal = 0;
  batchesTotal = 0;

  readonly #rows = this.#counter('rows_total', 'Rows written to ClickHouse', ['table', 'op']);
  readonly #bytes = this.#counter('bytes_total', 'Bytes of tuples read from the source');
  readonly #batches = this.#counter('batches_total', 'Batches written to ClickHouse');
  readonly #insert = new Histogram({
    name: 'wal_cdc_insert_seconds',
    help: 'Time that one insert into ClickHouse took',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [this.registry],
  });
  readonly #lag = this.#gauge('lag_bytes', "WAL between the source's end and the last queryable position");
  readonly #retained = this.#gauge(
    'slot_retained_wal_bytes',
    'WAL that the replication slot keeps from removal',
  );
  readonly #safe = this.#gauge(
    'slot_safe_wal_bytes',
    'WAL that may still be written before the slot is lost; absent without max_slot_wal_keep_size',
  );
  readonly #kafkaLag = this.#gauge(
    'kafka_lag_messages',
    'Messages between the end of a partition and the last read one',
    ['topic', 'partition'],
  );
  readonly #deadLetters = this.#counter(
    'dead_letters_total',
    'Rows that could not be written and were set aside',
    ['table'],
  );
  readonly #tableState = this.#gauge('table_state', '1 for the state that a table is in, 0 for the others', [
    'table',
    'state',
  ]);
  readonly #restarts = this.#counter(
    'restarts_total',
    'Times that the pipeline connected anew after an error',
    ['reason'],
  );

  constructor() {
    // Not known is not 0.
    for (const gauge of [this.#lag, this.#retained, this.#safe]) gauge.remove();
    this.#gauge(
      'freshness_seconds',
      'Age of the oldest committed change that is not yet queryable; an upper bound while nothing can be written',
      [],
      gauge => gauge.set(this.freshness.ageMs(Date.now()) / 1000),
    );
    this.registry.registerMetric(commitToQueryable(this.freshness) as never);
  }

  /** Rows of one table and kind in a batch that is queryable now. */
  rowsWritten(table: string, op: Op, rows: number, nowMs: number): void {
    this.#rows.inc({ table, op }, rows);
    this.rowsTotal += rows;
    this.rate.add(rows, nowMs);
  }

  batchWritten(batch: { bytes: number; insertSeconds: number }): void {
    this.#batches.inc();
    this.batchesTotal++;
    this.#bytes.inc(batch.bytes);
    this.#insert.observe(batch.insertSeconds);
  }

  setLag(bytes: number): void {
    this.#lag.set(bytes);
  }

  /** `safeBytes` is null when PostgreSQL keeps WAL for the slot without limit. */
  setSlot(slot: { retainedBytes: number; safeBytes: number | null }): void {
    this.#retained.set(slot.retainedBytes);
    if (slot.safeBytes === null) this.#safe.remove();
    else this.#safe.set(slot.safeBytes);
  }

  /** Of the partitions that this instance reads now: one that another took over must not stay at its last value. */
  setKafkaLags(lags: readonly { topic: string; partition: number; lag: number }[]): void {
    this.#kafkaLag.reset();
    for (const { topic, partition, lag } of lags) this.#kafkaLag.set({ topic, partition }, lag);
  }

  deadLettered(table: string, rows: number): void {
    this.#deadLetters.inc({ table }, rows);
  }

  setTableState(table: string, state: TableState): void {
    for (const each of tableStates) this.#tableState.set({ table, state: each }, each === state ? 1 : 0);
  }

  restarted(reason: ErrorCode): void {
    this.#restarts.inc({ reason });
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[] = []): Counter<T> {
    return new Counter({ name: `wal_cdc_${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge<T extends string>(
    name: string,
    help: string,
    labelNames: T[] = [],
    collect?: (gauge: Gauge<T>) => void,
  ): Gauge<T> {
    return new Gauge({
      name: `wal_cdc_${name}`,
      help,
      labelNames,
      registers: [this.registry],
      ...(collect && {
        collect() {
          collect(this);
        },
      }),
    });
  }
}

/** prom-client's Histogram takes one observation at a time; `Freshness` counts whole batches. */
function commitToQueryable(freshness: Freshness) {
  const name = 'wal_cdc_commit_to_queryable_seconds';
  return {
    name,
    async get() {
      const { buckets, count, sumSeconds } = freshness.exported();
      return {
        name,
        help: 'Time from the commit of a transaction at the source until it can be queried in ClickHouse',
        type: 'histogram',
        aggregator: 'sum',
        values: [
          ...buckets.map(bucket => ({
            metricName: `${name}_bucket`,
            labels: { le: bucket.le },
            value: bucket.count,
          })),
          { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
          { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
          { metricName: `${name}_count`, labels: {}, value: count },
        ],
      };
    },
    reset() {},
  };
}
