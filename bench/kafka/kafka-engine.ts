import { setTimeout as sleep } from 'node:timers/promises';
import type { Servers } from '../servers.ts';
import { table } from '../workload.ts';
import { buildJsonTableSql } from './json-rows.ts';

const stuckMs = 60_000;

/**
 * ClickHouse's own consumer, `ENGINE = Kafka` with a materialized view, into a table like that of the `JSON.parse` service:
 * seconds until all `messages` are queryable. @throws Error when that does not work in this build of ClickHouse
 */
export async function readByKafkaEngine(
  { clickhouse }: Servers,
  broker: string,
  topic: string,
  database: string,
  messages: number,
): Promise<number> {
  await clickhouse.command(`CREATE DATABASE ${database}`);
  await clickhouse.command(buildJsonTableSql(database));
  await clickhouse.command(`
    CREATE TABLE ${database}.topic (
      after Tuple(id Int64, user_id UUID, event_type String, payload String, amount Nullable(Decimal(12, 2)),
                  occurred_at DateTime64(6, 'UTC')),
      source Tuple(lsn UInt64, ts_us Int64), op LowCardinality(String)
    ) ENGINE = Kafka SETTINGS
      kafka_broker_list = '${broker}', kafka_topic_list = '${topic}', kafka_group_name = '${database}',
      kafka_format = 'JSONEachRow', kafka_flush_interval_ms = 500, date_time_input_format = 'best_effort',
      input_format_skip_unknown_fields = 1`);
  const startedAt = performance.now();
  await clickhouse.command(`
    CREATE MATERIALIZED VIEW ${database}.copy TO ${database}.${table} AS
      SELECT after.id AS id, after.user_id AS user_id, after.event_type AS event_type, after.payload AS payload,
             after.amount AS amount, after.occurred_at AS occurred_at, source.lsn AS _lsn, op = 'd' AS _is_deleted,
             source.ts_us AS _committed_us
        FROM ${database}.topic`);
  let rows = 0;
  for (let progressAt = startedAt; rows < messages; ) {
    const [row] = await clickhouse.query<{ count: string }>(
      `SELECT count() AS count FROM ${database}.${table}`,
    );
    if (Number(row!.count) > rows) progressAt = performance.now();
    else if (performance.now() - progressAt > stuckMs)
      throw new Error(
        (await lastFailure({ clickhouse }, database)) ?? `${rows} rows came, then none for a minute`,
      );
    rows = Number(row!.count);
    await sleep(20);
  }
  return (performance.now() - startedAt) / 1000;
}

async function lastFailure(
  { clickhouse }: Pick<Servers, 'clickhouse'>,
  database: string,
): Promise<string | undefined> {
  const [row] = await clickhouse.query<{ text: string }>(
    `SELECT arrayElement(exceptions.text, -1) AS text FROM system.kafka_consumers WHERE database = '${database}'`,
  );
  return row?.text || undefined;
}
