import assert from 'node:assert/strict';
import { type Config, loadConfig } from '../../../src/config.ts';
import { createLog } from '../../../src/observe/log.ts';
import { Metrics } from '../../../src/observe/metrics.ts';
import { CdcService } from '../../../src/service/cdc-service.ts';
import { connectClickHouse, splitAddress } from '../../../src/service/clickhouse-address.ts';
import { verifyPipeline } from '../../../src/service/verify-pipeline.ts';
import type { ClickHouse } from '../../../src/sinks/clickhouse/client.ts';
import { sharedClickHouse } from '../clickhouse.ts';
import type { TestDatabase } from '../postgres.ts';
import { waitFor } from '../wait-for.ts';
import type { ConnectorSource } from './platform-profile.ts';
import { platformProfile } from './platform-profile.ts';
import { sharedConnect, sharedKafka } from './shared-kafka.ts';

/** Mode `cdc` in this process: a database through Debezium and Kafka into a ClickHouse database of the same name. */
export interface CdcReplication extends AsyncDisposable {
  config: Config;
  service: CdcService;
  clickhouse: ClickHouse;
  /** Compares every table that is not stopped, row by row, once all that is committed now has come. */
  expectEqual(): Promise<void>;
  /** Another member of the group. */
  startInstance(): CdcService;
  /** Ends as on SIGTERM; throws what a service failed with. */
  stop(): Promise<void>;
}

export interface CdcReplicationOptions {
  settings?: Record<string, string | string[]>;
  /** Default: the platform's. */
  connector?(source: ConnectorSource): Record<string, string>;
  /** Before the connector is made: the topics that it will write to. */
  prepareTopics?(): Promise<void>;
  /** Without `postgres.url`. */
  withoutCatalog?: boolean;
}

export async function startCdcReplication(
  db: TestDatabase,
  options: CdcReplicationOptions = {},
): Promise<CdcReplication> {
  const [kafka, connect, server] = await Promise.all([sharedKafka(), sharedConnect(), sharedClickHouse()]);
  await db.client.query(
    `CREATE PUBLICATION ${db.name} FOR ALL TABLES WITH (publish_via_partition_root = true)`,
  );
  const source = { postgresUrl: db.url, topicPrefix: db.name, slot: db.name, publication: db.name };
  await options.prepareTopics?.();
  await connect.putConnector(db.name, (options.connector ?? platformProfile)(source));
  const flags = {
    mode: 'cdc',
    pipeline: db.name,
    'kafka.brokers': [kafka.address()],
    'kafka.topics': [`${db.name}\\..*`],
    'clickhouse.url': server.url,
    'clickhouse.database': db.name,
    ...options.settings,
  };
  const complete = loadConfig({ flags: { ...flags, 'postgres.url': db.url } });
  const config = options.withoutCatalog ? loadConfig({ flags }) : complete;
  const log = createLog({ level: process.env.WAL_CDC_TEST_LOG ? 'debug' : 'silent', format: 'pretty' });
  const running: { service: CdcService; ended: Promise<void> }[] = [];
  let failure: unknown;
  const startInstance = () => {
    const service = new CdcService({
      config,
      clickhouse: splitAddress(server.url),
      metrics: new Metrics(),
      log,
      keepRows: false,
      until: undefined,
    });
    const ended = service.run().catch(error => {
      failure ??= error;
    });
    running.push({ service, ended });
    return service;
  };
  const stop = async () => {
    for (const { service } of running) service.stop();
    await Promise.all(running.splice(0).map(({ ended }) => ended));
    if (failure !== undefined) throw failure;
  };
  const { clickhouse } = await connectClickHouse(splitAddress(server.url));
  const service = startInstance();
  await waitFor(() => failure !== undefined || service.status().phase === 'streaming', {
    what: 'the service to stream',
  });
  if (failure !== undefined) throw failure;
  return {
    config,
    service,
    clickhouse,
    startInstance,
    stop,
    async expectEqual() {
      const result = await verifyPipeline({
        config: complete,
        clickhouse: splitAddress(server.url),
        tables: [],
        log,
        signal: new AbortController().signal,
      });
      if (failure !== undefined) throw failure;
      for (const { schema, name, differing, error } of result.tables) {
        assert.equal(error, undefined, `${schema}.${name}`);
        assert.deepEqual(differing, [], `${schema}.${name}`);
      }
      assert.ok(result.equal);
      assert.deepEqual(result.stopped, []);
    },
    async [Symbol.asyncDispose]() {
      await stop().catch(() => {});
      await connect.deleteConnector(db.name);
      await clickhouse.close();
    },
  };
}
