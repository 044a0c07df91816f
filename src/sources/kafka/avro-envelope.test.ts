import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { readAvroSchemas, readEnvelopes } from '../../../test/fixtures/envelopes.ts';
import { avscType, confluent, expectedAvroValue } from '../../../test/support/avro.ts';
import { envelope, kafkaMessage, type MessageParts } from '../../../test/support/debezium.ts';
import type { ExpectedChange } from '../../../test/support/envelope-oracle.ts';
import { readChange } from '../../../test/support/read-change.ts';
import { RegistryServer } from '../../../test/support/schema-registry.ts';
import type { KafkaMessage } from './envelope.ts';
import { TopicReader } from './read-envelope.ts';
import { SchemaRegistry } from './schema-registry.ts';

const placeholder = '__debezium_unavailable_value';
let server: RegistryServer;
let reader: TopicReader;

before(async () => {
  server = await RegistryServer.start();
});
beforeEach(() => {
  server.schemas.clear();
  reader = new TopicReader({ placeholder, registry: new SchemaRegistry(server.url()) });
});
after(() => server.stop());

const nullable = (type: unknown) => ['null', type];
const valueSchema = (fields: object[]) => ({ type: 'record', name: 'Value', fields });
const sourceSchema = {
  type: 'record',
  name: 'Source',
  namespace: 'io.debezium.connector.postgresql',
  fields: [
    { name: 'snapshot', type: [{ type: 'string', 'connect.default': 'false' }, 'null'] },
    { name: 'sequence', type: nullable('string') },
    { name: 'ts_us', type: nullable('long') },
    { name: 'schema', type: 'string' },
    { name: 'table', type: 'string' },
    { name: 'lsn', type: nullable('long') },
  ],
};
const envelopeSchema = (fields: object[]) => ({
  type: 'record',
  name: 'Envelope',
  namespace: 'cdc.public.t',
  fields: [
    { name: 'before', type: nullable(valueSchema(fields)) },
    { name: 'after', type: nullable('Value') },
    { name: 'source', type: sourceSchema },
    { name: 'op', type: 'string' },
  ],
});
const keySchema = { type: 'record', name: 'Key', fields: [{ name: 'id', type: 'int' }] };
const columns = [
  { name: 'id', type: 'int' },
  { name: 'name', type: nullable('string') },
];

const wrapped = (name: string, value: unknown) => (value === null ? null : { [name]: value });

/** An Avro envelope by a schema that the registry has from now on. */
function avroEnvelope(
  id: number,
  fields: object[],
  op: string,
  before: object | null,
  after: object | null,
): Buffer {
  const schema = envelopeSchema(fields);
  server.add(id, schema);
  const row = (value: object | null) => wrapped('cdc.public.t.Value', value);
  const source = {
    snapshot: { string: 'false' },
    sequence: { string: '["24000","24064"]' },
    ts_us: { long: 1795355168375129n },
    schema: 'public',
    table: 't',
    lsn: { long: 24064n },
  };
  return confluent(id, avscType(schema).toBuffer({ before: row(before), after: row(after), source, op }));
}

function avroKey(id: number, key = 1): Buffer {
  server.add(id, keySchema);
  return confluent(id, avscType(keySchema).toBuffer({ id: key }));
}

/** As in `update: K 1 n | N 2 "text"`. */
async function read(parts: MessageParts): Promise<string> {
  const message = kafkaMessage(parts);
  await reader.prepare(message);
  assert.equal(reader.prepare(message), undefined);
  const change = readChange(reader, message);
  if (change.kind !== 'change') return change.kind;
  return `${change.op}: ${change.tuples.map(({ marker, values }) => [marker, ...Object.values(values)].join(' ')).join(' | ')}`;
}

async function reasonOf(parts: MessageParts): Promise<string> {
  const message = kafkaMessage(parts);
  await reader.prepare(message);
  try {
    readChange(reader, message, true);
  } catch (error) {
    return (error as Error).message;
  }
  return assert.fail('not malformed');
}

