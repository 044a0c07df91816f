import assert from 'node:assert/strict';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { walCdc } from '../support/command-line.ts';
import type { TestDatabase } from '../support/postgres.ts';

/** A pipeline named like the test's database, whose tables `t` and `log` set bad rows aside. */
export async function pipelineOf(db: TestDatabase, settings: Record<string, string> = {}) {
  const clickhouse = await sharedClickHouse();
  return {
    WAL_CDC_MODE: 'wal',
    WAL_CDC_PIPELINE: db.name,
    WAL_CDC_POSTGRES_URL: db.url,
    WAL_CDC_CLICKHOUSE_URL: clickhouse.url,
    WAL_CDC_CLICKHOUSE_DATABASE: db.name,
    WAL_CDC_LISTEN: '127.0.0.1:0',
    WAL_CDC_LOG_FORMAT: 'json',
    WAL_CDC_TABLEOPTIONS: '{ "public.t": { onError: dead-letter }, "public.log": { onError: dead-letter } }',
    ...settings,
  };
}

export async function clickhouse(sql: string): Promise<Record<string, string>[]> {
  const client = new ClickHouse(splitAddress((await sharedClickHouse()).url));
  try {
    if (sql.startsWith('SELECT')) return await client.query(sql);
    await client.command(sql);
    return [];
  } finally {
    await client.close();
  }
}

/** Runs a command that is to end with `code`. */
export async function command(line: string, env: Record<string, string>, code = 0): Promise<string> {
  const result = await walCdc(line.split(' '), { env });
  assert.equal(result.code, code, `${line}: ${result.stdout}${result.stderr}`);
  return code === 0 || code === 4 ? result.stdout : result.stderr;
}
