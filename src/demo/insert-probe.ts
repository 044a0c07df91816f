import { setTimeout as sleep } from 'node:timers/promises';
import { ClickHouse } from '../sinks/clickhouse/client.ts';

/** Times a one-row insert every half second: what ClickHouse itself takes on this machine, at this moment. */
export class InsertProbe {
  readonly #clickhouse: ClickHouse;
  readonly #stop = new AbortController();
  readonly #samples: number[] = [];
  readonly #running: Promise<void>;

  constructor(address: ConstructorParameters<typeof ClickHouse>[0]) {
    this.#clickhouse = new ClickHouse(address);
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    await this.#clickhouse.command(
      'CREATE OR REPLACE TABLE wal_cdc.insert_probe (n UInt64) ENGINE = MergeTree ORDER BY n ' +
        'SETTINGS fsync_after_insert = 1, fsync_part_directory = 1',
    );
    while (!signal.aborted) {
      const startedAtMs = performance.now();
      await this.#clickhouse.insert('INSERT INTO wal_cdc.insert_probe FORMAT RowBinary', Buffer.alloc(8));
      this.#samples.push(performance.now() - startedAtMs);
      await sleep(500, undefined, { signal }).catch(() => {});
    }
    await this.#clickhouse.command('DROP TABLE wal_cdc.insert_probe');
  }

  /** The median in ms; undefined without samples. */
  async stop(): Promise<number | undefined> {
    this.#stop.abort();
    await this.#running.catch(() => {});
    await this.#clickhouse.close();
    return this.#samples.sort((a, b) => a - b)[this.#samples.length >> 1];
  }
}
