import assert from 'node:assert/strict';
import { variableOf } from '../../../src/config/setting-tree.ts';
import { type Config, loadConfig } from '../../../src/config.ts';
import { createLog, type Log } from '../../../src/observe/log.ts';
import { connectClickHouse, splitAddress } from '../../../src/service/clickhouse-address.ts';
import { type PipelineVerification, verifyPipeline } from '../../../src/service/verify-pipeline.ts';
import type { ClickHouse } from '../../../src/sinks/clickhouse/client.ts';
import { sharedClickHouse } from '../clickhouse.ts';
import { RunningCommand } from '../command-line.ts';
import type { TestDatabase } from '../postgres.ts';
import { waitFor } from '../wait-for.ts';
import type { KafkaBroker } from './broker.ts';
import type { KafkaConnect } from './connect.ts';
import { type ConnectorSource, platformProfile } from './platform-profile.ts';
import { sharedConnect, sharedKafka } from './shared-kafka.ts';

/** A pipeline in mode `cdc` but for its instances: a database with its connector, and a ClickHouse database of the same name. */
export interface CdcPipeline extends AsyncDisposable {
  config: Config;
  clickhouse: ClickHouse;
  log: Log;
  /** A member of the group as a process of its own: `await using`. */
  startCommand(env?: Record<string, string>): RunningCommand;
  /** Compares every table that is not stopped, row by row, once all that is committed now has come. */
  verify(): Promise<PipelineVerification>;
  /** The same; throws when something differs, or a table is stopped. */
  expectEqual(): Promise<void>;
}

export interface CdcServers {
  kafka: KafkaBroker;
  connect: KafkaConnect;
  clickhouse: { url: string };
}

export interface CdcPipelineOptions {
  settings?: Record<string, string | string[]>;
  /** Default: the platform's. */
  connector?(source: ConnectorSource): Record<string, string>;
  /** Before the connector is made: the topics that it will write to. */
  prepareTopics?(): Promise<void>;
  /** Without `postgres.url`. */
  withoutCatalog?: boolean;
  /** Default: the shared ones. */
  servers?: CdcServers;
}

export async function startCdcPipeline(
  db: Pick<TestDatabase, 'name' | 'url' | 'client'>,
  options: CdcPipelineOptions = {},
): Promise<CdcPipeline> {
  const { kafka, connect, clickhouse: server } = options.servers ?? (await sharedServers());
  await db.client.query(
    `CREATE PUBLICATION ${db.name} FOR ALL TABLES WITH (publish_via_partition_root = true)`,
  );
  const source = { postgresUrl: db.url, topicPrefix: db.name, slot: db.name, publication: db.name };
  await options.prepareTopics?.();
  await connect.putConnector(db.name, (options.connector ?? platformProfile)(source));
  const flags: Record<string, string | string[]> = {
    mode: 'cdc',
    pipeline: db.name,
    'kafka.brokers': [kafka.address()],
    'kafka.topics': [`${db.name}\\..*`],
    'clickhouse.url': server.url,
    'clickhouse.database': db.name,
    ...options.settings,
  };
  const withCatalog = { ...flags, 'postgres.url': db.url };
  const complete = loadConfig({ flags: withCatalog });
  const own = options.withoutCatalog ? flags : withCatalog;
  const log = createLog({ level: process.env.WAL_CDC_TEST_LOG ? 'debug' : 'silent', format: 'pretty' });
  const { clickhouse } = await connectClickHouse(splitAddress(server.url));
  const verify = async () => {
    let result: PipelineVerification | undefined;
    // A topic that is new is noticed after a while.
    const hasCome = async () => {
      result = await verifyPipeline({
        config: complete,
        clickhouse: splitAddress(server.url),
        tables: [],
        log,
        signal: new AbortController().signal,
      });
      return !result.stopped.some(({ code }) => code === 'TABLE_UNKNOWN');
    };
    await waitFor(hasCome, { what: 'a message of every table' });
    return result!;
  };
  return {
    config: loadConfig({ flags: own }),
    clickhouse,
    log,
    verify,
    startCommand(env) {
      const variables = Object.entries({ ...own, listen: '127.0.0.1:0', 'log.format': 'json' });
      return new RunningCommand(['run'], {
        env: {
          ...Object.fromEntries(variables.map(([path, value]) => [variableOf(path), String(value)])),
          ...env,
        },
      });
    },
    async expectEqual() {
      const result = await verify();
      for (const { schema, name, differing, error } of result.tables) {
        assert.equal(error, undefined, `${schema}.${name}`);
        assert.deepEqual(differing, [], `${schema}.${name}`);
      }
      assert.ok(result.equal);
      assert.deepEqual(result.stopped, []);
    },
    async [Symbol.asyncDispose]() {
      await connect.deleteConnector(db.name);
      await clickhouse.close();
    },
  };
}

async function sharedServers(): Promise<CdcServers> {
  const [kafka, connect, clickhouse] = await Promise.all([
    sharedKafka(),
    sharedConnect(),
    sharedClickHouse(),
  ]);
  return { kafka, connect, clickhouse };
}
