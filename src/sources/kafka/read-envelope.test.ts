import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { envelope, flattened, struct, withSchema } from '../../../test/support/debezium.ts';
import { TextReader } from '../../../test/support/text-reader.ts';

const placeholder = '__debezium_unavailable_value';
let messages: TextReader;

beforeEach(() => {
  messages = new TextReader();
});

test('inserts, updates, snapshot rows (K23) and deletes become tuples', () => {
  const row = { id: 1, name: 'a', big: 9223372036854775807n, ok: true, none: null, list: [1, null] };
  const json = (value: unknown) =>
    JSON.stringify(value).replaceAll('"9223372036854775807"', '9223372036854775807');
  const text = json({ ...row, big: '9223372036854775807' });
  const of = (op: string) => JSON.stringify(envelope(op, null, '@')).replace('"@"', text);
  assert.equal(
    messages.read({ value: of('c') }),
    'insert public.t: N 1 "a" 9223372036854775807 true n [1,null]',
  );
  assert.equal(
    messages.read({ value: of('u') }),
    'update public.t: N 1 "a" 9223372036854775807 true n [1,null]',
  );
  assert.equal(
    messages.read({ value: of('r') }),
    'snapshot public.t: N 1 "a" 9223372036854775807 true n [1,null]',
  );
  assert.deepEqual(messages.reader.layout, {
    names: ['id', 'name', 'big', 'ok', 'none', 'list'],
    wires: [{}, {}, {}, {}, {}, {}],
    key: ['id'],
  });
  const { layout } = messages.reader;
  const before = { ...row, big: null, name: 'made up', ok: null, list: null };
  assert.equal(messages.read({ value: envelope('d', before, null) }), 'delete public.t: K 1 n n n n n');
  assert.equal(messages.reader.layout, layout);
});

test('LSN, commit before, time and names come from the source', () => {
  messages.read({
    value: envelope('c', null, { id: 1 }, { lsn: 4294967297, sequence: '["8589934591","4294967297"]' }),
  });
  assert.deepEqual(
    [
      messages.reader.lsnHi,
      messages.reader.lsnLo,
      messages.reader.lastCommitHi,
      messages.reader.lastCommitLo,
    ],
    [1, 1, 1, 4294967295],
  );
  assert.equal(messages.reader.committedAtUs, 1795355168375129 - 946684800000000);
  messages.read({
    value: envelope('c', null, { id: 1 }, { sequence: '[null,"24064"]', ts_us: undefined, table: 'ü"' }),
  });
  assert.deepEqual(
    [messages.reader.lastCommitHi, messages.reader.lastCommitLo, messages.reader.table],
    [0, 0, 'ü"'],
  );
  assert.equal(messages.reader.committedAtUs, 1795355168375000 - 946684800000000);
  messages.read({
    value: envelope('c', null, { id: 1 }, { sequence: null, ts_us: undefined, ts_ms: undefined }),
  });
  assert.deepEqual([messages.reader.lastCommitLo, messages.reader.committedAtUs], [0, Number.NaN]);
  const largest = JSON.stringify(envelope('c', null, { id: 1 })).replace('24064,', '18446744073709551615,');
  messages.read({ value: largest });
  assert.deepEqual([messages.reader.lsnHi, messages.reader.lsnLo], [4294967295, 4294967295]);
});

test('every form of source.snapshot is taken; the op alone says what a snapshot row is', () => {
  for (const snapshot of [
    'true',
    'false',
    'first',
    'first_in_data_collection',
    'last_in_data_collection',
    'last',
    'incremental',
    null,
    false,
    true,
  ]) {
    assert.equal(
      messages.read({ value: envelope('r', null, { id: 1 }, { snapshot }) }),
      'snapshot public.t: N 1',
    );
    assert.equal(
      messages.read({ value: envelope('c', null, { id: 1 }, { snapshot }) }),
      'insert public.t: N 1',
    );
  }
});

test('the old row of REPLICA IDENTITY FULL comes before the new one, one without its key does not', () => {
  const before = { id: 1, v: 'old', n: null };
  const after = { id: 1, v: 'new', n: 2 };
  assert.equal(
    messages.read({ value: envelope('u', before, after) }),
    'update public.t: O 1 "old" n | N 1 "new" 2',
  );
  // USING INDEX, on other columns than those of the message key.
  assert.equal(
    messages.read({ value: envelope('u', { ...before, id: null }, after) }),
    'update public.t: N 1 "new" 2',
  );
  // Other names, and another order, than debezium ever writes.
  assert.equal(
    messages.read({ value: envelope('u', { n: 3, id: 1, more: 4 }, after) }),
    'update public.t: O 1 n 3 4 | N 1 "new" 2 n',
  );
  assert.deepEqual(messages.reader.layout.names, ['id', 'v', 'n', 'more']);
});

