import { fileURLToPath } from 'node:url';
import type { KafkaBroker } from '../../test/support/kafka/broker.ts';
import { atLeast, below, cpuPerRow, type Line, median, rowsPerSecond } from '../report.ts';
import { databaseUrl, type Servers } from '../servers.ts';
import { checkRows } from '../workload.ts';
import { buildJsonTableSql } from './json-rows.ts';
import { readByKafkaEngine } from './kafka-engine.ts';
import { type TimedRun, timeProcess } from './timed-process.ts';
import { type DiscardRun, discardTopic } from './topic-load.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const jsonPipeline = fileURLToPath(new URL('json-pipeline.ts', import.meta.url));

const targetOfDiscard = 0.5;
const targetOfJson = 1.2;
const memoryLimitMb = 300;

export interface TopicWorkload {
  topic: string;
  messages: number;
  /** PostgreSQL's, with the table. */
  database: string;
}

/** `run --mode cdc --until current` of a topic into ClickHouse, beside other ways to read it: all of them in turn. */
export async function benchTopic(
  servers: Servers,
  broker: KafkaBroker,
  workload: TopicWorkload,
  runs: number,
): Promise<Line[]> {
  const { topic, messages } = workload;
  const discards: DiscardRun[] = [];
  const tuned: DiscardRun[] = [];
  const ours: TimedRun[] = [];
  const viaJson: TimedRun[] = [];
  const engine: number[] = [];
  let engineError: string | undefined;
  for (let run = 1; run <= runs; run++) {
    discards.push(await discardTopic(broker, topic, 'default'));
    tuned.push(await discardTopic(broker, topic, 'tuned'));
    ours.push(await runService(servers, broker, workload, `cdc_${run}`));
    viaJson.push(await runJsonPipeline(servers, broker, workload, `cdc_json_${run}`));
    if (engineError === undefined)
      try {
        engine.push(await runKafkaEngine(servers, broker, workload, `cdc_engine_${run}`));
      } catch (error) {
        engineError = (error as Error).message;
      }
  }
  const seconds = median(ours.map(run => run.seconds));
  const own = {
    ours: rowsPerSecond(messages, seconds),
    peakBytes: Math.max(...ours.map(run => run.peakBytes)),
  };
  const cpuUs = {
    service: cpuPerRow(ours, messages),
    clickhouse: cpuPerRow(
      ours.map(run => run.clickhouse),
      messages,
    ),
  };
  const ratioTo = (peerSeconds: number[]) => median(peerSeconds) / seconds;
  const ofDiscard = ratioTo(discards.map(run => run.seconds));
  const ofTuned = ratioTo(tuned.map(run => run.seconds));
  const ofJson = ratioTo(viaJson.map(run => run.seconds));
  return [
    {
      ...own,
      benchmark: 'topic → queryable, beside a Java consumer that discards',
      peer: rowsPerSecond(messages, median(discards.map(run => run.seconds))),
      ratio: ofDiscard,
      checks: [atLeast(ofDiscard, targetOfDiscard), below(own.peakBytes / 1e6, memoryLimitMb, 'MB')],
      cpuUs: { ...cpuUs, peer: median(discards.map(run => run.cpuSeconds)) * (1e6 / messages) },
      runs: [{ ours, theirs: discards }],
    },
    {
      ...own,
      benchmark: 'topic → queryable, beside the Java consumer with large polls and fetches',
      peer: rowsPerSecond(messages, median(tuned.map(run => run.seconds))),
      ratio: ofTuned,
      checks: [atLeast(ofTuned, targetOfDiscard)],
      runs: [{ ours, theirs: tuned }],
    },
    {
      ...own,
      benchmark: 'topic → queryable, beside the same consumer, JSON.parse and JSONEachRow',
      peer: rowsPerSecond(messages, median(viaJson.map(run => run.seconds))),
      ratio: ofJson,
      checks: [atLeast(ofJson, targetOfJson)],
      cpuUs: { ...cpuUs, peer: cpuPerRow(viaJson, messages)! },
      runs: [{ ours, theirs: viaJson }],
    },
    {
      ...own,
      benchmark: "topic → queryable, beside ClickHouse's Kafka engine",
      ...(engineError === undefined
        ? { peer: rowsPerSecond(messages, median(engine)), ratio: ratioTo(engine) }
        : { peer: `none: ${engineError.replace(/\s+/g, ' ').slice(0, 120)}` }),
      runs: [{ ours, theirs: engine, error: engineError }],
    },
  ];
}

async function runService(
  servers: Servers,
  broker: KafkaBroker,
  { topic, messages, database }: TopicWorkload,
  target: string,
): Promise<TimedRun> {
  const options = (process.env.WAL_CDC_BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean);
  const run = await timeProcess(servers, [...options, main, 'run', '--until', 'current'], {
    WAL_CDC_MODE: 'cdc',
    WAL_CDC_PIPELINE: target,
    WAL_CDC_KAFKA_BROKERS: broker.address(),
    WAL_CDC_KAFKA_TOPICS: topic.replaceAll('.', '\\.'),
    WAL_CDC_POSTGRES_URL: databaseUrl(servers.postgres, database, 'tcp'),
    WAL_CDC_CLICKHOUSE_URL: servers.engine.url,
    WAL_CDC_CLICKHOUSE_DATABASE: target,
    WAL_CDC_LISTEN: '127.0.0.1:0',
    WAL_CDC_LOG_FORMAT: 'json',
  });
  await checkAndDrop(servers, target, messages);
  return run;
}

async function runJsonPipeline(
  servers: Servers,
  broker: KafkaBroker,
  { topic, messages }: TopicWorkload,
  target: string,
): Promise<TimedRun> {
  await servers.clickhouse.command(`CREATE DATABASE ${target}`);
  await servers.clickhouse.command(buildJsonTableSql(target));
  const run = await timeProcess(servers, [jsonPipeline, broker.address(), topic, target], {
    WAL_CDC_CLICKHOUSE_URL: servers.engine.url,
  });
  await checkAndDrop(servers, target, messages);
  return run;
}

async function runKafkaEngine(
  servers: Servers,
  broker: KafkaBroker,
  { topic, messages }: TopicWorkload,
  target: string,
): Promise<number> {
  try {
    const seconds = await readByKafkaEngine(servers, broker.address(), topic, target, messages);
    await checkRows(servers, target, messages);
    return seconds;
  } finally {
    await servers.clickhouse.command(`DROP DATABASE IF EXISTS ${target} SYNC`);
  }
}

async function checkAndDrop(servers: Servers, database: string, messages: number): Promise<void> {
  await checkRows(servers, database, messages);
  await servers.clickhouse.command(`DROP DATABASE ${database} SYNC`);
}
