import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../../../core/byte-writer.ts';
import { CdcError } from '../../../../core/errors.ts';
import type { Column, PgType } from '../../../../core/relation.ts';
import { type Encode, InvalidValue } from '../codec.ts';
import { codecFor } from '../registry.ts';
import { columnFromClickHouse, connectColumn } from './assumed-columns.ts';
import { type ConnectorModes, withConnectorModes } from './connector-modes.ts';

const profile: ConnectorModes = {
  decimals: 'string',
  times: 'isostring',
  binary: 'base64',
  intervals: 'string',
};

function run(encode: Encode, value: string): string {
  const src = Buffer.from(value);
  const out = new ByteWriter(1);
  try {
    encode(src, 0, src.length, out);
  } catch (error) {
    if (error instanceof InvalidValue) return `refused: ${error.message}`;
    throw error;
  }
  return out.written().toString('latin1');
}

/** RowBinary of a string (in quotes) or any other JSON. */
function encode(column: Column, type: string, value: string): string {
  const codec = codecFor(column, type, 'fail');
  return value.startsWith('"') ? run(codec.text, JSON.parse(value)) : run(codec.json!, value);
}

function column(name: string, typmod = -1): Column {
  const type: PgType = { oid: 20, name, schema: 'pg_catalog', kind: 'base' };
  return { name: 'c', type, typmod, notNull: false, wire: {} };
}

function textOf(from: Column, modes: Partial<ConnectorModes>, value: string): string {
  const { toPostgresText } = codecFor(withConnectorModes(from, { ...profile, ...modes }), 'String', 'fail');
  return value.startsWith('"')
    ? run(toPostgresText!.text, JSON.parse(value))
    : run(toPostgresText!.json, value);
}

const numeric = ((12 << 16) | 2) + 4;

test('a value without schema that contradicts the settings is refused with the setting K20', () => {
  const refused: [Column, Partial<ConnectorModes>, string, string][] = [
    [column('numeric', numeric), {}, '"BBo="', 'kafka.connector.decimals is string'],
    [column('numeric', numeric), {}, '12.5', 'kafka.connector.decimals is string'],
    [column('numeric', numeric), { decimals: 'double' }, '"12.50"', 'kafka.connector.decimals is double'],
    [
      column('numeric', numeric),
      { decimals: 'double' },
      '1.2345678901234568E9',
      'kafka.connector.decimals is double',
    ],
    [column('numeric', numeric), { decimals: 'precise' }, '"12.50"', 'kafka.connector.decimals is precise'],
    [column('money'), {}, '"AeJA"', 'kafka.connector.decimals is string'],
    [column('timestamp'), {}, '1772282096123456', 'kafka.connector.times is isostring'],
    [
      column('timestamp'),
      { times: 'nanoseconds' },
      '1772282096123456',
      'kafka.connector.times is nanoseconds',
    ],
    [column('time'), {}, '86399999999', 'kafka.connector.times is isostring'],
    [column('time'), { times: 'connect' }, '86399999999', 'kafka.connector.times is connect'],
    [column('interval'), {}, '37091106789000', 'kafka.connector.intervals is string'],
    [column('bytea'), {}, '"00ff1"', 'kafka.connector.binary is base64'],
    [column('bytea'), { binary: 'hex' }, '"AP8Q"', 'kafka.connector.binary is hex'],
  ];
  for (const [from, modes, value, setting] of refused) {
    const found = textOf(from, modes, value);
    assert.match(found, /^refused: /, `${from.type.name} ${value}`);
    assert.ok(found.includes(setting), found);
  }
});

test('units of numbers without schema follow setting and precision K20', () => {
  const cases: [string, number, ConnectorModes['times'], string, string][] = [
    ['timestamp', -1, 'adaptive', '1772282096123456', '2026-02-28 12:34:56.123456'],
    ['timestamp', 3, 'adaptive', '1772282096123', '2026-02-28 12:34:56.123'],
    ['timestamp', 0, 'adaptive_time_microseconds', '1772282096000', '2026-02-28 12:34:56'],
    ['timestamp', 4, 'adaptive', '1772282096123400', '2026-02-28 12:34:56.1234'],
    ['timestamp', 3, 'microseconds', '1772282096123000', '2026-02-28 12:34:56.123'],
    ['timestamp', 3, 'nanoseconds', '1772282096123000000', '2026-02-28 12:34:56.123'],
    ['timestamp', 6, 'connect', '1772282096123', '2026-02-28 12:34:56.123'],
    ['time', -1, 'adaptive', '86399999999', '23:59:59.999999'],
    ['time', 3, 'adaptive', '86399999', '23:59:59.999'],
    ['time', 3, 'adaptive_time_microseconds', '86399999000', '23:59:59.999'],
    ['date', -1, 'adaptive', '20512', '2026-02-28'],
  ];
  for (const [name, typmod, times, value, expected] of cases)
    assert.equal(textOf(column(name, typmod), { times }, value), expected, `${name}(${typmod}) ${times}`);
});