test('without a key (K11) rows are told apart by all columns', () => {
  assert.equal(messages.read({ key: null, value: envelope('c', null, { a: 1 }) }), 'insert public.t: N 1');
  assert.equal(messages.reader.layout.key, undefined);
  assert.equal(
    messages.read({ key: null, value: envelope('u', { a: 1 }, { a: 2 }) }),
    'update public.t: O 1 | N 2',
  );
  assert.equal(
    messages.read({ key: null, value: envelope('d', { a: 2, b: placeholder }, null) }),
    `delete public.t: O 2 "${placeholder}"`,
  );
  assert.equal(messages.read({ key: null, value: null }), 'ignored');
  assert.equal(messages.read({ key: 'null', value: envelope('c', null, { a: 1 }) }), 'insert public.t: N 1');
});

test('a changed key is one update: its delete and tombstone are ignored', () => {
  const newkey = { '__debezium.newkey': '{"id":2}' };
  const value = envelope('d', { id: 1, v: null }, null);
  assert.equal(messages.readOnce({ value, headers: newkey }), 'ignored');
  assert.equal(messages.readOnce({ value: null, headers: newkey }), 'ignored');
  const second = (key: string | Buffer) => ({
    key: { id: 2 },
    value: envelope('c', null, { id: 2, v: placeholder }),
    headers: { '__debezium.oldkey': key },
  });
  assert.equal(messages.read(second('{"id":1}')), 'update public.t: K 1 n | N 2 u');
  assert.equal(
    messages.read(second(JSON.stringify({ schema: struct({ id: { type: 'int32' } }), payload: { id: 1 } }))),
    'update public.t: K 1 n | N 2 u',
  );
  // As Connect's SimpleHeaderConverter writes text.
  assert.equal(
    messages.read(second('{"id":"a\\"\n\\\\b\u0001"}')),
    'update public.t: K "a\\"\\n\\\\b\\u0001" n | N 2 u',
  );
  assert.match(messages.reasonOf(second('{"other":1}')), /the key's column "other" is not in the row/);
  assert.match(messages.reasonOf(second('{"id":null}')), /no value of the key's column "id"/);
  assert.match(messages.reasonOf(second('Struct{id=1}')), /the header with the old key is not a JSON object/);
  assert.match(messages.reasonOf(second('{"id":2026-01-01}')), /no valid JSON/);
});

test('a tombstone is ignored right after its delete; else it deletes by key (K10)', () => {
  const other = { key: { id: 2 }, value: envelope('c', null, { id: 2, v: 'a' }) };
  messages.read(other);
  messages.readOnce({ value: envelope('d', { id: 1, v: null }, null) });
  assert.equal(messages.read({ value: null }), 'ignored');
  assert.equal(messages.read({ value: null }), 'tombstone public.t: K 1');
  assert.deepEqual(messages.reader.layout, { names: ['id'], wires: [{}], key: ['id'] });
  assert.deepEqual(
    [messages.reader.lsnHi, messages.reader.lsnLo, messages.reader.committedAtUs, messages.reader.isSnapshot],
    [0, 0, Number.NaN, false],
  );
  messages.readOnce({ value: envelope('d', { id: 1, v: null }, null) });
  assert.equal(messages.read({ key: { id: 3 }, value: null }), 'tombstone public.t: K 3');
  messages.readOnce({ value: envelope('d', { id: 1, v: null }, null) });
  messages.read(other);
  assert.equal(messages.read({ value: null }), 'tombstone public.t: K 1');
  // Its delete was compacted away, the insert with the new key as well.
  assert.equal(
    messages.read({ value: null, headers: { '__debezium.newkey': '{"id":2}' } }),
    'tombstone public.t: K 1',
  );
  const key = withSchema(struct({ b: { type: 'string' }, a: { type: 'int32' } }), { b: 'x"', a: 1 });
  assert.equal(messages.read({ key, value: null }), 'tombstone public.t: K "x\\"" 1');
  assert.deepEqual(messages.reader.layout.wires, [
    { type: 'string', optional: false },
    { type: 'int32', optional: false },
  ]);
  assert.match(messages.reasonOf({ key: '{"id":null}', value: null }), /no value of the key's column "id"/);
});

test('a tombstone before any other message has a key and no table', () => {
  assert.equal(messages.read({ value: null }), 'tombstone .: K 1');
});

test('a delete whose before lacks the key takes it from the message key', () => {
  assert.equal(messages.read({ value: envelope('d', null, null) }), 'delete public.t: K 1');
  assert.equal(messages.read({ value: envelope('d', { v: 1 }, null) }), 'delete public.t: K 1');
  assert.deepEqual(messages.reader.layout.names, ['id']);
  assert.match(
    messages.reasonOf({ key: null, value: envelope('d', null, null) }),
    /a delete without "before"/,
  );
});

test('truncates (K24) have no rows', () => {
  assert.equal(messages.read({ key: null, value: envelope('t', null, null) }), 'truncate public.t');
  assert.equal(messages.reader.lsnLo, 24064);
});

test('the placeholder (K21) is an unchanged value in updates only, in each form that Debezium gives it', () => {
  const bytes = Buffer.from(placeholder);
  const each = (text: (byte: number) => unknown) => Array.from(bytes, text);
  const one = (byte: number) => Buffer.of(byte).toString('base64');
  const forms = [
    placeholder,
    bytes.toString('base64'),
    bytes.toString('hex'),
    JSON.stringify({ [placeholder]: placeholder }),
    { [placeholder]: placeholder },
    [placeholder],
    [bytes.toString('base64')],
    ['b68a35a7-17ad-35b3-af2a-ae46edb4545a'],
    each(byte => byte),
    each(one),
    each(byte => ({ scale: 0, value: one(byte) })),
  ];
  for (const form of forms) {
    const row = { id: 1, v: form };
    assert.equal(
      messages.read({ value: envelope('u', null, row) }),
      'update public.t: N 1 u',
      JSON.stringify(form),
    );
    const text = JSON.stringify(form);
    assert.equal(messages.read({ value: envelope('c', null, row) }), `insert public.t: N 1 ${text}`);
    assert.equal(messages.read({ value: envelope('r', null, row) }), `snapshot public.t: N 1 ${text}`);
    assert.equal(messages.read({ value: flattened(row, 'u') }), 'update .t: N 1 u');
    assert.equal(messages.read({ value: flattened(row, 'c') }), `insert .t: N 1 ${text}`);
  }
  const readUpdate = (array: string) =>
    messages.read({ value: JSON.stringify(envelope('u', null, { id: 1, v: '@' })).replace('"@"', array) });
  assert.equal(readUpdate(`[${each(byte => `${byte}.0`).join()}]`), 'update public.t: N 1 u');
  assert.equal(readUpdate(`[ "${placeholder}"\n]`), 'update public.t: N 1 u');
  assert.equal(readUpdate(`["${placeholder} "]`), `update public.t: N 1 ["${placeholder} "]`);
  const trues = each(() => true);
  assert.equal(
    messages.read({ value: envelope('u', null, { id: 1, v: trues }) }),
    `update public.t: N 1 [${trues}]`,
  );
});

test('an old row stands for unchanged values only if it has them', () => {
  const after = { id: 1, v: placeholder };
  assert.equal(
    messages.read({ value: envelope('u', { id: 1, v: 'old' }, after) }),
    'update public.t: O 1 "old" | N 1 u',
  );
  assert.equal(
    messages.read({ value: envelope('u', { id: 1, v: placeholder }, after) }),
    `update public.t: O 1 "${placeholder}" | N 1 u`,
  );
  assert.equal(messages.read({ value: envelope('u', { id: 1, v: null }, after) }), 'update public.t: N 1 u');
  assert.equal(messages.read({ value: envelope('u', { id: 1 }, after) }), 'update public.t: N 1 u');
});

test('another placeholder can be set', () => {
  messages = new TextReader('é"');
  const value = envelope('u', null, {
    a: 'é"',
    b: placeholder,
    c: Buffer.from('é"').toString('base64'),
    d: Array.from(Buffer.from('é"'), byte => (byte << 24) >> 24),
  });
  assert.equal(messages.read({ key: null, value }), `update public.t: N u "${placeholder}" u u`);
});
