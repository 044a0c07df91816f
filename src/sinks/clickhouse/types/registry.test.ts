import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { CdcError } from '../../../core/errors.ts';
import type { Column, PgType } from '../../../core/relation.ts';
import { InvalidValue, type OnInvalid } from './codec.ts';
import { codecFor, decodesBinary, defaultType, limitsOf } from './registry.ts';

function builtIn(name: string, more: Partial<PgType> = {}): PgType {
  return { oid: 20, name, schema: 'pg_catalog', kind: 'base', ...more };
}
function ofExtension(name: string, more: Partial<PgType> = {}): PgType {
  return { oid: 20000, name, schema: 'public', kind: 'base', ...more };
}
function arrayOf(inner: PgType): PgType {
  return { oid: 1000, name: `_${inner.name}`, schema: inner.schema, kind: 'array', inner };
}
function columnOf(type: PgType | string, typmod = -1): Column {
  return { name: 'c', type: typeof type === 'string' ? builtIn(type) : type, typmod, notNull: false };
}
/** numeric(precision, scale) */
function typmod(precision: number, scale: number): number {
  return ((precision << 16) | (scale & 0x7ff)) + 4;
}

interface Asked {
  type: PgType | string;
  typmod?: number;
  as?: string;
  onInvalid?: OnInvalid;
  form?: 'text' | 'binary';
}

/** RowBinary in hexadecimal of a value given as text, or as hexadecimal when it is binary. */
function encode(value: string, { type, typmod, as, onInvalid = 'fail', form = 'text' }: Asked): string {
  const column = columnOf(type, typmod);
  const codec = codecFor(column, as ?? defaultType(column, { time64: true }), onInvalid);
  const src = Buffer.from(value, form === 'text' ? 'utf8' : 'hex');
  const out = new ByteWriter(1);
  codec[form]!(src, 0, src.length, out);
  return out.written().toString('hex');
}

function refusal(value: string, asked: Asked): string {
  try {
    return `encoded as ${encode(value, asked)}`;
  } catch (error) {
    assert.ok(error instanceof InvalidValue, String(error));
    return error.message;
  }
}

test('golden bytes: PostgreSQL sends big-endian, RowBinary is little-endian', () => {
  const cases: [PgType | string, number, string, string, string][] = [
    ['int2', -1, '-2', 'fffe', 'feff'],
    ['int4', -1, '305419896', '12345678', '78563412'],
    ['int8', -1, '-9223372036854775808', '8000000000000000', '0000000000000080'],
    ['oid', -1, '4294967295', 'ffffffff', 'ffffffff'],
    ['bool', -1, 't', '01', '01'],
    ['float4', -1, '1.5', '3fc00000', '0000c03f'],
    ['float8', -1, '-0', '8000000000000000', '0000000000000080'],
    [
      'uuid',
      -1,
      '00112233-4455-6677-8899-aabbccddeeff',
      '00112233445566778899aabbccddeeff',
      '7766554433221100ffeeddccbbaa9988',
    ],
    ['text', -1, 'é', 'c3a9', '02c3a9'],
    ['bytea', -1, '\\x00ff', '00ff', '0200ff'],
    ['jsonb', -1, '{}', '017b7d', '027b7d'],
    ['date', -1, '2000-01-01', '00000000', 'cd2a0000'],
    ['timestamptz', -1, '1970-01-01 00:00:00.000001+00', 'fffca2fec4c82001', '0100000000000000'],
    ['timestamp', -1, '2000-01-01 00:00:00', '0000000000000000', '00e0373b015d0300'],
    ['time', -1, '24:00:00', '000000141dd76000', '0060d71d14000000'],
    // Two digits of base 10000, weight 0, negative, two after the point: 12, 5000.
    ['numeric', typmod(12, 2), '-12.50', '0002000040000002000c1388', '1efbffffffffffff'],
    ['money', -1, '-$0.01', 'ffffffffffffffff', 'ffffffffffffffffffffffffffffffff'],
    ['inet', -1, '1.2.3.4/24', '0218000401020304', '0a312e322e332e342f3234'],
    ['interval', -1, '1 mon', '00000000000000000000000000000001', '0531206d6f6e'],
  ];
  for (const [type, mod, text, binary, expected] of cases) {
    assert.equal(encode(text, { type, typmod: mod }), expected, `${type} as text`);
    assert.equal(encode(binary, { type, typmod: mod, form: 'binary' }), expected, `${type} as binary`);
  }
});

