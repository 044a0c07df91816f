import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { envelope, envelopeSchema, flattened, struct, withSchema } from '../../../test/support/debezium.ts';
import { TextReader } from '../../../test/support/text-reader.ts';

const placeholder = '__debezium_unavailable_value';
let messages: TextReader;

beforeEach(() => {
  messages = new TextReader();
});

test('logical messages (K25), heartbeats, transactions and schema changes are ignored', () => {
  const message = {
    ...envelope('m', undefined, undefined, { table: '' }),
    message: { prefix: 'p', content: 'aGVsbG8=' },
  };
  assert.equal(messages.read({ key: { prefix: 'p' }, value: message }), 'ignored');
  assert.equal(messages.read({ key: { serverName: 'cdc' }, value: { ts_ms: 1 } }), 'ignored');
  const heartbeat = withSchema(
    struct({ ts_ms: { type: 'int64' } }, { name: 'io.debezium.connector.common.Heartbeat' }),
    { ts_ms: 1 },
  );
  assert.equal(messages.read({ key: null, value: heartbeat }), 'ignored');
  const begin = { status: 'BEGIN', id: '1:2', event_count: null, data_collections: null, ts_ms: 1 };
  assert.equal(messages.read({ key: { id: '1:2' }, value: begin }), 'ignored');
  assert.equal(
    messages.read({
      key: { id: '1:2' },
      value: { ...begin, status: 'END', event_count: 0, data_collections: [] },
    }),
    'ignored',
  );
  const ddl = {
    source: {},
    ts_ms: 1,
    databaseName: 'd',
    schemaName: 's',
    ddl: 'DROP TABLE t',
    tableChanges: [],
  };
  assert.equal(messages.read({ key: { databaseName: 'd' }, value: ddl }), 'ignored');
  assert.match(messages.reasonOf({ value: { ts_ms: 1 } }), /neither an envelope/);
  assert.match(messages.reasonOf({ value: { ...begin, status: 'ACTIVE' } }), /neither an envelope/);
});

test('messages with and without schemas (K13) come in any order, keys and values apart', () => {
  const price = {
    type: 'bytes',
    name: 'org.apache.kafka.connect.data.Decimal',
    version: 1,
    parameters: { scale: '2', 'connect.decimal.precision': '12' },
  };
  const row = struct(
    {
      id: { type: 'int32', optional: false },
      price: { ...price, optional: true },
      list: { type: 'array', items: { type: 'string', optional: true }, optional: true },
    },
    { optional: true },
  );
  const after = { id: 1, price: 'BBo=', list: ['a'] };
  const bare = { value: envelope('c', null, after) };
  const wrapped = { value: withSchema(envelopeSchema(row), envelope('c', null, after)) };
  const wires = [
    { type: 'int32', optional: false },
    { type: 'bytes', name: price.name, parameters: price.parameters, optional: true },
    { type: 'array', optional: true, items: { type: 'string', optional: true } },
  ];
  for (const keySchema of [struct({ id: { type: 'int32' } }), null, undefined]) {
    const key = keySchema === undefined ? { id: 1 } : withSchema(keySchema, { id: 1 });
    assert.equal(messages.read({ key, ...bare }), 'insert public.t: N 1 "BBo=" ["a"]');
    assert.deepEqual(messages.reader.layout.wires, [{}, {}, {}]);
    assert.equal(messages.read({ key, ...wrapped }), 'insert public.t: N 1 "BBo=" ["a"]');
    assert.deepEqual(messages.reader.layout.wires, wires);
    assert.deepEqual(messages.reader.layout.key, ['id']);
  }
  // As written for data without a schema with schemas.enable=true.
  assert.equal(
    messages.read({ value: withSchema(null, envelope('c', null, after)) }),
    'insert public.t: N 1 "BBo=" ["a"]',
  );
  assert.deepEqual(messages.reader.layout.wires, [{}, {}, {}]);
});

test('rows with a schema have its fields, in its order', () => {
  const row = struct({
    id: { type: 'int32' },
    a: { type: 'string', optional: true },
    b: { type: 'string', optional: true },
  });
  const of = (op: string, before: unknown, after: unknown) => ({
    value: withSchema(envelopeSchema(row), envelope(op, before, after)),
  });
  assert.equal(messages.read(of('c', null, { b: 'y', id: 1 })), 'insert public.t: N 1 n "y"');
  assert.deepEqual(messages.reader.layout.names, ['id', 'a', 'b']);
  const { layout } = messages.reader;
  assert.equal(messages.read(of('d', { id: 1, a: null, b: null }, null)), 'delete public.t: K 1 n n');
  assert.equal(messages.reader.layout, layout);
  assert.match(
    messages.reasonOf(of('c', null, { id: 1, z: 1 })),
    /the row has the field "z", which is not in its schema/,
  );
  assert.match(
    messages.reasonOf({
      value: withSchema(struct({ op: { type: 'string' } }), envelope('c', null, { id: 1 })),
    }),
    /neither "after" nor "before"/,
  );
  assert.match(
    messages.reasonOf({ value: withSchema({ type: 'int32' }, envelope('c', null, { id: 1 })) }),
    /does not describe a struct/,
  );
  assert.match(
    messages.reasonOf({
      key: withSchema(struct({ x: { type: 'int32' } }), { id: 1 }),
      value: envelope('c', null, { id: 1 }),
    }),
    /the key has the field "id"/,
  );
});

