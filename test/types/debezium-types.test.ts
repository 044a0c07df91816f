import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Column, PgType, Wire } from '../../src/core/relation.ts';
import { type Encode, InvalidValue } from '../../src/sinks/clickhouse/types/codec.ts';
import { connectColumn } from '../../src/sinks/clickhouse/types/debezium/assumed-columns.ts';
import { semanticTypes } from '../../src/sinks/clickhouse/types/debezium/semantic-types.ts';
import { codecFor, defaultType } from '../../src/sinks/clickhouse/types/registry.ts';
import { golden, named, scaled } from './debezium-golden.ts';

function run(encode: Encode, value: string): string {
  const src = Buffer.from(value);
  const out = new ByteWriter(1);
  try {
    encode(src, 0, src.length, out);
  } catch (error) {
    if (error instanceof InvalidValue) return `refused: ${error.message}`;
    throw error;
  }
  return out.written().toString();
}

/** PostgreSQL's text of a string (in quotes) or any other JSON. */
function textOf(column: Column, value: string): string {
  const { toPostgresText } = codecFor(column, 'String', 'fail');
  return value.startsWith('"')
    ? run(toPostgresText!.text, JSON.parse(value))
    : run(toPostgresText!.json, value);
}

test('each semantic type gives the column and the text that PostgreSQL has K18 K20', () => {
  for (const [wire, clickHouse, values] of golden) {
    const column = connectColumn(wire, 'c');
    assert.equal(defaultType(column, { time64: true }), clickHouse, JSON.stringify(wire));
    for (const [value, expected] of Object.entries(values))
      assert.equal(textOf(column, value), expected, `${JSON.stringify(wire)} ${value}`);
  }
  const seen = new Set(golden.map(([{ name }]) => name));
  assert.deepEqual(
    Object.keys(semanticTypes).filter(name => !seen.has(name)),
    [],
    'each is tried',
  );
});

test('the way into the default type is the way over the text', () => {
  for (const [wire, clickHouse, values] of golden) {
    const column = connectColumn(wire, 'c');
    const codec = codecFor(column, clickHouse, 'clamp');
    for (const [value, text] of Object.entries(values)) {
      const found = value.startsWith('"') ? run(codec.text, JSON.parse(value)) : run(codec.json!, value);
      assert.equal(found, run(codec.postgresText, text), `${JSON.stringify(wire)} ${value}`);
    }
  }
});

test('what is not what the schema says is refused', () => {
  const refused: [Wire, ...string[]][] = [
    [scaled(2, 12), '"B*o="', '"B"', '""', '"BBo=="', '{"scale":1}', '{"value":"AA=="}', 'true', '[]', '1x'],
    [
      named('data.VariableScaleDecimal'),
      '{}',
      '{"scale":1,"value":1}',
      '{"scale":"x","value":"AA=="}',
      '"1.5"',
    ],
    [named('time.Date'), '1.5', '""', '"2026-02-30x"', '-2147483648', '2145042906', '9999999999999999'],
    [named('time.IsoDate'), '"2026-2-28Z"', '"28.02.2026"', '"-5877611-06-23Z"', '"2026-02-28T00:00:00Z"'],
    [named('time.MicroTime'), '86400000001', '-1', '1e3', 'true'],
    [named('time.NanoTime'), '1'],
    [named('time.IsoTime'), '"1:2:3Z"', '"12:00:00+01:00"', '"24:00:01Z"', '12', '"12-34-56Z"'],
    [named('time.ZonedTime'), '"10:00:00"', '10', '"10:00:00Zx"'],
    [named('time.MicroTimestamp'), '1.5', '-9223372036853775810', '-', 'null'],
    [named('time.NanoTimestamp'), '1772282096123456001'],
    [
      named('time.IsoTimestamp'),
      '1772282096123456',
      '"2026-02-28"',
      '"2026-02-28T12:34:56.1234567Z"',
      '"2026-02-28T12:34Z"',
    ],
    [named('time.Interval'), '"1 day"', '"P"', '"P1"', '"PT1.5H"', '"PT0.0000001S"', '"P1Y1T"', '5'],
    [named('data.Bits', { parameters: { length: '2' } }), '"BQ=="', '"*"', '5'],
    [named('data.DoubleVector'), '[1,"x"]', '{}', '[1'],
    [named('data.SparseDoubleVector'), '{"dimensions":2}', '{"dimensions":2,"vector":[[1]]}', '[]'],
    [named('data.geometry.Point'), '{"x":1.5}', '[]', '{"x":"","y":1}'],
    [named('data.geometry.Geometry'), '{"wkb":5}', '{"wkb":"AQ==","extensions":{"type":"box"}}'],
    [{ type: 'boolean' }, '1', '"yes"'],
    [{ type: 'float' }, '"1.5"', '"x"', '1x'],
    [{ type: 'bytes' }, '"A"', '5', '[1]'],
    [{ type: 'map' }, '{"a":1}', '[]', '{"a"}', '{"a":"b"'],
    [
      { type: 'array', items: { type: 'string' } },
      '{}',
      '[1',
      '["\\ud800"]',
      '["[Ljava.lang.String;@5eeaf62e"]',
      '["\\x"]',
    ],
  ];
  for (const [wire, ...values] of refused) {
    const column = connectColumn(wire, 'c');
    for (const value of values)
      assert.match(textOf(column, value), /^refused: /, `${JSON.stringify(wire)} ${value}`);
  }
});

test('arrays in arrays are dimensions, which String alone holds', () => {
  const column = connectColumn({ type: 'array', items: { type: 'int32' } }, 'c');
  assert.equal(textOf(column, '[[1,2],[3,null]]'), '{{1,2},{3,NULL}}');
  const codec = codecFor(column, 'Array(Nullable(Int32))', 'fail');
  assert.match(run(codec.json!, '[[1,2]]'), /more than one dimension/);
  assert.match(run(codecFor(column, 'Array(Int32)', 'fail').json!, '[1,null]'), /has a NULL/);
});

test('a type that Debezium does not know is text in binary form', () => {
  const lsn: PgType = { oid: 3220, name: 'pg_lsn', schema: 'pg_catalog', kind: 'base' };
  const column: Column = { name: 'c', type: lsn, typmod: -1, notNull: false, wire: { type: 'bytes' } };
  assert.equal(textOf(column, `"${Buffer.from('16/B374D848').toString('base64')}"`), '16/B374D848');
  const box = { ...column, type: { ...lsn, name: 'box' } };
  assert.equal(
    textOf(box, `"${Buffer.from('(2.0,2.0),(1.0E300,NaN)').toString('base64')}"`),
    '(2,2),(1e+300,NaN)',
  );
});
