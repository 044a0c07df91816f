import assert from 'node:assert/strict';
import { type Config, loadConfig } from '../../src/config.ts';
import { formatLsn } from '../../src/core/lsn.ts';
import { createLog, type Log } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { connectClickHouse, splitAddress } from '../../src/service/clickhouse-address.ts';
import { WalService } from '../../src/service/wal-service.ts';
import type { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import type { SourceTable } from '../../src/sources/wal/catalog.ts';
import { type VerifyTableResult, verifyTables } from '../../src/verify/verify-tables.ts';
import { sharedClickHouse } from './clickhouse.ts';
import type { TestDatabase } from './postgres.ts';
import { waitFor } from './wait-for.ts';

/** Mode `wal` in this process, from a test's database into a ClickHouse database of the same name. */
export interface Replication extends AsyncDisposable {
  config: Config;
  service: WalService;
  clickhouse: ClickHouse;
  metrics: Metrics;
  /** Whether the service has ended, by a failure or by `stop`. */
  readonly stopped: boolean;
  /** Resolves once everything that is committed now is queryable and every copy is done. */
  caughtUp(): Promise<void>;
  /** Catches up and compares every table that is not stopped, row by row. */
  compare(): Promise<VerifyTableResult[]>;
  /** The same; throws when something differs. */
  expectEqual(): Promise<void>;
  /** Ends as on SIGTERM; throws what the service failed with. */
  stop(): Promise<void>;
}

export interface ReplicationOptions {
  /** Values of settings by path, as in `{ 'postgres.slot': 'mine' }`. */
  settings?: Record<string, string | string[]>;
  keepRows?: boolean;
  /** Default: silent. */
  log?: Log;
  /** Default: the shared one. */
  clickhouse?: { url: string };
}

export async function startReplication(
  source: Pick<TestDatabase, 'name' | 'url' | 'client'>,
  options: ReplicationOptions = {},
): Promise<Replication> {
  const server = options.clickhouse ?? (await sharedClickHouse());
  const config = loadConfig({
    flags: {
      mode: 'wal',
      pipeline: source.name,
      'postgres.url': source.url,
      'clickhouse.url': server.url,
      'clickhouse.database': source.name,
      ...options.settings,
    },
  });
  const metrics = new Metrics();
  const service = new WalService({
    config,
    clickhouse: splitAddress(server.url),
    metrics,
    log:
      options.log ??
      createLog({ level: process.env.WAL_CDC_TEST_LOG ? 'debug' : 'silent', format: 'pretty' }),
    keepRows: options.keepRows ?? false,
    until: undefined,
  });
  let failure: unknown;
  let stopped = false;
  const running = service
    .run()
    .catch(error => {
      failure = error;
    })
    .finally(() => {
      stopped = true;
    });
  const { clickhouse } = await connectClickHouse(splitAddress(server.url));
  const started = await waitFor(() => failure !== undefined || service.status().phase !== 'starting', {
    what: 'the service to stream',
  });
  assert.ok(started);
  if (failure !== undefined) {
    await clickhouse.close();
    throw failure;
  }
  const caughtUp = async () => {
    const { rows } = await source.client.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    await waitFor(
      () => failure !== undefined || service.status().tables.every(t => !/pending|copying/.test(t.state)),
      {
        what: 'copies to end',
      },
    );
    if (failure !== undefined) throw failure;
    assert.ok(await service.waitFor(rows[0].lsn, 30_000), `position ${rows[0].lsn} to be queryable`);
  };
  const stop = async () => {
    service.stop();
    await running;
    if (failure !== undefined) throw failure;
  };
  const compare = async () => {
    await caughtUp();
    const session = service.session!;
    const result = await verifyTables({
      source: config.postgres.address!,
      clickhouse: clickhouse.client,
      epoch: session.epoch,
      tables: session.tables
        .filter(table => table.state.phase !== 'stopped')
        .map(table => ({
          schema: table.table.schema,
          name: table.table.name,
          columns: table.table.columns,
          key: table.table.key,
          target: table.plan.name,
          clickHouseTypes: Object.fromEntries(table.types),
          rowFilter: (table.table as SourceTable).rowFilter,
          metaColumns: config.metaColumns,
          onInvalid: Object.fromEntries(table.table.columns.map(({ name }) => [name, table.onInvalid(name)])),
        })),
      awaitPosition: async lsn => {
        assert.ok(
          await service.waitFor(formatLsn(lsn), 30_000),
          `position ${formatLsn(lsn)} to be queryable`,
        );
      },
    });
    return result.tables;
  };
  return {
    config,
    service,
    clickhouse,
    metrics,
    get stopped() {
      return stopped;
    },
    caughtUp,
    stop,
    compare,
    async expectEqual() {
      const tables = await compare();
      assert.deepEqual(
        tables.map(({ schema, name, differing, moving, error }) => ({
          name: `${schema}.${name}`,
          differing,
          moving,
          error,
        })),
        tables.map(({ schema, name }) => ({
          name: `${schema}.${name}`,
          differing: [],
          moving: 0,
          error: undefined,
        })),
      );
    },
    async [Symbol.asyncDispose]() {
      await stop().catch(() => {});
      await clickhouse.close();
    },
  };
}