test('default types', () => {
  const types: [Column, string][] = [
    [columnOf('numeric'), 'String'],
    [columnOf('numeric', typmod(76, 38)), 'Decimal(76, 38)'],
    [columnOf('numeric', typmod(77, 0)), 'String'],
    [columnOf('numeric', 198658), 'Decimal(5, 0)'],
    [columnOf('numeric', typmod(3, 5)), 'Decimal(5, 5)'],
    [columnOf('numeric', typmod(1, -76)), 'String'],
    [columnOf('time'), 'Time64(6)'],
    [columnOf('xid8'), 'UInt64'],
    [columnOf('money'), 'Decimal(19, 2)'],
    [columnOf(ofExtension('mood', { kind: 'enum' })), 'LowCardinality(String)'],
    [columnOf(arrayOf(ofExtension('mood', { kind: 'enum' }))), 'Array(LowCardinality(Nullable(String)))'],
    [columnOf(arrayOf(builtIn('numeric')), typmod(12, 2)), 'Array(Nullable(Decimal(12, 2)))'],
    [columnOf(ofExtension('hstore')), 'Map(String, Nullable(String))'],
    [columnOf(ofExtension('vector')), 'Array(Float32)'],
    [
      columnOf(
        ofExtension('price', { kind: 'domain', inner: builtIn('numeric'), innerTypmod: typmod(9, 2) }),
      ),
      'Decimal(9, 2)',
    ],
    [columnOf(ofExtension('int4')), 'String'],
    [columnOf(ofExtension('pair', { kind: 'composite' })), 'String'],
    [columnOf('tsvector'), 'String'],
  ];
  for (const [column, type] of types)
    assert.equal(defaultType(column, { time64: true }), type, column.type.name);
  assert.equal(defaultType(columnOf('time'), { time64: false }), 'String');
});

test('what is not decoded in binary makes arrays of it undecodable too T44', () => {
  for (const type of [
    builtIn('point'),
    builtIn('tsvector'),
    ofExtension('cube'),
    ofExtension('pair', { kind: 'composite' }),
  ]) {
    assert.equal(decodesBinary(type), false, type.name);
    assert.equal(decodesBinary(arrayOf(type)), false, type.name);
    assert.equal(codecFor(columnOf(type), 'String', 'fail').binary, undefined);
  }
  assert.equal(decodesBinary(arrayOf(builtIn('text'))), true);
  assert.equal(decodesBinary(ofExtension('hstore')), true);
});

test('pairs that cannot be exact are refused by name', () => {
  const refused: [Column, string][] = [
    [columnOf('int8'), 'Int32'],
    [columnOf('int4'), 'UInt32'],
    [columnOf('int4'), 'Float64'],
    [columnOf('oid'), 'Int32'],
    [columnOf('xid8'), 'Int64'],
    [columnOf('float8'), 'Float32'],
    [columnOf('numeric'), 'Float64'],
    [columnOf('money'), 'Decimal(18, 2)'],
    [columnOf('text'), 'FixedString(5)'],
    [columnOf('uuid'), 'FixedString(36)'],
    [columnOf(ofExtension('mood', { kind: 'enum' })), "Enum8('a' = 1)"],
    [columnOf('timestamptz'), 'Date32'],
    [columnOf('interval'), 'IntervalDay'],
    [columnOf(arrayOf(builtIn('int8'))), 'Array(Int32)'],
    [columnOf('int4'), 'Array(Int32)'],
  ];
  for (const [column, type] of refused)
    assert.throws(
      () => codecFor(column, type, 'fail'),
      (error: unknown) =>
        error instanceof CdcError &&
        error.code === 'TYPE_MISMATCH' &&
        error.message.includes('"c"') &&
        error.message.includes(type),
      `${column.type.name} into ${type}`,
    );
});

