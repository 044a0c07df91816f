import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { fullType, layoutOf, parseType, splitNullable } from './clickhouse-type.ts';

test('types are taken apart as system.columns writes them', () => {
  assert.deepEqual(parseType('Decimal(12, 2)'), { name: 'Decimal', args: ['12', '2'] });
  assert.deepEqual(parseType('Decimal64(3)'), { name: 'Decimal', args: ['18', '3'] });
  assert.deepEqual(parseType('Decimal(9)'), { name: 'Decimal', args: ['9', '0'] });
  assert.deepEqual(parseType("DateTime64(6, 'UTC')"), { name: 'DateTime64', args: ['6', "'UTC'"] });
  assert.deepEqual(parseType('Map(String, Array(Nullable(Decimal(3, 1))))').args, [
    'String',
    'Array(Nullable(Decimal(3, 1)))',
  ]);
  assert.deepEqual(parseType("Enum8('a,(' = 1, 'it\\'s' = 2)").args, ["'a,(' = 1", "'it\\'s' = 2"]);
  assert.deepEqual(parseType('String'), { name: 'String', args: [] });
});

test('Nullable stands inside LowCardinality and never around Array and Map', () => {
  for (const [type, nullable, canBeNullable, full] of [
    ['Int32', true, true, 'Nullable(Int32)'],
    ['Int32', false, true, 'Int32'],
    ['LowCardinality(String)', true, true, 'LowCardinality(Nullable(String))'],
    ['Array(Nullable(Int32))', true, false, 'Array(Nullable(Int32))'],
  ] as const) {
    assert.equal(fullType(type, canBeNullable, nullable), full);
    assert.deepEqual(splitNullable(full), { type, nullable: nullable && canBeNullable });
  }
});

test('defaults have the form of their type, and skip leads behind them', () => {
  const lengths: Record<string, number> = {
    Bool: 1,
    Date: 2,
    'Decimal(9, 0)': 4,
    'Decimal(10, 0)': 8,
    'Decimal(38, 2)': 16,
    'Decimal(39, 2)': 32,
    UUID: 16,
    "DateTime64(6, 'UTC')": 8,
    'LowCardinality(String)': 1,
    JSON: 3,
    'Array(Nullable(Int32))': 1,
    'Map(String, Nullable(String))': 1,
  };
  for (const [type, length] of Object.entries(lengths)) {
    const layout = layoutOf(type)!;
    const out = new ByteWriter(1);
    layout.writeDefault(out);
    assert.equal(out.pos, length, type);
    assert.equal(layout.skip(out.written(), 0), length, type);
  }
});

test('skip walks through nested values', () => {
  const nested = layoutOf('Array(Array(Nullable(String)))')!;
  const value = Buffer.from([2, 2, 0, 1, 0x61, 1, 0]);
  assert.equal(nested.skip(Buffer.concat([Buffer.from([9]), value, Buffer.from([9])]), 1), 1 + value.length);
  const map = layoutOf('Map(String, Nullable(Int32))')!;
  assert.equal(map.skip(Buffer.from([2, 1, 0x6b, 1, 1, 0x6c, 0, 1, 0, 0, 0, 7]), 0), 11);
  const long = Buffer.concat([Buffer.from([0xac, 0x02]), Buffer.alloc(300), Buffer.from([7])]);
  assert.equal(layoutOf('String')!.skip(long, 0), 302);
  assert.equal(layoutOf('FixedString(3)'), undefined);
  assert.equal(layoutOf('Array(AggregateFunction(sum, Int32))'), undefined);
});
