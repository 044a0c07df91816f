import { matchesPattern, unmatchedPatterns } from '../config/table-patterns.ts';
import { type Config, columnOptions } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import type { Problem } from '../observe/status.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters, type LetterFilter } from '../sinks/clickhouse/dead-letters.ts';
import { rowOf } from '../sinks/clickhouse/letter-row.ts';
import { listTables, type SourceTable } from '../sources/wal/catalog.ts';
import { quoteLiteral, quoteTable } from '../sources/wal/connect.ts';
import {
  type LetterRow,
  type VerifyProgress,
  type VerifyResult,
  type VerifyTable,
  verifyTables,
} from '../verify/verify-tables.ts';
import { CatchUp } from './catch-up.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';
import { askForReasons } from './running-service.ts';
import { SourceCatalog } from './source-catalog.ts';
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

/** Letters per table that rows are looked up among. */
const maxLetters = 100_000;

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
  if (config.mode === 'cdc') return verifyTopics(options);
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
    const letters = new DeadLetters(sink.clickhouse, config.pipeline);
    const hasLetters = await letters.exists();
    const chosen = chooseTables(scope, options.tables);
    const fits = await fitTables(chosen, config, states, sink.clickhouse, sink.capabilities);
    const replicated = fits.filter(fit => fit.state?.phase === 'streaming' && fit.actual && !fit.problem);
    const result = await verifyTables({
      source: config.postgres.address!,
      clickhouse: sink.clickhouse.client,
      tables: replicated.map(fit => verifyTable(fit, config)),
      epoch: checkpoint?.epoch ?? 1,
      awaitPosition: lsn => catchUp.reach(lsn),
      ...(hasLetters ? { openLetters: table => openLetters(letters, table) } : {}),
      onProgress: options.onProgress,
      signal,
    });
    return { ...result, stopped: await findStopped(config, fits, replicated) };
  } finally {
    await source?.client.end().catch(() => {});
    await sink.clickhouse.close();
  }
}

/** Tables whose changes come through a connector: see docs/verify.md, "Mode cdc". */
async function verifyTopics(options: VerifyPipelineOptions): Promise<PipelineVerification> {
  const { config, signal } = options;
  const address = config.postgres.address;
  if (!address)
    throw new CdcError('CONFIG_INVALID', 'postgres.url is not set: there is nothing to compare with', {
      hint: 'Set postgres.url (--postgres) to the database that the connector reads.',
    });
  const sink = await connectClickHouse(options.clickhouse);
  const catalog = new SourceCatalog(address);
  try {
    const control = new ControlTables(sink.clickhouse, config.pipeline, config.clickhouse.cluster);
    // Kafka's client takes half a second to load.
    const { TopicCatchUp } = await import('./topic-catch-up.ts');
    const catchUp = new TopicCatchUp({ ...options, control, catalog });
    const letters = new DeadLetters(sink.clickhouse, config.pipeline);
    // Tables come up with their first message.
    await catchUp.reach(0n);
    const rows = await control.loadTables();
    const states = new Map(rows.map(row => [qualifiedName(row), row.state]));
    const described: SourceTable[] = [];
    for (const { schema, name } of rows) {
      const source = await catalog.describe(schema, name);
      if (source) described.push(source);
    }
    const chosen = chooseTables({ tables: described }, options.tables);
    const fits = await fitTables(chosen, config, states, sink.clickhouse, sink.capabilities);
    const replicated = fits.filter(fit => fit.state?.phase === 'streaming' && fit.actual && !fit.problem);
    const result = await verifyTables({
      source: address,
      clickhouse: sink.clickhouse.client,
      tables: replicated.map(fit => verifyTable(fit, config)),
      epoch: (await control.loadCheckpoint())?.epoch ?? 1,
      newerBy: 'commit-time',
      awaitPosition: lsn => catchUp.reach(lsn),
      openLetters: table => openLetters(letters, table),
      onProgress: options.onProgress,
      signal,
    });
    const silent = await findSilent(options, catalog, states);
    return { ...result, stopped: [...(await findStopped(config, fits, replicated)), ...silent] };
  } finally {
    await catalog.close();
    await sink.clickhouse.close();
  }
}

/** Tables of the source that have rows, though no message of them has come. */
async function findSilent(
  { config, tables }: VerifyPipelineOptions,
  catalog: SourceCatalog,
  states: ReadonlyMap<string, unknown>,
): Promise<StoppedTable[]> {
  return catalog.use(async client => {
    const wanted = (await listTables(client)).filter(
      table =>
        matchesPattern(config.tables, config.exclude, table.schema, table.name) &&
        (tables.length === 0 || matchesPattern(tables, [], table.schema, table.name)) &&
        !states.has(qualifiedName(table)),
    );
    const silent: StoppedTable[] = [];
    for (const table of wanted) {
      const name = qualifiedName(table);
      const { rows } = await client.query<{ may: boolean }>(
        `SELECT has_table_privilege(${quoteLiteral(quoteTable(table))}, 'SELECT') AS may`,
      );
      if (!rows[0]!.may)
        silent.push({
          name,
          code: 'TABLE_UNREADABLE',
          message: `table ${name} may not be read, and no message of it has come`,
          hint: 'GRANT SELECT on the table to the role, or leave it out with exclude.',
        });
      else if ((await client.query(`SELECT FROM ${quoteTable(table)} LIMIT 1`)).rowCount)
        silent.push({
          name,
          code: 'TABLE_UNKNOWN',
          message: `table ${name} has rows, and no message of it has come`,
          hint: "Check kafka.topics, and the connector's table.include.list and publication; or leave the table out with exclude.",
        });
    }
    return silent;
  });
}

/** Open letters of a table; of very many the newest. */
async function openLetters(letters: DeadLetters, { schema, name, key }: VerifyTable): Promise<LetterRow[]> {
  const filter: LetterFilter = { states: ['open'], tables: [{ schema, table: name }] };
  if (key.length > 0)
    return (await letters.list(filter, maxLetters)).map(({ id, key: values }) => ({
      id,
      values: JSON.parse(values) as LetterRow['values'],
    }));
  const rows: LetterRow[] = [];
  for await (const page of letters.pages(filter)) {
    for (const letter of page)
      rows.push({
        id: letter.id,
        values: Object.fromEntries(rowOf(letter).map(({ name, value }) => [name, value ?? null])),
      });
    if (rows.length >= maxLetters) break;
  }
  return rows;
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

async function findStopped(
  config: Config,
  fits: readonly TableFit[],
  replicated: readonly TableFit[],
): Promise<StoppedTable[]> {
  const others = fits.filter(fit => !replicated.includes(fit));
  const isKnown = others.every(fit => fit.problem ?? fit.state?.stopped);
  // Of a table that failed the checks before its copy nothing is saved.
  const reasons = isKnown ? new Map<string, Problem>() : await askForReasons(config);
  return others.map(fit => whyStopped(fit, reasons));
}

function whyStopped({ name, state, problem }: TableFit, reasons: ReadonlyMap<string, Problem>): StoppedTable {
  const reason = problem ?? state?.stopped ?? reasons.get(name);
  if (reason) return { name, code: reason.code, message: reason.message, hint: reason.hint };
  const message =
    state?.phase === 'copying' ? `table ${name} is being copied` : `table ${name} is not replicated yet`;
  return {
    name,
    code: 'COPY_BROKEN',
    message,
    hint: 'Verify again later; if it stays so, start "wal-cdc run" again.',
  };
}
