import { type ClickHouseClient, createClient } from '@clickhouse/client';
import { sharedClickHouse } from '../../test/support/clickhouse.ts';
import { freshDatabase, type TestDatabase } from '../../test/support/postgres.ts';
import type { Lsn } from '../core/lsn.ts';
import { composeVersion } from '../core/version.ts';
import { quoteIdentifier, quoteString, quoteTableName, targetName } from '../sinks/clickhouse/names.ts';
import { describeTables } from '../sources/wal/catalog.ts';
import { TypeCatalog } from '../sources/wal/types.ts';
import { type VerifyOptions, type VerifyResult, type VerifyTable, verifyTables } from './verify-tables.ts';

export const epoch = 1;
export const metaColumns = { version: '_version', deleted: '_is_deleted', committedAt: '_committed_at' };

let databases = 0;

/** For tests of verify: a PostgreSQL database and one in ClickHouse, which the tests fill by hand. */
export class Fixture implements AsyncDisposable {
  readonly db: TestDatabase;
  readonly clickhouse: ClickHouseClient;
  readonly database: string;

  static async create(): Promise<Fixture> {
    const { url } = await sharedClickHouse();
    const fixture = new Fixture(await freshDatabase(), createClient({ url, log: { level: 127 } }));
    await fixture.query(`CREATE DATABASE ${fixture.database}`);
    return fixture;
  }

  private constructor(db: TestDatabase, clickhouse: ClickHouseClient) {
    this.db = db;
    this.clickhouse = clickhouse;
    this.database = `verify_${process.pid}_${++databases}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.query(`DROP DATABASE ${this.database}`);
    await this.clickhouse.close();
    await this.db[Symbol.asyncDispose]();
  }

  async query(sql: string): Promise<void> {
    await this.clickhouse.command({
      query: sql,
      clickhouse_settings: { async_insert: 0, wait_end_of_query: 1 },
    });
  }

  /** Makes the ClickHouse table and describes it and the one of PostgreSQL, which exists. */
  async target(
    schema: string,
    name: string,
    types: Record<string, string>,
    options: { target?: string; key?: string[] } = {},
  ): Promise<VerifyTable> {
    const published = { schema, name, columns: undefined, rowFilter: undefined };
    const [table] = await describeTables(this.db.client, new TypeCatalog(), [published], false);
    const key = options.key ?? table!.key;
    const target = targetName(this.database, { schema: 'public', name: options.target ?? name });
    const columns = Object.entries(types).map(([column, type]) => `${quoteIdentifier(column)} ${type}`);
    await this.query(
      `CREATE TABLE ${quoteTableName(target)} (${columns.join(', ')}, _version UInt128 DEFAULT ${versionAt(1n)}, ` +
        `_is_deleted UInt8, _committed_at DateTime64(6, 'UTC')) ENGINE = ReplacingMergeTree(_version, _is_deleted) ` +
        `ORDER BY (${key.length > 0 ? key.map(quoteIdentifier).join(', ') : '_version'})`,
    );
    // As the server says the types, not as the test wrote them.
    const result = await this.clickhouse.query({
      query: `SELECT name, type FROM system.columns WHERE database = ${quoteString(target.database)} AND table = ${quoteString(target.table)}`,
      format: 'JSONEachRow',
    });
    const actual = await result.json<{ name: string; type: string }>();
    const clickHouseTypes = Object.fromEntries(actual.map(column => [column.name, column.type]));
    return { schema, name, columns: table!.columns, key, target, clickHouseTypes, metaColumns };
  }

  verify(tables: VerifyTable[], options: Partial<VerifyOptions> = {}): Promise<VerifyResult> {
    return verifyTables({
      source: { url: this.db.url },
      clickhouse: this.clickhouse,
      tables,
      epoch,
      awaitPosition: async () => {},
      ...options,
    });
  }
}

/** SQL of a `_version`. */
export function versionAt(position: Lsn, ordinal = 0n): string {
  return `toUInt128('${composeVersion(epoch, position, ordinal)}')`;
}
