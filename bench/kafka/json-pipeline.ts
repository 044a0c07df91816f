/**
 * `json-pipeline.ts BROKER TOPIC DATABASE`, with WAL_CDC_CLICKHOUSE_URL: reads a topic to its end into ClickHouse by way of
 * `JSON.parse` and JSONEachRow (`JsonRows`), with the Kafka consumer, the batches and the HTTP client of wal-cdc. Says
 * "streaming" on stderr where wal-cdc does.
 */
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { KafkaSource } from '../../src/sources/kafka/kafka-source.ts';
import { buildJsonInsertSql, JsonRows, jsonRelation } from './json-rows.ts';

const [broker, topic, database] = process.argv.slice(2);
const clickhouse = new ClickHouse(splitAddress(process.env.WAL_CDC_CLICKHOUSE_URL!));
const source = new KafkaSource({
  brokers: [broker!],
  topics: [topic!],
  group: database!,
  position: 0n,
  maxBatchBytes: 32 << 20,
  delayMs: 10,
  readerOf: () => new JsonRows(),
  relationOf: () => ({ relation: jsonRelation, keyless: false }),
  savedPositions: async () => [],
  recreated: async () => {},
});
await source.start();
console.error('streaming');
const end = await source.until();
for (let written = 0n; !source.passed(end, written); ) {
  const batch = await source.read();
  if (batch.rows > 0) await clickhouse.insert(buildJsonInsertSql(database!), batch.data.written());
  written = batch.position;
  source.ack(written);
}
await source.close();
await clickhouse.close();
