import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { envelope, flattened } from '../../../test/support/debezium.ts';
import { TextReader } from '../../../test/support/text-reader.ts';

let messages: TextReader;

beforeEach(() => {
  messages = new TextReader();
});

test('an unknown op (K25) is malformed', () => {
  assert.match(messages.reasonOf({ value: envelope('x', null, { id: 1 }) }), /unknown op "x"/);
  assert.match(messages.reasonOf({ value: envelope('', null, { id: 1 }) }), /unknown op ""/);
  assert.match(messages.reasonOf({ value: envelope('cr', null, { id: 1 }) }), /unknown op "cr"/);
  assert.match(messages.reasonOf({ value: flattened({ id: 1 }, 't') }), /unknown op "t"/);
});

test('text is unescaped; other values stay as they are written', () => {
  const strings = [
    '"a\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"\\u0041\\u00e4\\u20ac\\ud83d\\ude00"',
    '"\\u0000"',
    '"é€😀"',
    '""',
    '"\\uFFFF"',
  ];
  const values = [
    '-0',
    '1.10',
    '1e400',
    '9007199254740993',
    '[ 1, {"a" : "\\u00e4"} ]',
    '{"a":1,"a":2}',
    'false',
  ];
  const members = [...strings, ...values].map((json, i) => `"c${i}":${json}`);
  const value = JSON.stringify(envelope('c', null, '@')).replace('"@"', `{${members}}`);
  const expected = [...strings.map(json => JSON.stringify(JSON.parse(json))), ...values].join(' ');
  assert.equal(messages.read({ key: null, value }), `insert public.t: N ${expected}`);
});

test('members may come in any order, with spaces, escaped names and twice', () => {
  const plain = JSON.stringify(envelope('u', null, { id: 1, v: 'a' }));
  const { op, source, after, ...rest } = envelope('u', null, { id: 1, v: 'a' });
  const forms = [
    plain.replace(/[,:]/g, ' $& ').replaceAll(' : ', ':').replaceAll('" ,', '",'),
    JSON.stringify(envelope('u', null, { id: 1, v: 'a' }), null, '\t'),
    `\n${plain}\r\n `,
    JSON.stringify({ op, source, after, ...rest }),
    JSON.stringify({ after, ...rest, source, op }),
    plain.replace('"after"', '"\\u0061fter"').replace('"id"', '"\\u0069d"').replace('"lsn"', '"l\\u0073n"'),
    plain.replace('"after":{', '"after":{"v":"x",').replace('"v":"x",', '"v":"x","id":7,'),
    plain.replace('"op":"u"', '"op":"x","op":"u"').replace('"lsn"', '"lsn":5,"lsn"'),
    plain.replace('"before":null', '"before":{"id":1},"before":null'),
  ];
  for (const value of forms) {
    const text = messages.read({ value });
    assert.ok(['update public.t: N 1 "a"', 'update public.t: N "a" 1'].includes(text), `${text} of ${value}`);
    assert.equal(messages.reader.lsnLo, 24064);
  }
});