test('what neither schema nor settings say is refused, not guessed', () => {
  const adaptive = { ...profile, times: 'adaptive', decimals: 'precise' } as const;
  const unit = columnFromClickHouse('c', 'DateTime64(3)', adaptive);
  assert.match(
    encode(unit, 'DateTime64(3)', '1772282096123'),
    /^refused: .*unit.*kafka.connector.times is adaptive.*postgres.url/,
  );
  assert.doesNotMatch(encode(unit, 'DateTime64(3)', '"2026-02-28T07:04:56.123Z"'), /^refused/);
  const scale = columnFromClickHouse('c', 'Decimal(12, 2)', adaptive);
  assert.match(
    encode(scale, 'Decimal(12, 2)', '"BBo="'),
    /^refused: .*scale.*kafka.connector.decimals is precise/,
  );
  assert.equal(encode(scale, 'Decimal(12, 2)', '{"scale":1,"value":"Cw=="}'), 'n\0\0\0\0\0\0\0');
  // Not completed by the settings.
  for (const [name, value] of [
    ['numeric', '"1234"'],
    ['timestamp', '1772282096123'],
    ['bytea', '"1234"'],
    ['interval', '1'],
    ['pg_lsn', '"1234"'],
  ] as const) {
    const { toPostgresText } = codecFor(column(name), 'String', 'fail');
    const found = value.startsWith('"')
      ? run(toPostgresText!.text, JSON.parse(value))
      : run(toPostgresText!.json, value);
    assert.match(found, /^refused/, `${name} ${value}`);
  }
});

test('a column as ClickHouse has it takes what such a column holds', () => {
  const cases: [string, string, string][] = [
    ['Int16', '-2', '\xfe\xff'],
    ['Int64', '9223372036854775807', '\xff\xff\xff\xff\xff\xff\xff\x7f'],
    ['Nullable(Int32)', '1', '\x01\0\0\0'],
    ['UInt32', '4294967295', '\xff\xff\xff\xff'],
    ['UInt64', '18446744073709551615', '\xff'.repeat(8)],
    ['UInt64', '"18446744073709551615"', '\xff'.repeat(8)],
    ['Bool', 'true', '\x01'],
    ['Float64', '1.0E0', '\0\0\0\0\0\0\xf0\x3f'],
    ['Float32', '"NaN"', '\0\0\xc0\x7f'],
    ['Decimal(9, 2)', '"1.50"', '\x96\0\0\0'],
    ['LowCardinality(String)', '"x"', '\x01x'],
    ['String', '"2026-02-28Z"', '\x0b2026-02-28Z'],
    ['String', '1.0E22', '\x061.0E22'],
    ['String', 'true', '\x04true'],
    ['String', '{"a": 1}', '\x08{"a": 1}'],
    ['String', '[1,null]', '\x08[1,null]'],
    ['Date32', '"1970-01-02Z"', '\x01\0\0\0'],
    ['Date', '1', '\x01\0'],
    ["DateTime64(6, 'UTC')", '"1970-01-01T00:00:00.000001Z"', '\x01\0\0\0\0\0\0\0'],
    ['DateTime', '"1970-01-01T00:00:01Z"', '\x01\0\0\0'],
    ['Time64(6)', '"00:00:00.000001Z"', '\x01\0\0\0\0\0\0\0'],
    ['JSON', '"{\\"a\\":1}"', '\x07{"a":1}'],
    ['Map(String, Nullable(String))', '{"a":null}', '\x01\x01a\x01'],
    ['Map(String, String)', '"{\\"a\\":\\"b\\"}"', '\x01\x01a\x01b'],
    ['Array(Nullable(Int16))', '[1,null]', '\x02\0\x01\0\x01'],
    ['Array(String)', '["a"]', '\x01\x01a'],
  ];
  for (const [type, value, expected] of cases) {
    const assumed = columnFromClickHouse('c', type, profile);
    assert.equal(assumed.notNull, !type.startsWith('Nullable'));
    assert.equal(encode(assumed, type, value), expected, `${value} into ${type}`);
  }
  assert.match(encode(columnFromClickHouse('c', 'Float64', profile), 'Float64', '"12.50"'), /^refused/);
  const bits = { ...profile, binary: 'hex' } as const;
  assert.equal(
    encode(columnFromClickHouse('c', 'UUID', bits), 'UUID', `"${'0'.repeat(8)}-0000-0000-0000-000000000001"`),
    '\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0',
  );
  for (const type of ['Int8', 'UInt16', 'FixedString(3)', "Enum8('a' = 1)", 'Tuple(Int32)', 'IPv4'])
    assert.throws(
      () => codecFor(columnFromClickHouse('c', type, profile), type, 'fail'),
      (error: unknown) => error instanceof CdcError && error.code === 'TYPE_MISMATCH',
      type,
    );
});

test('strings with a schema have binary data as the settings say', () => {
  const from = { ...column('bytea'), wire: { type: 'string' } };
  assert.equal(textOf(from, { binary: 'hex' }, '"00ff"'), '\\x00ff');
  assert.equal(textOf(from, { binary: 'base64-url-safe' }, '"-_8="'), '\\xfbff');
  const text = { ...column('text'), wire: { type: 'string' } };
  assert.equal(textOf(text, {}, '"00ff"'), '00ff');
  // Without the catalog it is text.
  assert.equal(textOf(connectColumn({ type: 'string' }, 'c'), { binary: 'hex' }, '"00ff"'), '00ff');
});

test('a domain comes as its base type', () => {
  const price: PgType = {
    oid: 20001,
    name: 'price',
    schema: 'public',
    kind: 'domain',
    inner: column('numeric').type,
    innerTypmod: numeric,
  };
  const from: Column = { ...column('price'), type: price };
  assert.equal(textOf(from, {}, '"1.50"'), '1.50');
  assert.equal(textOf(from, { decimals: 'precise' }, '"BBo="'), '10.50');
  assert.equal(textOf(from, { decimals: 'double' }, '10.5'), '10.50');
});
