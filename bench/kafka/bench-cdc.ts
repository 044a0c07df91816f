import pg from 'pg';
import { startKafka } from '../../test/support/kafka/broker.ts';
import type { Line } from '../report.ts';
import { databaseUrl, type Servers } from '../servers.ts';
import { table, tableSql } from '../workload.ts';
import { benchConversion } from './conversion.ts';
import { benchDebeziumFreshness } from './debezium-freshness.ts';
import { fillTopic } from './topic-load.ts';
import { benchTopic } from './topic-throughput.ts';

/** Tests start Java without its optimizing compiler. */
const jvm = ['-XX:TieredStopAtLevel=4', '-Xmx2g'];
const database = 'cdc';

/** Mode `cdc`: a topic as the platform's connector writes it. */
export async function benchCdc(
  servers: Servers,
  { quick, runs }: { quick: boolean; runs: number },
  done: (line: Line) => void,
): Promise<void> {
  await createTable(servers);
  await using broker = await startKafka({ jvm });
  const topic = `bench.public.${table}`;
  const withSchemas = `bench_schemas.public.${table}`;
  const messages = quick ? 300_000 : 1_000_000;
  await fillTopic(broker, { topic, messages, rowsPerTransaction: 1 });
  await fillTopic(broker, { topic: withSchemas, messages: 20_000, rowsPerTransaction: 1, withSchemas: true });
  done(await benchConversion(servers, broker, topic, { what: 'no schemas', target: 2.2, runs }));
  done(await benchConversion(servers, broker, withSchemas, { what: 'with schemas', target: 6, runs }));
  for (const line of await benchTopic(servers, broker, { topic, messages, database }, runs)) done(line);
  const seconds = quick ? 10 : 40;
  for (const line of await benchDebeziumFreshness(servers, broker, { database, jvm, seconds })) done(line);
}

async function createTable(servers: Servers): Promise<void> {
  await servers.admin.query(`CREATE DATABASE ${database}`);
  const client = new pg.Client(databaseUrl(servers.postgres, database, 'tcp'));
  await client.connect();
  await client.query(tableSql);
  await client.end();
}
