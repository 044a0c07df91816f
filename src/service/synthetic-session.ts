import type { Config } from '../config.ts';
import type { Batch } from '../core/batch.ts';
import type { Checkpoint, TableState } from '../core/checkpoint.ts';
import { CdcError, type ErrorCode } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Pipeline } from '../pipeline.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import {
  type ActualTarget,
  buildCreateDatabaseSql,
  checkTarget,
  createTable,
  inspectTarget,
  planTarget,
  type TargetPlan,
} from '../sinks/clickhouse/target.ts';
import { SyntheticSource } from '../sources/synthetic/source.ts';
import { userEventsTable } from '../sources/synthetic/table.ts';
import { describeUserEvents, UserEvents } from '../sources/synthetic/user-events.ts';
import { type ClickHouseAddress, connectClickHouse, targetOptions } from './clickhouse-address.ts';
import { knownColumns } from './column-changes.ts';
import { requireOwnTable, requireSameMode } from './pipeline-claims.ts';
import type { PipelineSession } from './pipeline-service.ts';

export interface SyntheticOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  metrics: Metrics;
  log: Log;
  /** Ends `run` once this sequence number is queryable; it is the last one that is generated. */
  until: Lsn | undefined;
}

type Sink = Awaited<ReturnType<typeof connectClickHouse>>;

/** Nothing else waits for ClickHouse meanwhile. */
const sinkPatienceMs = 10_000;
const epoch = 1;

/** One connection to ClickHouse that generated rows go through, from the checks at the start to the last checkpoint. */
export class SyntheticSession implements PipelineSession {
  readonly #options: SyntheticOptions;
  readonly #clickhouse: Sink;
  readonly #control: ControlTables;
  readonly #sink: ClickHouseSink;
  readonly #table: SinkTable;
  readonly letters: DeadLetters;
  #checkpoint: Checkpoint;
  #source: SyntheticSource | undefined;
  #pipeline: Pipeline | undefined;
  #stopped = false;

