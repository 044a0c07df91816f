import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { sharedClickHouse } from './clickhouse.ts';
import type { TestDatabase } from './postgres.ts';

/** Settings of a pipeline of its own: named like the test's database. */
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
    ...settings,
  };
}

/** Rows of a query; of other statements none. */
export async function queryClickHouse(sql: string): Promise<unknown[]> {
  const client = new ClickHouse(splitAddress((await sharedClickHouse()).url));
  try {
    if (sql.startsWith('SELECT')) return await client.query(sql);
    await client.command(sql);
    return [];
  } finally {
    await client.close();
  }
}

export const tableExists = async (database: string, table: string) =>
  (await queryClickHouse(`SELECT 1 FROM system.tables WHERE database = '${database}' AND name = '${table}'`))
    .length > 0;
