import { matchesPattern, unmatchedPatterns } from '../config/table-patterns.ts';
import { type Config, columnOptions } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import type { Log } from '../observe/log.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import {
  type VerifyProgress,
  type VerifyResult,
  type VerifyTable,
  verifyTables,
} from '../verify/verify-tables.ts';
import { CatchUp } from './catch-up.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';
import { openSource, resolveScope, type SourceSession } from './source-setup.ts';
import { fitTables, type TableFit } from './table-fit.ts';

export interface VerifyPipelineOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  /** Patterns of the tables to compare; empty: all of the pipeline. */
  tables: readonly string[];
  log: Log;
  onProgress?(progress: VerifyProgress): void;
  signal: AbortSignal;
}

export interface StoppedTable {
  /** `schema.table`. */
  name: string;
  code: string;
  message: string;
  hint: string;
}

export interface PipelineVerification extends VerifyResult {
  /** Tables of the pipeline that are not replicated, and were not compared. */
  stopped: StoppedTable[];
}

/** Compares the tables of a pipeline row by row, beside the service that runs, or without one. */
export async function verifyPipeline(options: VerifyPipelineOptions): Promise<PipelineVerification> {
  const { config, signal } = options;
  const sink = await connectClickHouse(options.clickhouse);
  let source: SourceSession | undefined;
  try {
    source = await openSource(config.postgres.address!);
    const control = new ControlTables(sink.clickhouse, config.pipeline, config.clickhouse.cluster);
    // A misspelt table is told before anything is waited for.
    chooseTables(await resolveScope(source, config), options.tables);
    const catchUp = new CatchUp({ ...options, source, control });
    await catchUp.finishCopies();

    const scope = await resolveScope(source, config);
    const checkpoint = await control.loadCheckpoint();
    const states = new Map(
      (await control.loadTables()).map(({ schema, name, state }) => [`${schema}.${name}`, state]),
    );
    const chosen = chooseTables(scope, options.tables);
    const fits = await fitTables(chosen, config, states, sink.clickhouse, sink.capabilities);
    const replicated = fits.filter(fit => fit.state?.phase === 'streaming' && fit.actual && !fit.problem);
    const result = await verifyTables({
      source: config.postgres.address!,
      clickhouse: sink.clickhouse.client,
      tables: replicated.map(fit => verifyTable(fit, config)),
      epoch: checkpoint?.epoch ?? 1,
      awaitPosition: lsn => catchUp.reach(lsn),
      onProgress: options.onProgress,
      signal,
    });
    return { ...result, stopped: fits.filter(fit => !replicated.includes(fit)).map(whyStopped) };
  } finally {
    await source?.client.end().catch(() => {});
    await sink.clickhouse.close();
  }
}

function chooseTables<T extends { schema: string; name: string }>(
  scope: { tables: T[] },
  patterns: readonly string[],
): T[] {
  if (patterns.length === 0) return scope.tables;
  const unmatched = unmatchedPatterns(patterns, scope.tables);
  if (unmatched.length > 0)
    throw new CdcError(
      'NO_TABLES',
      `no table of the pipeline matches ${unmatched.map(text => `"${text}"`).join(', ')}`,
    );
  return scope.tables.filter(({ schema, name }) => matchesPattern(patterns, [], schema, name));
}

function verifyTable({ source, plan, actual }: TableFit, config: Config): VerifyTable {
  const { schema, name, columns, key, rowFilter } = source;
  const flags = new Set(columns.map(column => `${column.name}__null`));
  return {
    schema,
    name,
    columns,
    key,
    rowFilter,
    target: plan!.name,
    // Without arrays.nullFlag nobody maintains the flags of a table that has them.
    clickHouseTypes: Object.fromEntries(
      [...actual!.columns].filter(([column]) => config.arrays.nullFlag || !flags.has(column)),
    ),
    metaColumns: config.metaColumns,
    onInvalid: Object.fromEntries(
      columns.map(column => [column.name, columnOptions(config, schema, name, column.name).onInvalid]),
    ),
  };
}

function whyStopped({ name, state, problem }: TableFit): StoppedTable {
  if (problem) return { name, code: problem.code, message: problem.message, hint: problem.hint };
  const message =
    state?.phase === 'copying' ? `table ${name} is being copied` : `table ${name} is not replicated yet`;
  return {
    name,
    code: 'COPY_BROKEN',
    message,
    hint: 'Verify again later; if it stays so, start "wal-cdc run" again.',
  };
}