test('what Debezium wrote as Avro comes out as avsc reads it', async () => {
  const schemas = readAvroSchemas();
  for (const [id, schema] of schemas) server.add(id, schema);
  const registry = new SchemaRegistry(server.url());
  const readers = new Map<string, TopicReader>();
  for (const { topic, offset, key, value, headers } of readEnvelopes('avro')) {
    const message: KafkaMessage = {
      key,
      value,
      headers: new Map(headers.map(([name, bytes]) => [name, bytes!])),
    };
    const reader = readers.get(topic) ?? new TopicReader({ placeholder, registry });
    readers.set(topic, reader);
    await reader.prepare(message);
    const actual = readChange(reader, message);
    if (value === null) {
      assert.deepEqual(actual, { kind: 'ignored' });
      continue;
    }
    const schema = JSON.parse(schemas.get(value.readUInt32BE(1))!);
    const decoded = avscType(schema).fromBuffer(value.subarray(5));
    const row = (decoded.after ?? decoded.before)[`${topic}.Value`];
    const keyNames = JSON.parse(schemas.get(key!.readUInt32BE(1))!).fields.map(
      ({ name }: { name: string }) => name,
    );
    const rowFields = schema.fields[0].type[1].fields as { name: string; type: unknown }[];
    const values = Object.fromEntries(
      rowFields.map(({ name, type }) => [
        name,
        decoded.op === 'd' && !keyNames.includes(name) ? 'n' : expectedAvroValue(row[name], type),
      ]),
    );
    const [lastCommit, lsn] = JSON.parse(decoded.source.sequence.string);
    const expected: ExpectedChange = {
      kind: 'change',
      op: { c: 'insert', u: 'update', d: 'delete' }[decoded.op as 'c'] as 'insert',
      isSnapshot: false,
      lsn: BigInt(lsn),
      lastCommit: BigInt(lastCommit ?? 0),
      committedAtUs: Number(decoded.source.ts_us.long) - 946684800000000,
      schema: decoded.source.schema,
      table: decoded.source.table,
      names: rowFields.map(({ name }) => name),
      wires: [...reader.layout.wires],
      key: keyNames,
      tuples: [{ marker: decoded.op === 'd' ? 'K' : 'N', values }],
    };
    assert.deepEqual(actual, expected, `${topic} ${offset}`);
  }
});

test('columns are described as by JSON with schemas', async () => {
  for (const [id, schema] of readAvroSchemas()) server.add(id, schema);
  const registry = new SchemaRegistry(server.url());
  const wires = async (recording: 'avro' | 'schemas-on', table: string) => {
    const reader = new TopicReader({ placeholder, registry });
    const columns = new Map<string, unknown>();
    for (const { topic, key, value } of readEnvelopes(recording)) {
      if (!topic.endsWith(`.${table}`) || value === null) continue;
      await reader.prepare({ key, value });
      readChange(reader, { key, value });
      reader.layout.names.forEach((name, i) => {
        columns.set(name, reader.layout.wires[i]);
      });
    }
    return columns;
  };
  for (const table of ['t_basic', 't_wide']) {
    const [avro, json] = [await wires('avro', table), await wires('schemas-on', table)];
    for (const [name, wire] of avro) assert.deepEqual(wire, json.get(name), `${table}.${name}`);
  }
});

test('schemas by id (K14) are fetched once, also those of keys', async () => {
  const value = avroEnvelope(7, columns, 'c', null, { id: 1, name: { string: 'a' } });
  const key = avroKey(8);
  server.requests.length = 0;
  assert.equal(await read({ key, value }), 'insert: N j1 ta');
  assert.deepEqual(reader.layout.key, ['id']);
  assert.equal(await read({ key, value }), 'insert: N j1 ta');
  assert.deepEqual(server.requests.sort(), ['/api/schemas/ids/7', '/api/schemas/ids/8']);
});

test('fields may be added, dropped, renamed and moved (K16); old ids stay readable', async () => {
  const key = avroKey(1);
  const first = avroEnvelope(11, columns, 'c', null, { id: 1, name: { string: 'a' } });
  const added = avroEnvelope(12, [...columns, { name: 'n', type: 'long', default: 5 }], 'c', null, {
    id: 1,
    name: null,
    n: 9n,
  });
  const renamed = avroEnvelope(13, [columns[0]!, { name: 'title', type: ['string', 'null'] }], 'c', null, {
    id: 1,
    title: { string: 'b' },
  });
  assert.equal(await read({ key, value: first }), 'insert: N j1 ta');
  const { layout } = reader;
  assert.equal(await read({ key, value: added }), 'insert: N j1 n j9');
  assert.deepEqual(reader.layout.names, ['id', 'name', 'n']);
  assert.equal(await read({ key, value: renamed }), 'insert: N j1 tb');
  assert.deepEqual(reader.layout.names, ['id', 'title']);
  assert.deepEqual(reader.layout.wires[1], { type: 'string', optional: true });
  assert.equal(await read({ key, value: first }), 'insert: N j1 ta');
  assert.equal(reader.layout, layout);
});

test('updates, deletes, key changes and tombstones are those of JSON', async () => {
  const row = (id: number, name: string | null) => ({ id, name: wrapped('string', name) });
  const key = avroKey(2);
  const of = (op: string, before: object | null, after: object | null) =>
    avroEnvelope(21, columns, op, before, after);
  assert.equal(await read({ key, value: of('u', null, row(1, placeholder)) }), 'update: N j1 u');
  assert.equal(
    await read({ key, value: of('r', null, row(1, placeholder)) }),
    `insert: N j1 t${placeholder}`,
  );
  assert.equal(await read({ key, value: of('u', row(1, 'a'), row(1, 'b')) }), 'update: O j1 ta | N j1 tb');
  assert.equal(await read({ key: null, value: of('d', row(1, 'a'), null) }), 'delete: O j1 ta');
  assert.equal(await read({ key, value: of('d', row(1, null), null) }), 'delete: K j1 n');
  assert.equal(await read({ key, value: null }), 'ignored');
  assert.equal(await read({ key: avroKey(2, 5), value: null }), 'delete: K j5');
  const change = { key: avroKey(2, 3), value: of('c', null, row(3, placeholder)) };
  assert.equal(
    await read({ ...change, headers: { '__debezium.oldkey': '{"id":1}' } }),
    'update: K j1 n | N j3 u',
  );
  assert.equal(
    await read({ ...change, headers: { '__debezium.oldkey': avroKey(2, 4) } }),
    'update: K j4 n | N j3 u',
  );
  assert.equal(await read({ key, value: of('d', null, null) }), 'delete: K j1');
  assert.equal(await read({ key, value: of('t', null, null) }), 'truncate');
  assert.equal(await read({ key, value: of('m', null, null) }), 'ignored');
  assert.match(await reasonOf({ key, value: of('x', null, null) }), /unknown op "x"/);
});

