import type { DeadLetter } from '../../src/sinks/clickhouse/dead-letter.ts';
import { DeadLetters } from '../../src/sinks/clickhouse/dead-letters.ts';
import type { Replication, ReplicationOptions } from '../support/replication.ts';

/** Replication of tables whose bad rows are set aside. */
export function setAside(...tables: string[]): ReplicationOptions & { settings: Record<string, string> } {
  const options = Object.fromEntries(tables.map(name => [name, { onError: 'dead-letter' }]));
  return { settings: { tableOptions: JSON.stringify(options) } };
}

/** All letters of the pipeline, whatever their state. */
export function letters({ clickhouse, config }: Replication): Promise<DeadLetter[]> {
  return new DeadLetters(clickhouse, config.pipeline).read({});
}

/** Rows of a query on the tables of the test's database. */
export function shown({ clickhouse, config }: Replication, sql: string): Promise<unknown[]> {
  const { database } = config.clickhouse;
  return clickhouse.query(sql.replaceAll(/ FROM (\w+)/g, ` FROM ${database}.$1`));
}

/** Values of column `id` of the rows that differ, in all tables. */
export async function differing(replication: Replication): Promise<(string | null)[]> {
  const tables = await replication.compare();
  return tables.flatMap(table => table.differing.map(({ key }) => key.id!)).sort();
}
