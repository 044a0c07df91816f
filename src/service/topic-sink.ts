import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import type { connectClickHouse } from './clickhouse-address.ts';
import { SourceCatalog } from './source-catalog.ts';
import { SourceRows } from './source-rows.ts';
import { TopicTables } from './topic-tables.ts';

export interface TopicSinkOptions {
  config: Config;
  clickhouse: Awaited<ReturnType<typeof connectClickHouse>>;
  control: ControlTables;
  checkpoint: Checkpoint;
  metrics: Metrics;
  log: Log;
  keepRows: boolean;
}

const patienceMs = 60_000;

/** Where the changes of topics go: the sink, the tables that come up, and the source that they may ask. */
export class TopicSink {
  readonly sink: ClickHouseSink;
  readonly tables: TopicTables;
  readonly letters: DeadLetters;
  readonly #catalog: SourceCatalog | undefined;
  readonly #rows: SourceRows | undefined;

  constructor(options: TopicSinkOptions) {
    const { config, clickhouse, checkpoint } = options;
    const { address } = config.postgres;
    this.letters = new DeadLetters(clickhouse.clickhouse, config.pipeline);
    this.#catalog = address && new SourceCatalog(address);
    const rows = address && new SourceRows(address);
    this.#rows = rows;
    this.sink = new ClickHouseSink({
      ...options,
      clickhouse: clickhouse.clickhouse,
      mode: 'cdc',
      letters: this.letters,
      epoch: checkpoint.epoch,
      metaColumns: config.metaColumns,
      patienceMs,
      fetchSourceRow: rows && ((relation, key, columns) => rows.fetch(relation, key, columns)),
      settleSource: async () => (rows ? rows.settle() : 0n),
      adopt: relation => this.tables.adopt(relation),
      addColumns: (table, relation) => this.tables.addColumns(table, relation),
      // The connector copies: nothing is copied here.
      abandonCopy: async () => {},
    });
    this.tables = new TopicTables({
      ...options,
      sink: this.sink,
      epoch: checkpoint.epoch,
      catalog: this.#catalog,
    });
  }

  /** What ClickHouse has of the pipeline. */
  async load(): Promise<void> {
    await this.tables.load();
    await this.letters.loadKeys();
    await this.letters.countOpen();
  }

  async close(): Promise<void> {
    this.sink.stop();
    await this.#catalog?.close();
    await this.#rows?.close();
  }
}