test('values outside the type are refused, or clamped where that is asked T01 T13 T15 T18', () => {
  const date = { type: 'date' } as const;
  assert.equal(refusal('2300-01-01', date), 'date 2300-01-01 is outside Date32 (1900-01-01 to 2299-12-31)');
  assert.equal(refusal('7fffffff', { ...date, form: 'binary' }), refusal('infinity', date));
  assert.equal(encode('infinity', { ...date, onInvalid: 'clamp' }), encode('2299-12-31', date));
  assert.equal(encode('0044-03-15 BC', { ...date, onInvalid: 'clamp' }), encode('1900-01-01', date));
  assert.equal(
    encode('9999-12-31', { ...date, as: 'Date', onInvalid: 'clamp' }),
    encode('2149-06-06', { ...date, as: 'Date' }),
  );

  const timestamp = { type: 'timestamp' } as const;
  assert.match(
    refusal('-infinity', timestamp),
    /^timestamp -infinity is outside DateTime64\(6\) \(0001-01-01 00:00:00 to/,
  );
  assert.equal(
    encode('infinity', { ...timestamp, onInvalid: 'clamp' }),
    encode('9999-12-31 23:59:59.999999', timestamp),
  );
  assert.equal(
    encode('0001-12-31 00:00:00 BC', { ...timestamp, onInvalid: 'clamp' }),
    encode('0001-01-01 00:00:00', timestamp),
  );
  const millis = { ...timestamp, as: 'DateTime64(3)', onInvalid: 'clamp' } as const;
  assert.match(refusal('2020-01-01 00:00:00.0001', millis), /more than the 3 digits of a second/);

  const number = { type: 'numeric', as: 'Decimal(5, 2)' } as const;
  assert.equal(refusal('1000', number), '1000 is outside Decimal(5, 2) (-999.99 to 999.99)');
  assert.match(refusal('1.001', { ...number, onInvalid: 'clamp' }), /more than the 2 digits after the point/);
  assert.equal(encode('-Infinity', { ...number, onInvalid: 'clamp' }), encode('-999.99', number));
  assert.equal(encode('100000', { ...number, onInvalid: 'clamp' }), encode('999.99', number));
  assert.match(refusal('NaN', { ...number, onInvalid: 'clamp' }), /^NaN is outside/);
  assert.equal(refusal('00000000c0000000', { ...number, form: 'binary' }), refusal('NaN', number));
  assert.equal(
    encode('00000000f0000020', { ...number, form: 'binary', onInvalid: 'clamp' }),
    encode('-999.99', number),
  );
});

test('arrays of several dimensions, and NULLs where there is no room, are refused T27', () => {
  const integers = { type: arrayOf(builtIn('int4')) };
  assert.match(refusal('{{1,2},{3,4}}', integers), /^array \{\{1,2\},\{3,4\}\} has more than one dimension/);
  assert.match(refusal('[0:1]={1,2}', integers), /does not start at 1/);
  const twoByOne = '000000020000000000000017000000020000000100000001000000010000000400000001ffffffff';
  assert.equal(refusal(twoByOne, { ...integers, form: 'binary' }), refusal('{{1},{NULL}}', integers));
  assert.match(refusal('{1,NULL}', { ...integers, as: 'Array(Int32)' }), /has a NULL/);
  assert.equal(encode('{1}', { ...integers, as: 'Array(Int32)' }), '0101000000');
});

test('arrays of domains over arrays nest', () => {
  const row = ofExtension('row', { kind: 'domain', inner: arrayOf(builtIn('int2')) });
  assert.equal(defaultType(columnOf(arrayOf(row)), { time64: true }), 'Array(Array(Nullable(Int16)))');
  assert.equal(encode('{"{1,NULL}","{}"}', { type: arrayOf(row) }), '0202' + '000100' + '01' + '00');
});

test('vectors, as pgvector sends them', () => {
  const vector = { type: ofExtension('vector') };
  const expected = '030000803f00002040000040c0';
  assert.equal(encode('[1,2.5,-3]', vector), expected);
  assert.equal(encode('000300003f80000040200000c0400000', { ...vector, form: 'binary' }), expected);
  assert.equal(
    encode('000200003dcccccd7149f2ca', { ...vector, form: 'binary', as: 'String' }),
    '0b5b302e312c31652b33305d',
  );
});

test('money of another locale is read by its digits, of another unit refused T47', () => {
  const money = { type: 'money' } as const;
  for (const text of ['-$1,234.56', '($1,234.56)', '-1.234,56 €'])
    assert.equal(encode(text, money), encode('-1234.56', money));
  assert.match(refusal('¥1,234', money), /lc_monetary/);
});

test('a NaN of any sign and payload is one NaN T08', () => {
  for (const bits of ['fff8000000000000', '7ff0000000000001'])
    assert.equal(encode(bits, { type: 'float8', form: 'binary' }), encode('NaN', { type: 'float8' }));
  assert.equal(encode('ffc00001', { type: 'float4', form: 'binary' }), encode('NaN', { type: 'float4' }));
});

test('text that is none of the type is refused, not guessed', () => {
  for (const [type, text] of [
    ['int4', '1.5'],
    ['int4', '2147483648'],
    ['int8', '9223372036854775808'],
    ['xid8', '18446744073709551616'],
    ['int8', ''],
    ['uuid', '00112233-4455-6677-8899-aabbccddeefg'],
    ['bytea', 'abc'],
    ['date', '01/02/2020'],
    ['timestamptz', '2020-01-01'],
    ['float8', 'x'],
    ['bool', 'yes'],
    ['time', '1:2:3'],
  ] as const)
    assert.doesNotMatch(refusal(text, { type }), /^encoded/, `${type} ${text}`);
});

test('limits are literals of PostgreSQL', () => {
  assert.deepEqual(limitsOf(columnOf('date'), 'Nullable(Date32)'), {
    min: `'1900-01-01'`,
    max: `'2299-12-31'`,
    rejectsNaN: false,
    rejectsInfinity: true,
  });
  assert.equal(limitsOf(columnOf('timestamptz'), 'DateTime64(6)')!.max, `'9999-12-31 23:59:59.999999+00'`);
  assert.deepEqual(limitsOf(columnOf('numeric', typmod(12, 2)), 'Decimal(12, 2)'), {
    rejectsNaN: true,
    rejectsInfinity: false,
  });
  assert.deepEqual(limitsOf(columnOf('numeric'), 'Decimal(4, 4)'), {
    min: `'-0.9999'`,
    max: `'0.9999'`,
    scale: 4,
    rejectsNaN: true,
    rejectsInfinity: true,
  });
  assert.equal(limitsOf(columnOf('text'), 'String'), undefined);
  assert.equal(limitsOf(columnOf('date'), 'String'), undefined);
});