test('a table that changes has a layout for each of its shapes', () => {
  messages.read({ value: envelope('c', null, { id: 1, a: 1 }) });
  const { layout } = messages.reader;
  assert.equal(
    messages.read({ value: envelope('c', null, { id: 1, a: 1, b: 2 }) }),
    'insert public.t: N 1 1 2',
  );
  assert.equal(messages.read({ value: envelope('c', null, { id: 1, b: 2 }) }), 'insert public.t: N 1 2');
  assert.equal(
    messages.read({ key: { a: 1 }, value: envelope('c', null, { id: 1, a: 1 }) }),
    'insert public.t: N 1 1',
  );
  assert.deepEqual(messages.reader.layout.key, ['a']);
  messages.read({ value: envelope('c', null, { id: 2, a: 3 }) });
  assert.equal(messages.reader.layout, layout);
});

test('tables that share a topic are told apart', () => {
  for (const table of ['t1', 't2', 't1', 't2'])
    assert.equal(
      messages.read({ value: envelope('c', null, { id: 1 }, { table }) }),
      `insert public.${table}: N 1`,
    );
});

test('flattened rows (K13) carry what they were flattened from', () => {
  const row = { id: 1, name: 'a', __v: 3 };
  const added = { __sequence: '["24000","24064"]', __schema: 'public', __source_ts_us: 1795355168375129 };
  assert.equal(messages.read({ value: flattened(row, 'c', added) }), 'insert public.t: N 1 "a" 3');
  assert.deepEqual(messages.reader.layout.names, ['id', 'name', '__v']);
  assert.deepEqual(
    [messages.reader.lsnLo, messages.reader.lastCommitLo, messages.reader.isFlattened],
    [24064, 24000, true],
  );
  assert.equal(messages.reader.committedAtUs, 1795355168375129 - 946684800000000);
  assert.equal(messages.read({ value: flattened(row, 'r') }), 'snapshot .t: N 1 "a" 3');
  assert.equal(messages.reader.committedAtUs, 1795355168375000 - 946684800000000);
  assert.equal(messages.read({ value: flattened({ id: 1, name: null }, 'd') }), 'delete .t: K 1 n');
  assert.equal(messages.read({ value: { id: 1, __deleted: 'true', __lsn: 1 } }), 'delete .: K 1');
  assert.equal(
    messages.read({ value: { id: 1, __op: 'c', __source_lsn: 1, __source_table: 'x' } }),
    'insert .x: N 1',
  );
  assert.equal(
    messages.read({ key: null, value: flattened({ id: 1, name: 'a' }, 'd') }),
    'delete .t: O 1 "a"',
  );
  const fields = {
    id: { type: 'int32' },
    name: { type: 'string' },
    __op: { type: 'string' },
    __lsn: { type: 'int64' },
  };
  const payload = { id: 1, name: 'a', __op: 'u', __lsn: 5 };
  assert.equal(messages.read({ value: withSchema(struct(fields), payload) }), 'update .: N 1 "a"');
  assert.deepEqual(messages.reader.layout.wires, [
    { type: 'int32', optional: false },
    { type: 'string', optional: false },
  ]);
});

test('flattened rows that cannot be ordered are malformed, and say what is needed', () => {
  const needed = /add\.fields=op,lsn,sequence,source\.ts_us,schema,table/;
  assert.match(messages.reasonOf({ value: { id: 1 } }), needed);
  assert.match(messages.reasonOf({ value: { id: 1, __op: 'c' } }), /no __lsn/);
  assert.match(messages.reasonOf({ value: { id: 1, __op: 'c', __lsn: null } }), needed);
  assert.match(messages.reasonOf({ value: { id: 1, __lsn: 5, __deleted: 'false' } }), /no __op/);
});

test('a key change that was flattened leaves a tombstone, which is ignored', () => {
  messages.read({ value: flattened({ id: 1 }, 'c') });
  assert.equal(messages.read({ value: null, headers: { '__debezium.newkey': '{"id":2}' } }), 'ignored');
  const second = {
    key: { id: 2 },
    value: flattened({ id: 2, v: placeholder }, 'c'),
    headers: { '__debezium.oldkey': '{"id":1}' },
  };
  assert.equal(messages.read(second), 'update .t: K 1 n | N 2 u');
  assert.equal(messages.read({ value: null }), 'tombstone .t: K 1');
});

test('rows of columns named like parts of an envelope are rows', () => {
  const row = { op: 'x', source: 'y', before: 1, after: 2, schema: 'a', payload: 'b', ts_ms: 5 };
  const text = '"x" "y" 1 2 "a" "b" 5';
  assert.equal(
    messages.read({ key: { schema: 'a', payload: 'b' }, value: envelope('c', null, row) }),
    `insert public.t: N ${text}`,
  );
  assert.deepEqual(messages.reader.layout.key, ['schema', 'payload']);
  assert.equal(messages.read({ value: flattened(row, 'c') }), `insert .t: N ${text}`);
  assert.equal(
    messages.read({ value: envelope('c', null, { __op: 'd', __lsn: 1, __deleted: 'true' }) }),
    'insert public.t: N "d" 1 "true"',
  );
});

test('many shapes in turn are read right', () => {
  for (let i = 0; i < 200; i++) {
    const width = 1 + (i % 40);
    const row = Object.fromEntries(Array.from({ length: width }, (_, c) => [`c${c}`, i]));
    assert.equal(
      messages.readOnce({ value: envelope('c', null, row) }),
      `insert public.t: N ${Array(width).fill(i).join(' ')}`,
    );
  }
});
