/**
 * `conversion-process.ts rows|json BROKER TOPIC FILE`: fetches the beginning of a topic, then converts it again and again from
 * the bytes that were fetched to the body of an insert, without I/O: `rows` as wal-cdc does, `json` by way of `JSON.parse`
 * (`JsonRows`). Sends `ConversionReport` to its parent; the last body is in FILE.
 */
import { writeFileSync } from 'node:fs';
import type { Batch } from '../../src/core/batch.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/relation.ts';
import { envelopeVersions } from '../../src/core/version.ts';
import type { RowEncoder } from '../../src/sinks/clickhouse/row-encoder.ts';
import { withConnectorModes } from '../../src/sinks/clickhouse/types/debezium/connector-modes.ts';
import { AssignedPartition } from '../../src/sources/kafka/assigned-partition.ts';
import { BatchFiller } from '../../src/sources/kafka/batch-filler.ts';
import type { Layout } from '../../src/sources/kafka/envelope.ts';
import { TopicReader } from '../../src/sources/kafka/read-envelope.ts';
import { Found, RecordCursor } from '../../src/sources/kafka/record-cursor.ts';
import { buildUserEventsEncoder, platformModes, userEventsColumns } from '../user-events-encoder.ts';
import { type FetchedRecords, fetchRecords } from './fetch-records.ts';
import { JsonRows, jsonRelation } from './json-rows.ts';

export interface ConversionReport {
  messages: number;
  /** Of the thread, after the first round. */
  messagesPerSecond: number[];
  /** Of the insert, RowBinary only. */
  columns: string;
}

const fetchBytes = 8 << 20;
const rounds = 3;
const roundUs = 400_000;

const [form, broker, topic, file] = process.argv.slice(2);
const encoders = new Map<Relation, RowEncoder>();
const finished: Batch[] = [];
const filler = new BatchFiller({
  maxBatchBytes: fetchBytes * 2,
  maxMessageBytes: 1 << 20,
  readerOf: () =>
    form === 'json' ? new JsonRows() : new TopicReader({ placeholder: '__debezium_unavailable_value' }),
  relationOf: (_topic, layout) => ({
    relation: form === 'json' ? jsonRelation : relationOf(layout),
    keyless: false,
  }),
  finish: builder => finished.push(builder.build(0n)),
});
const cursor = new RecordCursor(256 << 20);
const partition = new AssignedPartition(topic!, 0);
const body = new ByteWriter(fetchBytes);
let messages = 0;

function relationOf(layout: Layout): Relation {
  const columns = layout.names.map((name, i) => {
    const column = userEventsColumns.find(other => other.name === name)!;
    return withConnectorModes({ ...column, wire: layout.wires[i]! }, platformModes);
  });
  const encoder = buildUserEventsEncoder(columns, { versions: envelopeVersions, epoch: 1 });
  encoders.set(encoder.relation, encoder);
  return encoder.relation;
}

/** Everything that was fetched becomes one body. */
function convert(fetched: readonly FetchedRecords[]): void {
  messages = 0;
  body.pos = 0;
  for (const { bytes, start, end, offset } of fetched) {
    cursor.open(bytes, start, end, offset);
    for (let found = cursor.next(); found !== Found.nothing; found = cursor.next()) {
      filler.take(found, cursor, partition);
      messages += filler.takeAhead(cursor, partition);
      messages++;
    }
  }
  filler.finish();
  for (const batch of finished.splice(0)) {
    if (form === 'json') body.writeBytes(batch.data.buf, 0, batch.data.pos);
    else
      for (const group of batch.groups) {
        const encoder = encoders.get(group.relation)!;
        for (let i = 0; i < group.count; i++)
          encoder.encodeChange(batch.data.buf, group, i, batch.transactions, body);
      }
    filler.giveBack(batch);
  }
}

const fetched = await fetchRecords(broker!, topic!, fetchBytes);
const messagesPerSecond: number[] = [];
for (let round = 0; round < rounds; round++) {
  const start = process.threadCpuUsage();
  let converted = 0;
  let cpuUs = 0;
  do {
    convert(fetched);
    converted += messages;
    const { user, system } = process.threadCpuUsage(start);
    cpuUs = user + system;
  } while (cpuUs < roundUs);
  // The first round compiles.
  if (round > 0) messagesPerSecond.push((converted * 1e6) / cpuUs);
}
writeFileSync(file!, body.written());
const columns = [...encoders.values()].at(-1)?.insertColumns ?? '';
process.send!({ messages, messagesPerSecond, columns } satisfies ConversionReport);
process.disconnect();