test('what is no valid JSON is malformed (K12), also where nothing is read from it', () => {
  const plain = JSON.stringify(envelope('c', null, { id: 1, v: 'text', n: 5 }));
  messages.read({ value: plain });
  const broken: [string, string | RegExp, RegExp][] = [
    ['"text"', '"te\\xt"', /a wrong escape, at byte/],
    ['"text"', '"te\nxt"', /a control character in a string/],
    ['"text"', '"te\\ud800xt"', /half a surrogate pair/],
    ['"text"', '"te\\udc00xt"', /half a surrogate pair/],
    ['"text"', '"te\\ud800\\u0041"', /half a surrogate pair/],
    ['"n":5', '"n":05', /neither a comma nor an end/],
    ['"n":5', '"n":5.', /a wrong number/],
    ['"n":5', '"n":-', /a wrong number/],
    ['"n":5', '"n":5e', /a wrong number/],
    ['"n":5', '"n":NaN', /no value/],
    ['"n":5', '"n":', /no value/],
    ['"n":5', '"n":[1,]', /no value/],
    ['"n":5', '"n":{"a":1,}', /no name/],
    ['"n":5', '"n":{"a" 1}', /no colon/],
    ['"txId":750', '"txId":0750', /neither a comma/],
    ['"transaction":null', '"transaction":nul', /no value/],
    ['"transaction":null', '"transaction":"\\ud800"', /half a surrogate pair/],
    ['"ts_ms"', '"ts_ms\\u"', /a wrong escape/],
  ];
  for (const [from, to, reason] of broken)
    assert.match(messages.reasonOf({ value: plain.replace(from, to as string) }), reason);
  for (let end = 0; end < plain.length; end++) messages.reasonOf({ value: plain.slice(0, end) });
  assert.match(messages.reasonOf({ value: `${plain} x` }), /more behind its end/);
  assert.match(messages.reasonOf({ value: `\ufeff${plain}` }), /not a JSON object/);
  assert.match(messages.reasonOf({ value: '[]' }), /not a JSON object/);
  assert.match(messages.reasonOf({ value: '' }), /not a JSON object/);
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    const at = plain.indexOf('text');
    const value = Buffer.concat([
      Buffer.from(plain.slice(0, at)),
      Buffer.from(bytes),
      Buffer.from(plain.slice(at)),
    ]);
    assert.match(messages.reasonOf({ value }), /no valid UTF-8/);
  }
  assert.equal(messages.read({ value: plain }), 'insert public.t: N 1 "text" 5');
});

test('values may be nested a thousand deep', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  const of = (depth: number) => ({
    value: JSON.stringify(envelope('c', null, { id: 1, v: '@' })).replace('"@"', nested(depth)),
  });
  messages.read(of(3));
  assert.equal(messages.read(of(998)), `insert public.t: N 1 ${nested(998)}`);
  assert.match(messages.reasonOf(of(999)), /nested deeper than 1000/);
  assert.match(messages.reasonOf(of(100_000)), /nested deeper than 1000/);
});

test('what contradicts itself is malformed', () => {
  assert.match(messages.reasonOf({ value: envelope('c', null, null) }), /op "c" without "after"/);
  assert.match(messages.reasonOf({ value: envelope('u', { id: 1 }, null) }), /op "u" without "after"/);
  assert.match(messages.reasonOf({ value: envelope('c', null, [1]) }), /"after" is not a row/);
  assert.match(
    messages.reasonOf({ value: envelope('c', null, { id: 1 }, { lsn: null }) }),
    /the LSN is missing/,
  );
  assert.match(messages.reasonOf({ value: envelope('c', null, { id: 1 }, { lsn: -1 }) }), /the LSN is -1/);
  assert.match(
    messages.reasonOf({ value: envelope('c', null, { id: 1 }, { sequence: '["a","1"]' }) }),
    /the sequence is \["a","1"\]/,
  );
  assert.match(
    messages.reasonOf({ value: envelope('c', null, { id: 1 }, { sequence: '[' }) }),
    /not two LSNs/,
  );
  assert.match(
    messages.reasonOf({ value: envelope('c', null, { id: 1 }, { ts_us: 'now' }) }),
    /the time of the commit is now/,
  );
  assert.match(
    messages.reasonOf({ key: 'id', value: envelope('c', null, { id: 1 }) }),
    /the key is not a JSON object/,
  );
  assert.match(
    messages.reasonOf({ key: '1', value: envelope('c', null, { id: 1 }) }),
    /the key is not a JSON object/,
  );
  assert.match(
    messages.reasonOf({ key: Buffer.of(0x7b, 0xff, 0x7d), value: envelope('c', null, { id: 1 }) }),
    /the key is no valid UTF-8/,
  );
});

test('rows without columns are rows', () => {
  assert.equal(messages.read({ key: null, value: envelope('c', null, {}) }), 'insert public.t: N');
});
