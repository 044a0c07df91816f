import type { Config } from '../config.ts';
import { errorKinds } from '../core/errors.ts';
import { formatCount, formatSeconds } from '../observe/format-status.ts';
import { createLog } from '../observe/log.ts';
import { findClickHouse, openClickHouse } from '../service/clickhouse-address.ts';
import { type PipelineVerification, verifyPipeline } from '../service/verify-pipeline.ts';
import type { RowDifference, VerifyProgress, VerifyTableResult } from '../verify/verify-tables.ts';
import { requireSource } from './require-mode.ts';

export interface VerifyCommandOptions {
  /** Patterns; none: every table of the pipeline. */
  tables?: string[];
  json: boolean;
}

/** Differences that are printed per table; `--json` has the first hundred. */
const shownDifferences = 10;

/** Exit code 0 when every table is equal, 4 when rows differ, a table is stopped or could not be compared. */
export async function verify(
  config: Config,
  options: VerifyCommandOptions,
  stop: AbortSignal,
): Promise<number> {
  requireSource(config, 'verify');
  const log = createLog({ ...config.log, level: config.log.level === 'info' ? 'warn' : config.log.level });
  const clickhouse = (await findClickHouse(config)) ?? (await openClickHouse(config));
  const progress = new ProgressLine(process.stderr.isTTY === true && !options.json);
  try {
    const result = await verifyPipeline({
      config,
      clickhouse: clickhouse.address,
      tables: options.tables ?? [],
      log,
      onProgress: step => progress.show(step),
      signal: stop,
    });
    progress.clear();
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else process.stdout.write(`${formatVerification(result)}\n`);
    return result.equal && result.stopped.length === 0 ? 0 : 4;
  } catch (error) {
    progress.clear();
    if (!stop.aborted) throw error;
    process.stderr.write('interrupted: the comparison is not complete\n');
    return 130;
  } finally {
    await clickhouse.close();
  }
}

/** The text of the command: a line for each table, then its differences. */
export function formatVerification(result: PipelineVerification): string {
  const lines: string[] = [];
  const width = Math.max(
    ...result.tables.map(table => `${table.schema}.${table.name}`.length),
    ...result.stopped.map(table => table.name.length),
    0,
  );
  for (const table of result.tables) {
    lines.push(`${verdict(table)}  ${`${table.schema}.${table.name}`.padEnd(width)}  ${details(table)}`);
    if (table.error) lines.push(`  ${table.error.message} (${table.error.code})`, `  ${table.error.hint}`);
    for (const difference of table.differing.slice(0, shownDifferences))
      lines.push(`  ${formatDifference(difference)}`);
    if (table.differingCount > shownDifferences && table.differing.length > 0)
      lines.push(`  … and ${formatCount(table.differingCount - shownDifferences)} more`);
  }
  for (const table of result.stopped)
    lines.push(
      `STOPPED  ${table.name.padEnd(width)}  not compared`,
      `  ${table.message} (${table.code})`,
      `  ${table.hint}`,
    );
  const differing = result.tables.filter(table => table.differingCount > 0).length;
  const failed = result.tables.filter(table => table.error).length;
  const unjudged = result.tables.filter(isUnjudged).length;
  const counts = [
    `${result.tables.length - differing - unjudged - result.tables.filter(t => t.error && t.differingCount === 0).length} equal`,
    ...(unjudged > 0 ? [`${unjudged} changed all the time`] : []),
    ...(differing > 0 ? [`${differing} different`] : []),
    ...(failed > 0 ? [`${failed} not compared to the end`] : []),
    ...(result.stopped.length > 0 ? [`${result.stopped.length} stopped`] : []),
  ];
  const at = result.position === undefined ? '' : ` at ${result.position}`;
  lines.push('', `Tables: ${counts.join(', ')}${at}, in ${formatSeconds(result.seconds)}.`);
  const unexplained = result.tables.some(table => table.differingCount > table.inDeadLetters);
  if (unexplained) lines.push(errorKinds.VERIFY_DIFFERS.hint);
  if (result.tables.some(table => table.inDeadLetters > 0))
    lines.push(
      'Rows in dead letters could not be written: "wal-cdc dead-letters show" says why; when the cause is removed, "wal-cdc dead-letters replay" writes them.',
    );
  return lines.join('\n');
}

/** Nothing can be said about any of its rows. */
function isUnjudged({ rows, moving, differingCount, error }: VerifyTableResult): boolean {
  return rows === 0 && moving > 0 && differingCount === 0 && !error;
}

function verdict(table: VerifyTableResult): string {
  if (table.differingCount > 0) return 'DIFFERS';
  if (table.error) return 'FAILED ';
  return isUnjudged(table) ? 'moving ' : 'equal  ';
}

function details({ rows, differingCount, inDeadLetters, moving }: VerifyTableResult): string {
  return [
    `${formatCount(rows)} rows`,
    ...(differingCount > 0 ? [`${formatCount(differingCount)} of them different`] : []),
    ...(inDeadLetters > 0
      ? [
          inDeadLetters === differingCount
            ? 'all of these in dead letters'
            : `${formatCount(inDeadLetters)} of these in dead letters`,
        ]
      : []),
    ...(moving > 0 ? [`${formatCount(moving)} more changed all the time and could not be judged`] : []),
  ].join(', ');
}

function formatDifference({ key, kind, columns, letter }: RowDifference): string {
  const row = Object.entries(key)
    .map(([name, value]) => `${name} = ${value ?? 'NULL'}`)
    .join(', ');
  const cells = (columns ?? []).map(
    column => `${column.name}: PostgreSQL ${show(column.postgres)}, ClickHouse ${show(column.clickhouse)}`,
  );
  const set = letter === undefined ? '' : `, in dead letter ${letter.slice(0, 12)}`;
  return `${row}: ${kind}${set}${cells.length > 0 ? `; ${cells.join('; ')}` : ''}`;
}

function show(text: string | null): string {
  return text === null ? 'NULL' : JSON.stringify(text);
}

/** One line of a terminal that is written over. */
class ProgressLine {
  readonly #shown: boolean;

  constructor(shown: boolean) {
    this.#shown = shown;
  }

  show({ round, step, table, rows }: VerifyProgress): void {
    if (!this.#shown) return;
    const what = table ? `comparing ${table}${rows ? `, ${formatCount(rows)} rows` : ''}` : step;
    process.stderr.write(`\r\x1b[K${round > 1 ? `round ${round}: ` : ''}${what} …`);
  }

  clear(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
  }
}
