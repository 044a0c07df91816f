import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../../src/config.ts';
import { createLog } from '../../src/observe/log.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { verifyPipeline } from '../../src/service/verify-pipeline.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { quoteString, quoteTableName } from '../../src/sinks/clickhouse/names.ts';

export interface Comparison {
  /** One for each table that differs or could not be compared. */
  problems: string[];
  tables: number;
  rows: number;
  moving: number;
}

/**
 * Every table of the pipeline, row by row, when its copies are done and what is committed now has arrived. `atRest`: nobody
 * writes, so that rows which seem to be of later than the comparison are a problem too.
 */
export async function compareAll(
  config: Config,
  clickhouseUrl: string,
  { atRest }: { atRest: boolean },
): Promise<Comparison> {
  const compare = () =>
    verifyPipeline({
      config,
      clickhouse: splitAddress(clickhouseUrl),
      tables: [],
      log: createLog({ level: 'silent', format: 'json' }),
      signal: new AbortController().signal,
    });
  let result = await compare();
  // The service looks for new tables every few seconds.
  const isNew = () => result.stopped.some(({ code }) => code === 'COPY_BROKEN');
  for (let tries = 0; atRest && isNew() && tries < 10; tries++) {
    await delay(2000);
    result = await compare();
  }
  // Under load tables are truncated and rewritten faster than they can be compared, and new ones are added.
  const isMoving = (code: string) => !atRest && /^(SCHEMA_CHANGED|COPY_BROKEN)$/.test(code);
  const problems: string[] = [];
  for (const {
    schema,
    name: table,
    error,
    differingCount,
    inDeadLetters,
    differing,
    moving,
  } of result.tables) {
    const name = `${schema}.${table}`;
    if (error && !isMoving(error.code)) problems.push(`${name}: ${error.code}, ${error.message}`);
    const unexplained = differing.filter(({ letter }) => letter === undefined);
    if (differingCount > inDeadLetters)
      problems.push(
        `${name}: ${differingCount - inDeadLetters} rows differ: ${JSON.stringify(unexplained.slice(0, 3), shorten)}`,
      );
    if (atRest && moving > 0) problems.push(`${name}: ${moving} rows have versions from the future`);
  }
  for (const { name, code, message } of result.stopped)
    if (!isMoving(code)) problems.push(`${name}: ${code}, ${message}`);
  return {
    problems,
    tables: result.tables.length,
    rows: result.tables.reduce((sum, table) => sum + table.rows, 0),
    moving: result.tables.reduce((sum, table) => sum + table.moving, 0),
  };
}

/** Merges every table of the database to one part, as time would. */
export async function optimizeAll(config: Config, clickhouseUrl: string): Promise<void> {
  const clickhouse = new ClickHouse(splitAddress(clickhouseUrl));
  try {
    const { database } = config.clickhouse;
    const tables = await clickhouse.query<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = ${quoteString(database)}`,
    );
    for (const { name: table } of tables)
      await clickhouse.command(`OPTIMIZE TABLE ${quoteTableName({ database, table })} FINAL`);
  } finally {
    await clickhouse.close();
  }
}

function shorten(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > 60 ? `${value.slice(0, 60)}…` : value;
}