test('flattened rows, heartbeats and JSON in the same topic', async () => {
  const schema = {
    type: 'record',
    name: 'Value',
    fields: [
      ...columns,
      { name: '__op', type: nullable('string') },
      { name: '__lsn', type: nullable('long') },
    ],
  };
  server.add(31, schema);
  const bytes = avscType(schema).toBuffer({
    id: 1,
    name: { string: 'a' },
    __op: { string: 'u' },
    __lsn: { long: 5n },
  });
  assert.equal(await read({ key: avroKey(32), value: confluent(31, bytes) }), 'update: N j1 ta');
  assert.deepEqual([reader.layout.names, reader.lsnLo], [['id', 'name'], 5]);
  assert.equal(reader.layout.wires.length, 2);
  const heartbeat = {
    type: 'record',
    name: 'Heartbeat',
    namespace: 'io.debezium.connector.common',
    fields: [{ name: 'ts_ms', type: 'long' }],
    'connect.name': 'io.debezium.connector.common.Heartbeat',
  };
  server.add(33, heartbeat);
  assert.equal(
    await read({ key: null, value: confluent(33, avscType(heartbeat).toBuffer({ ts_ms: 5n })) }),
    'ignored',
  );
  assert.equal(await read({ key: avroKey(32), value: envelope('c', null, { id: 1 }) }), 'insert: N j1');
  assert.equal(
    await read({ key: { id: 1 }, value: avroEnvelope(34, columns, 'c', null, { id: 1, name: null }) }),
    'insert: N j1 n',
  );
  assert.deepEqual(reader.layout.key, ['id']);
});

test('Avro that is cut off, too long or wrong is malformed (K12)', async () => {
  const value = avroEnvelope(41, columns, 'c', null, { id: 1, name: { string: 'text' } });
  assert.equal(await read({ value }), 'insert: N j1 ttext');
  for (let end = 5; end < value.length; end++)
    assert.match(await reasonOf({ value: value.subarray(0, end) }), /Avro|neither|unknown op/);
  assert.match(await reasonOf({ value: value.subarray(0, 4) }), /less than the five bytes/);
  assert.match(await reasonOf({ value: Buffer.concat([value, Buffer.of(0)]) }), /bytes behind the end/);
  const broken = Buffer.from(value);
  broken[broken.indexOf('text')] = 0xff;
  assert.match(await reasonOf({ value: broken }), /no valid UTF-8/);
  assert.match(
    await reasonOf({ key: avroKey(42).subarray(0, 5), value: avroEnvelope(41, columns, 'd', null, null) }),
    /ends in the middle/,
  );
  assert.match(await reasonOf({ value: confluent(41, Buffer.alloc(12, 0xff)) }), /more than ten bytes/);
});

test('schemas that cannot be used are named', async () => {
  server.add(51, '{"type":"record"', { schemaType: 'AVRO' });
  server.add(52, { type: 'record', name: 'R', fields: [{ name: 'a', type: 'Other' }] });
  server.add(53, 'message M {}', { schemaType: 'PROTOBUF' });
  server.add(54, '"string"');
  for (const [id, reason] of [
    [51, /schema 51 of the registry cannot be read/],
    [52, /type Other is not in it/],
    [53, /is PROTOBUF, not Avro/],
    [54, /is no record/],
  ] as const)
    assert.match(await reasonOf({ value: confluent(id, Buffer.of(2)) }), reason);
});

test('schemas named by a GUID in a header (K15) and Avro without a registry say so', async () => {
  const guid = Buffer.concat([Buffer.of(1), Buffer.alloc(16, 7)]);
  const value = Buffer.of(0, 2, 2, 2, 2, 2, 2);
  server.requests.length = 0;
  assert.match(
    await reasonOf({ value, headers: { __value_schema_id: guid } }),
    /named by a GUID, which is not supported/,
  );
  assert.match(
    await reasonOf({ value: Buffer.concat([guid, value]) }),
    /named by a GUID, which is not supported/,
  );
  assert.deepEqual(server.requests, []);
  reader = new TopicReader({ placeholder });
  assert.match(
    await reasonOf({ value: avroEnvelope(1, columns, 'c', null, null) }),
    /kafka\.registry is not set/,
  );
  assert.equal(await read({ key: avroKey(1), value: { ...envelope('m', null, null) } }), 'ignored');
});
