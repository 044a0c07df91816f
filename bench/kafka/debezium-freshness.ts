import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { KafkaBroker } from '../../test/support/kafka/broker.ts';
import { startConnect } from '../../test/support/kafka/connect.ts';
import { platformProfile } from '../../test/support/kafka/platform-profile.ts';
import { createTopic, readTopic } from '../../test/support/kafka/topics.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { writePaced } from '../paced-writes.ts';
import { type Line, median } from '../report.ts';
import { RunningService } from '../running-service.ts';
import { databaseUrl, type Servers } from '../servers.ts';
import { checkRows, postgresRow, table } from '../workload.ts';
import type { ServiceHops } from './observe-hops.ts';

const perSecond = 500;
/** Until then Java compiles. */
const warmUpSeconds = 10;
const observer = fileURLToPath(new URL('observe-hops.ts', import.meta.url));

/** When a change was where, in ms since 1970. */
interface Passage {
  committed: number;
  /** The connector's producer took it: the record's timestamp. */
  produced: number;
  fetched: number;
  queryable: number;
}

const hops: { name: string; from: keyof Passage; to: keyof Passage }[] = [
  { name: 'Debezium (commit → record)', from: 'committed', to: 'produced' },
  { name: 'broker (record → fetched)', from: 'produced', to: 'fetched' },
  { name: 'wal-cdc (fetched → queryable)', from: 'fetched', to: 'queryable' },
];

/**
 * From commit to queryable by way of Debezium at a steady rate of transactions of one row. All times are of this machine's
 * clock, in whole milliseconds: PostgreSQL's of the commit (`source.ts_us`), the producer's in the record, wal-cdc's.
 */
export async function benchDebeziumFreshness(
  servers: Servers,
  broker: KafkaBroker,
  { database, jvm, seconds }: { database: string; jvm: readonly string[]; seconds: number },
): Promise<Line[]> {
  const name = 'debezium_freshness';
  const rows = (warmUpSeconds + seconds) * perSecond;
  await using connect = await startConnect(broker, { jvm });
  using dir = tempDir();
  const hopsFile = join(dir.path, 'hops.json');
  const postgresUrl = databaseUrl(servers.postgres, database, 'tcp');
  const client = new pg.Client(postgresUrl);
  await client.connect();
  try {
    const topic = `${name}.public.${table}`;
    // Else the service would look for it half a minute later.
    await createTopic(broker, topic);
    await client.query(`CREATE PUBLICATION ${name} FOR TABLE ${table}`);
    await connect.putConnector(
      name,
      platformProfile({ postgresUrl, topicPrefix: name, slot: name, publication: name }),
    );
    await using service = new RunningService(
      {
        WAL_CDC_MODE: 'cdc',
        WAL_CDC_PIPELINE: name,
        WAL_CDC_KAFKA_BROKERS: broker.address(),
        WAL_CDC_KAFKA_TOPICS: topic.replaceAll('.', '\\.'),
        WAL_CDC_POSTGRES_URL: postgresUrl,
        WAL_CDC_CLICKHOUSE_URL: servers.engine.url,
        WAL_CDC_CLICKHOUSE_DATABASE: name,
        BENCH_HOPS_FILE: hopsFile,
      },
      ['--import', observer],
    );
    await service.streaming();
    // The walsender sends what is flushed; asynchronous commits would wait for that.
    await client.query('SET synchronous_commit = on');
    const insert = `INSERT INTO ${table} SELECT ${postgresRow} FROM (SELECT $1::bigint AS i)`;
    await writePaced(perSecond, rows, n => client.query({ name: 'insert', text: insert, values: [n] }));
    while ((await service.status()).rowsTotal < rows) {
      service.check();
      await sleep(50);
    }
    await service.stop();
    await connect.deleteConnector(name);
    await checkRows(servers, name, rows);
    const passages = await joinPassages(broker, topic, JSON.parse(readFileSync(hopsFile, 'utf8')), rows);
    return describe(passages.slice(warmUpSeconds * perSecond));
  } finally {
    await client.end();
  }
}

/** The topic has the times of commit and record, the service those behind. */
async function joinPassages(
  broker: KafkaBroker,
  topic: string,
  { fetchedMs, queryableMs }: ServiceHops,
  rows: number,
): Promise<Passage[]> {
  const messages = await readTopic(broker, topic);
  for (const [what, count] of Object.entries({
    messages: messages.length,
    fetched: fetchedMs.length,
    queryable: queryableMs.length,
  }))
    if (count !== rows) throw new Error(`${rows} transactions, but ${count} ${what}`);
  return messages.map(({ timestampMs, value }, i) => ({
    committed: Math.floor(JSON.parse(`${value}`).source.ts_us / 1000),
    produced: timestampMs,
    fetched: fetchedMs[i]!,
    queryable: queryableMs[i]!,
  }));
}

function describe(passages: Passage[]): Line[] {
  const line = (benchmark: string, from: keyof Passage, to: keyof Passage) => {
    const times = passages.map(passage => passage[to] - passage[from]).sort((a, b) => a - b);
    const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
    const p99 = times[Math.ceil(times.length * 0.99) - 1]!;
    return { benchmark, mean, p50: median(times), p99 };
  };
  const total = line(
    `Debezium: commit → queryable at ${perSecond} transactions/s, p50 and p99`,
    'committed',
    'queryable',
  );
  const parts = hops.map(({ name, from, to }) => line(`  of it ${name}`, from, to));
  return [total, ...parts].map(({ benchmark, mean, p50, p99 }) => ({
    benchmark,
    ours: `${p50} and ${p99} ms${benchmark === total.benchmark ? '' : ` (${Math.round((mean / total.mean) * 100)} %)`}`,
    runs: [{ p50, p99, mean, transactions: passages.length }],
  }));
}
