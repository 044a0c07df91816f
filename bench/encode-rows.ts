/**
 * `node bench/encode-rows.ts`: rows of `user_events` that a second of CPU encodes as RowBinary, by the form in which their values
 * come. Rates of one run belong together; compare them with each other.
 */
import { Op, RowGroup, Transactions } from '../src/core/batch.ts';
import { ByteWriter } from '../src/core/byte-writer.ts';
import type { Column } from '../src/core/relation.ts';
import { Kind, Marker } from '../src/core/tuple.ts';
import { walVersions } from '../src/core/version.ts';
import { withConnectorModes } from '../src/sinks/clickhouse/types/debezium/connector-modes.ts';
import { buildUserEventsEncoder, platformModes, userEventsColumns } from './user-events-encoder.ts';

interface Form {
  name: string;
  columns: Column[];
  values: [kind: number, bytes: Buffer][];
}

const rows = 2000;
const rounds = 5;
const roundUs = 400_000;

const payload = JSON.stringify({
  page: '/products/1234',
  referrer: 'https://example.com/',
  items: [1, 2, 3],
  note: 'x'.repeat(80),
});
const text = (value: string): [number, Buffer] => [Kind.text, Buffer.from(value)];
const json = (value: string): [number, Buffer] => [Kind.json, Buffer.from(value)];
const uuid = '0190aa00-0000-7000-8000-000000000001';

const postgresText: Form = {
  name: "PostgreSQL's text",
  columns: userEventsColumns,
  values: [
    text('1234567'),
    text(uuid),
    text('page_view'),
    text(payload),
    text('1234.50'),
    text('2026-02-28 07:04:56.123456+00'),
  ],
};
const isoStrings: Form = {
  name: 'envelope, decimals as text',
  columns: userEventsColumns.map(column => withConnectorModes({ ...column, wire: {} }, platformModes)),
  values: postgresText.values.map((value, i) =>
    i === 0 ? json('1234567') : i === 5 ? text('2026-02-28T07:04:56.123456Z') : value,
  ),
};
const defaults: Form = {
  name: 'envelope, decimals in Base64',
  columns: userEventsColumns.map(column =>
    withConnectorModes({ ...column, wire: {} }, { ...platformModes, decimals: 'precise', times: 'adaptive' }),
  ),
  values: isoStrings.values.map((value, i) => (i === 4 ? text('AeI6') : value)),
};

function prepare({ columns, values }: Form): () => void {
  const encoder = buildUserEventsEncoder(columns, { versions: walVersions, epoch: 0 });
  const tuples = new ByteWriter();
  const group = new RowGroup(encoder.relation);
  const transactions = new Transactions();
  transactions.add(0, 1 << 20, 0);
  for (let row = 0; row < rows; row++) {
    const offset = tuples.pos;
    tuples.writeByte(Marker.new);
    tuples.writeByte(0);
    tuples.writeByte(values.length);
    for (const [kind, bytes] of values) {
      tuples.writeByte(kind);
      for (const shift of [24, 16, 8, 0]) tuples.writeByte(bytes.length >>> shift);
      tuples.writeBytes(bytes, 0, bytes.length);
    }
    group.add(offset, tuples.pos - offset, Op.insert, 0, 0, 1 << 19, 0);
  }
  const data = Buffer.from(tuples.written());
  const out = new ByteWriter(1 << 20);
  return () => {
    out.pos = 0;
    for (let i = 0; i < rows; i++) encoder.encodeChange(data, group, i, transactions, out);
  };
}

const forms = [postgresText, isoStrings, defaults];
const runs = forms.map(prepare);
const rates = forms.map((): number[] => []);
for (let round = 0; round < rounds; round++)
  runs.forEach((run, i) => {
    const start = process.cpuUsage();
    let encoded = 0;
    let cpuUs = 0;
    do {
      run();
      encoded += rows;
      const { user, system } = process.cpuUsage(start);
      cpuUs = user + system;
    } while (cpuUs < roundUs);
    // The first round compiles.
    if (round > 0) rates[i]!.push(encoded / cpuUs);
  });
forms.forEach(({ name }, i) => {
  const sorted = rates[i]!.sort((a, b) => a - b);
  console.log(`${name.padEnd(30)} ${sorted[sorted.length >> 1]!.toFixed(2)} M rows per CPU-second`);
});
