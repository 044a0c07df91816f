import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClickHouseType } from './clickhouse-type.ts';
import { floatForm, jsonForm } from './scalar-forms.ts';

test('ClickHouse types are taken apart', () => {
  const cases: [string, string, string[]][] = [
    ['Int32', 'Int32', []],
    ['Nullable(Decimal(12, 2))', 'Decimal', ['12', '2']],
    ['Decimal64(3)', 'Decimal', ['18', '3']],
    ['Decimal(5)', 'Decimal', ['5', '0']],
    ['LowCardinality(Nullable(String))', 'String', []],
    ["DateTime64(6, 'UTC')", 'DateTime64', ['6', "'UTC'"]],
    ['Map(String, Nullable(String))', 'Map', ['String', 'Nullable(String)']],
    [`Enum8('a, (\\'' = 1, 'b' = 2)`, 'Enum8', [`'a, (\\'' = 1`, "'b' = 2"]],
    ['Array(Array(Nullable(Int8)))', 'Array', ['Array(Nullable(Int8))']],
  ];
  for (const [type, name, args] of cases) assert.deepEqual(parseClickHouseType(type), { name, args }, type);
});

test('JSON is equal by what ClickHouse keeps of it', () => {
  const equal = (a: string, b: string) => jsonForm('jsonb').equal!(a, b);
  assert.ok(
    equal('{"b": 1.0, "a": {"x": [1, {"n": null}], "n": null, "e": {}}}', '{"a":{"x":[1,{}]},"b":1}'),
  );
  assert.ok(equal('{"a.b": 1}', '{"a":{"b":1}}'));
  assert.ok(!equal('{"a": 9007199254740993}', '{"a":9007199254740992}'));
  assert.ok(!equal('{"a": "1"}', '{"a":1}'));
  assert.ok(!equal('{"a": [1, null]}', '{"a":[1]}'));
  assert.ok(!equal('{"a": 1}', '{}'));
});

test('the bits of a float are shown as a number', () => {
  assert.equal(floatForm.readable!('8000000000000000'), '-0');
  assert.equal(floatForm.readable!('3fb999999999999a'), '0.1');
  assert.equal(floatForm.readable!('NaN'), 'NaN');
});