  private constructor(
    options: SyntheticOptions,
    clickhouse: Sink,
    control: ControlTables,
    checkpoint: Checkpoint,
    table: SinkTable,
  ) {
    this.#options = options;
    this.#clickhouse = clickhouse;
    this.#control = control;
    this.#checkpoint = checkpoint;
    this.#table = table;
    this.letters = new DeadLetters(clickhouse.clickhouse, options.config.pipeline);
    const { config, metrics, log } = options;
    this.#sink = new ClickHouseSink({
      clickhouse: clickhouse.clickhouse,
      control,
      mode: 'synthetic',
      letters: this.letters,
      epoch,
      metaColumns: config.metaColumns,
      metrics,
      log,
      patienceMs: sinkPatienceMs,
      // There is one table, every change has all of its values, and nothing is copied or truncated.
      fetchSourceRow: unexpected,
      settleSource: unexpected,
      adopt: unexpected,
      addColumns: unexpected,
      abandonCopy: unexpected,
    });
    this.#sink.tables.set(table.table.id, table);
  }

  /** Connects, checks checkpoint and table, creates what is missing. Generates nothing yet. */
  static async open(options: SyntheticOptions): Promise<SyntheticSession> {
    const { config, log } = options;
    const clickhouse = await connectClickHouse(options.clickhouse);
    try {
      const control = new ControlTables(clickhouse.clickhouse, config.pipeline, config.clickhouse.cluster);
      await control.create();
      const saved = await control.loadCheckpoint();
      checkSyntheticCheckpoint(config, saved);
      const { plan, actual, isNew } = await openTable(config, clickhouse, control, saved);
      if (isNew && saved && saved.position !== '0')
        log.warn(
          { table: `${plan.name.database}.${plan.name.table}` },
          'the ClickHouse table was gone: rows are generated from the first one on again',
        );
      const checkpoint = saved && !isNew ? saved : firstCheckpoint(config);
      const table = new SinkTable(
        userEventsTable,
        plan,
        actual.columns,
        newState(plan),
        targetOptions(config),
        epoch,
      );
      const session = new SyntheticSession(options, clickhouse, control, checkpoint, table);
      // Before the first row, so that other pipelines know whose table it is.
      await session.#sink.saveTable(table);
      await control.saveCheckpoint(checkpoint);
      return session;
    } catch (error) {
      await clickhouse.clickhouse.close();
      throw error;
    }
  }

  async run(started: () => void): Promise<void> {
    const { config, metrics, until } = this.#options;
    const { synthetic, batch } = config;
    const position = BigInt(this.#checkpoint.position);
    const source = new SyntheticSource({
      events: new UserEvents(synthetic),
      position,
      until,
      rate: synthetic.rate,
      maxBatchBytes: batch.maxBytes,
      delayMs: batch.maxDelayMs,
    });
    this.#source = source;
    this.#pipeline = new Pipeline({
      source,
      sink: { write: rows => this.#write(rows) },
      metrics,
      position,
      maxDelayMs: batch.maxDelayMs,
      saveCheckpoint: async written => {
        this.#checkpoint = { ...this.#checkpoint, position: String(written) };
        await this.#control.saveCheckpoint(this.#checkpoint);
      },
    });
    try {
      started();
      if (!this.#stopped) await this.#pipeline.run(written => until !== undefined && written >= until);
    } finally {
      this.#sink.stop();
      await source.close();
      await this.#clickhouse.clickhouse.close();
    }
  }

  /** A stopped table has nothing beside it to go on with. What is not in the checkpoint is generated again. */
  async #write(batch: Batch): Promise<void> {
    await this.#sink.write(batch);
    const { stopped } = this.#table.state;
    if (!stopped) return;
    throw new CdcError(stopped.code as ErrorCode, stopped.message, {
      hint: 'Correct the configuration of the column, then "wal-cdc teardown --data" and start again.',
      table: this.#table.name,
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#sink.stop();
    this.#pipeline?.stop();
  }

  get tables(): readonly SinkTable[] {
    return [this.#table];
  }

  get written(): Lsn {
    return this.#pipeline?.written ?? BigInt(this.#checkpoint.position);
  }

  get writingSince(): number | undefined {
    return this.#pipeline?.writingSince;
  }

  get checkpointed(): Lsn {
    return this.#pipeline?.saved ?? BigInt(this.#checkpoint.position);
  }

  get copying(): boolean {
    return false;
  }

  expect(position: Lsn): void {
    this.#source?.expect(position);
  }
}

/** Throws CONFIG_INVALID when the rows to come would not fit those that the checkpoint stands for. */
export function checkSyntheticCheckpoint(config: Config, saved: Checkpoint | undefined): void {
  requireSameMode(config, saved);
  const wanted = describeUserEvents(config.synthetic);
  if (!saved || saved.systemId === wanted) return;
  throw new CdcError(
    'CONFIG_INVALID',
    `the rows of pipeline "${config.pipeline}" were generated with other settings under synthetic (${saved.systemId}; now ${wanted})`,
    {
      hint: 'Updates would not fit the rows that are there: keep the settings, "wal-cdc teardown --data" first, or choose another --pipeline and --database.',
    },
  );
}

/** Makes the ClickHouse table, or checks that it fits and has no rows but ours. */
async function openTable(
  config: Config,
  { clickhouse, capabilities }: Sink,
  control: ControlTables,
  saved: Checkpoint | undefined,
): Promise<{ plan: TargetPlan; actual: ActualTarget; isNew: boolean }> {
  const options = targetOptions(config);
  const plan = planTarget(userEventsTable, options, capabilities);
  await requireOwnTable(config, control, userEventsTable, plan.name);
  await clickhouse.command(buildCreateDatabaseSql(plan.name.database, options));
  const actual = await inspectTarget(clickhouse, plan.name);
  if (actual) {
    checkTarget(userEventsTable, plan, actual, options);
    requireExplainedRows(plan, actual, saved);
    return { plan, actual, isNew: false };
  }
  await createTable(clickhouse, plan, options);
  return { plan, actual: (await inspectTarget(clickhouse, plan.name))!, isNew: true };
}

/** Generated rows go into a table of their own. Throws TABLE_NOT_EMPTY. */
export function requireExplainedRows(
  { name }: TargetPlan,
  { rows }: ActualTarget,
  saved: Checkpoint | undefined,
): void {
  if (saved || rows === 0) return;
  throw new CdcError(
    'TABLE_NOT_EMPTY',
    `ClickHouse table ${name.database}.${name.table} has ${rows} rows that no checkpoint explains`,
    {
      table: `${userEventsTable.schema}.${userEventsTable.name}`,
      hint: 'Generated rows go into a table of their own: choose another --database, or drop or empty the table.',
    },
  );
}

function firstCheckpoint({ synthetic }: Config): Checkpoint {
  return {
    mode: 'synthetic',
    epoch,
    position: '0',
    systemId: describeUserEvents(synthetic),
    timeline: 0,
    slot: '',
    publication: '',
    publicationOid: 0,
  };
}

function newState(plan: TargetPlan): TableState {
  const { keyRule, key, columns } = userEventsTable;
  return {
    epoch,
    target: plan.name,
    columns: knownColumns(columns),
    phase: 'streaming',
    keyRule,
    key,
    live: true,
    copiedRows: 0,
  };
}

async function unexpected(): Promise<never> {
  throw new CdcError('UNEXPECTED', 'generated rows need nothing from a source');
}
