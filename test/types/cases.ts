import fc from 'fast-check';

/** One PostgreSQL type, values of it, and what ClickHouse must say of them. */
export interface TypeCase {
  /** Ids of the catalogue in design/correctness.md. */
  ids?: string;
  /** In SQL. */
  type: string;
  /** SQL before the first use. */
  setup?: string;
  /** Values that are always tried. */
  values: readonly string[];
  /** More of them. */
  random?: fc.Arbitrary<string>;
  /** SQL that makes a value from the input `$`. */
  convert?: string;
  /** ClickHouse types besides the default one and String. */
  alsoAs?: readonly string[];
  /** Instead of these. */
  onlyAs?: readonly string[];
  /** SQL of what to compare in ClickHouse; by default the value as text. */
  read?: (clickHouseType: string) => string;
  /** What `read` gives for PostgreSQL's text; by default the same. Not asked for String. */
  shows?: (text: string, clickHouseType: string) => string;
  /** `false`: carried as text only. */
  binary?: false;
}

const int = (bits: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }).map(String);
const uint = (bits: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n }).map(String);
/** Digits of every length, so that each path through them is taken. */
const digits = (max: number): fc.Arbitrary<string> =>
  fc
    .integer({ min: 1, max })
    .chain(length =>
      fc.bigInt({ min: 0n, max: 10n ** BigInt(length) - 1n }).map(n => String(n).padStart(length, '0')),
    );
const whole = (maxDigits: number): fc.Arbitrary<string> =>
  digits(maxDigits).map(text => String(BigInt(text)));
const signed = (magnitude: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(fc.constantFrom('', '-'), magnitude).map(parts => parts.join(''));
const decimal = (before: number, after: number): fc.Arbitrary<string> => {
  const integer = before === 0 ? fc.constant('0') : whole(before);
  return signed(after === 0 ? integer : fc.tuple(integer, digits(after)).map(parts => parts.join('.')));
};
const text = fc
  .string({ unit: 'binary', maxLength: 40 })
  .map(value => value.replaceAll('\0', '').toWellFormed());

/** A decimal without what does not change its value. */
const plainNumber = (shown: string): string => {
  const number = shown.includes('.') ? shown.replace(/\.?0+$/, '') : shown;
  return number === '-0' ? '0' : number;
};

const float8 = fc
  .oneof(
    fc.double({ noNaN: true }),
    fc
      .bigInt({ min: 0n, max: 2n ** 64n - 1n })
      .map(bits => new Float64Array(BigUint64Array.of(bits).buffer)[0]!),
    // Where shortest digits can lie halfway between two floats.
    fc
      .tuple(fc.integer({ min: 1, max: 2 ** 32 }), fc.integer({ min: 40, max: 90 }))
      .map(([m, e]) => m * 2 ** e),
    fc
      .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 12, max: 40 }))
      .map(([m, e]) => m * 10 ** e),
    fc.integer({ min: -1074, max: 1023 }).map(e => 2 ** e),
    fc.tuple(fc.integer(), fc.integer({ min: 0, max: 6 })).map(([m, e]) => m / 10 ** e),
  )
  .map(value => (Number.isNaN(value) ? 'NaN' : Object.is(value, -0) ? '-0' : String(value)));
const float4 = fc
  .oneof(
    fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(bits => new Float32Array(Uint32Array.of(bits).buffer)[0]!),
    fc.integer({ min: -149, max: 127 }).map(e => 2 ** e),
    fc
      .tuple(fc.integer({ min: 1, max: 99999 }), fc.integer({ min: -20, max: 20 }))
      .map(([m, e]) => Math.fround(m * 10 ** e)),
    fc.integer({ min: 2 ** 23, max: 2 ** 27 }).map(Math.fround),
  )
  .map(value => (Number.isNaN(value) ? 'NaN' : Object.is(value, -0) ? '-0' : String(value)));
/** Where floats lie closer below than above. */
const powersOfTwo = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String(2 ** (from + i)));

/** Bit for bit. */
const readsFloat = (type: string): string => `toString(reinterpretAsUInt${type.includes('32') ? 32 : 64}(v))`;
const bitsOf = (value: number, type: string): string =>
  type.includes('32')
    ? String(new Uint32Array(Float32Array.of(value).buffer)[0])
    : String(new BigUint64Array(Float64Array.of(value).buffer)[0]);
const showsFloat4 = (shown: string, type: string): string => bitsOf(Math.fround(Number(shown)), type);
const showsFloat8 = (shown: string, type: string): string => bitsOf(Number(shown), type);

/** Microseconds since 2000 that any timestamp may be. */
const micros = fc.oneof(
  fc.bigInt({ min: -63082281600000000n, max: 252455615999999999n }),
  fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }),
  fc.bigInt({ min: -211813488000000000n, max: 9223371331199999999n }),
);
const instants = micros.map(String);
/** Microseconds since 2000, or any text. */
const fromMicros = (type: string): string =>
  `CASE WHEN $ ~ '^-?[0-9]+\\Z' THEN '2000-01-01'::${type} + ($ || ' microseconds')::interval ELSE $::${type} END`;
/** Both sides of what DateTime64(6), DateTime64(9) and DateTime hold, and of the epochs. */
const boundaryInstants = [
  '-63082281600000000',
  '-63082281600000001',
  '252455615999999999',
  '252455616000000000',
  '-10168056836000000',
  '-10168056836000001',
  '8276687235999999',
  '8276687236000000',
  '-946684800000000',
  '-946684800000001',
  '3348282495000000',
  '3348282496000000',
  '0',
  '1',
  '-1',
  '1000000',
  '1230000',
  'infinity',
  '-infinity',
  '0044-03-15 00:00:00 BC',
  '4713-11-24 00:00:00 BC',
  '294276-12-31 23:59:59.999999',
];
const timestampTargets = [
  "DateTime64(3, 'UTC')",
  "DateTime64(9, 'Europe/Berlin')",
  "DateTime64(0, 'UTC')",
  "DateTime('Asia/Tokyo')",
];
const readsInstant = (): string => `toString(toTimeZone(v, 'UTC'))`;
const withFraction = (shown: string, type: string): string => {
  const precision = Number(/64\((\d)/.exec(type)?.[1] ?? 0);
  const [whole, fraction = ''] = shown.split('.');
  return precision === 0 ? whole! : `${whole}.${fraction.padEnd(precision, '0')}`;
};
const showsInstant = (shown: string, type: string): string => withFraction(shown.replace('+00', ''), type);

const hour = fc.integer({ min: 0, max: 86399999999 });
const time = hour.map(value => {
  const seconds = Math.floor(value / 1e6);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${parts.map(part => String(part).padStart(2, '0')).join(':')}.${String(value % 1e6).padStart(6, '0')}`;
});

const word = fc.oneof(
  fc.constantFrom(
    '',
    'NULL',
    'null',
    'a',
    'a b',
    '"',
    '\\',
    '{',
    '}',
    ',',
    '(',
    ')',
    '[',
    ';',
    '\t',
    "'",
    'é',
    '\u{1F600}',
    '\v',
  ),
  text,
);
const quoted = (value: string): string => `"${value.replace(/["\\]/g, '\\$&')}"`;
const arrayOf = (element: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .array(fc.option(element.map(quoted), { nil: 'NULL' }), { maxLength: 6 })
    .map(elements => `{${elements.join(',')}}`);
const longArray = `{${Array.from({ length: 300 }, (_, i) => i).join(',')}}`;

export const typeCases: readonly TypeCase[] = [
  {
    type: 'int2',
    ids: 'T53',
    values: ['0', '1', '-1', '32767', '-32768'],
    random: int(16),
    alsoAs: ['Int32', 'Int64', 'Int128', 'Int256', 'Decimal(5, 0)'],
  },
  {
    type: 'int4',
    values: ['0', '1', '-1', '2147483647', '-2147483648'],
    random: int(32),
    alsoAs: ['Int64', 'Int128', 'Int256', 'Decimal(12, 2)'],
    shows: plainNumber,
  },
  {
    type: 'int8',
    ids: 'T10',
    values: [
      '0',
      '-1',
      '9223372036854775807',
      '-9223372036854775808',
      '9007199254740993',
      '-9007199254740993',
      '999999999999999',
      '1000000000000000',
      '4294967296',
      '-4294967296',
    ],
    random: fc.oneof(int(64), signed(whole(18))),
    alsoAs: ['Int128', 'Int256', 'Decimal(19, 0)', 'Decimal(76, 3)'],
    shows: plainNumber,
  },
  {
    type: 'oid',
    ids: 'T12',
    values: ['0', '4294967295'],
    random: uint(32),
    alsoAs: ['UInt64', 'Int64', 'UInt256'],
  },
  { type: 'xid', values: ['0', '4294967295'], random: uint(32), convert: '$::text::xid' },
  { type: 'cid', values: ['0', '4294967295'], convert: '$::text::cid' },
  {
    type: 'xid8',
    ids: 'T12',
    values: ['0', '18446744073709551615', '9223372036854775808'],
    random: fc.oneof(uint(64), whole(19)),
    convert: '$::text::xid8',
    alsoAs: ['UInt128', 'Int128'],
  },
  { type: 'pg_lsn', ids: 'T12', values: ['0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848'] },
  {
    type: 'float4',
    ids: 'T08',
    values: [
      'NaN',
      'Infinity',
      '-Infinity',
      '0',
      '-0',
      '1e-45',
      '3.4028235e38',
      '1.1754944e-38',
      '16777216',
      '33554432',
      '1e6',
      '999999',
      '0.0001',
      '0.00001',
      ...powersOfTwo(-149, 127),
    ],
    random: float4,
    alsoAs: ['Float64'],
    read: readsFloat,
    shows: showsFloat4,
  },
  {
    type: 'float8',
    ids: 'T08',
    values: [
      'NaN',
      'Infinity',
      '-Infinity',
      '0',
      '-0',
      '5e-324',
      '1.7976931348623157e308',
      '2.2250738585072014e-308',
      '9007199254740993',
      '1e15',
      '999999999999999',
      '123456789012345678',
      '9.5367431640625e-7',
      '0.0001',
      '0.00001',
      '0.1',
      '1e23',
      '9007199254740996',
      '2e22',
      '5e-5',
      // Their shortest digits in JavaScript lie halfway between two doubles.
      '18014398509481990',
      '36028797018963980',
      '667238982825048000',
      ...powersOfTwo(-1074, 1023),
    ],
    random: float8,
    read: readsFloat,
    shows: showsFloat8,
  },
  {
    type: 'numeric(12,2)',
    values: ['0', '-0.01', '9999999999.99', '-9999999999.99', '0.10', '1234567'],
    random: decimal(10, 2),
    alsoAs: ['Decimal(38, 10)', 'Decimal(18, 2)'],
    shows: plainNumber,
  },
  {
    type: 'numeric(9,4)',
    values: ['0', '99999.9999', '-0.0001', '10000'],
    random: decimal(5, 4),
    shows: plainNumber,
  },
  {
    type: 'numeric(18,0)',
    values: ['0', '999999999999999999', '-999999999999999999'],
    random: decimal(18, 0),
    shows: plainNumber,
  },
  {
    type: 'numeric(38,19)',
    values: ['0', '9999999999999999999.9999999999999999999', '-0.0000000000000000001'],
    random: decimal(19, 19),
    shows: plainNumber,
  },
  {
    type: 'numeric(76,38)',
    ids: 'T06',
    values: ['0', `${'9'.repeat(38)}.${'9'.repeat(38)}`, `-${'9'.repeat(38)}.${'9'.repeat(38)}`, '1'],
    random: decimal(38, 38),
    shows: plainNumber,
  },
  { type: 'numeric(78,0)', ids: 'T06', values: ['0', '9'.repeat(78)], random: decimal(78, 0) },
  {
    type: 'numeric(3,-2)',
    ids: 'T04',
    values: ['12345', '0', '-99949', '49'],
    random: decimal(4, 0),
    shows: plainNumber,
  },
  { type: 'numeric(3,5)', values: ['0.00999', '-0.00001', '0'], shows: plainNumber },
  {
    type: 'numeric',
    ids: 'T01 T02',
    values: [
      '1.10',
      'NaN',
      'Infinity',
      '-Infinity',
      '0',
      '0.000',
      '1e100',
      '-1e-100',
      '10000',
      '100000000',
      '0.00010000',
    ],
    random: fc.oneof(decimal(60, 40), decimal(0, 30), decimal(30, 0), decimal(10, 4), decimal(5, 2)),
    alsoAs: ['Decimal(7, 2)', 'Decimal(18, 3)', 'Decimal(38, 9)', 'Decimal(76, 40)'],
    shows: plainNumber,
  },
  {
    type: 'bool',
    values: ['t', 'f'],
    alsoAs: ['UInt8'],
    shows: (shown, type) =>
      type === 'UInt8' ? (shown === 't' ? '1' : '0') : shown === 't' ? 'true' : 'false',
  },
  {
    type: 'uuid',
    values: [
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '00112233-4455-6677-8899-aabbccddeeff',
    ],
    random: fc.uuid(),
  },
  {
    type: 'text',
    ids: 'T35',
    values: ['', 'x', 'é\u{1F600}', 'a\tb\nc\\d', 'x'.repeat(127), 'x'.repeat(128), 'x'.repeat(20000)],
    random: text,
    alsoAs: ['LowCardinality(String)'],
  },
  { type: 'varchar(50)', values: ['', ' a '], random: text },
  { type: 'char(5)', ids: 'T55', values: ['ab', '', 'abcde', 'é'] },
  { type: 'name', values: ['', 'abc', 'x'.repeat(63)] },
  { type: '"char"', values: ['', 'a', '\\200', '\\377'] },
  {
    type: 'xml',
    values: [
      '<a>b</a>',
      'text',
      '<?xml version="1.0"?><a/>',
      '<a b="&lt;"/>',
      '<?xml version="1.1" standalone="yes"?><a/>',
    ],
  },
  {
    type: 'mood',
    ids: 'T38',
    setup: `CREATE TYPE mood AS ENUM ('sad', 'ok', '', 'a b', 'é')`,
    values: ['sad', 'ok', '', 'a b', 'é'],
  },
  {
    type: 'bytea',
    values: ['\\x', '\\x00', '\\xdeadbeef', `\\x${'00ff'.repeat(100)}`],
    random: fc.uint8Array({ maxLength: 200 }).map(bytes => `\\x${Buffer.from(bytes).toString('hex')}`),
    read: () => `'\\\\x' || lower(hex(v))`,
  },
  {
    type: 'json',
    ids: 'T31 T33 T35',
    values: ['{"b":1, "a":2,"a":3}', ' {"x" : 1.10}', 'null', '[1]', '"s"', '123', '"\\u0000"', '{"a":null}'],
    random: fc.json(),
  },
  {
    type: 'jsonb',
    ids: 'T31 T33',
    values: ['{"b":1, "a":2,"a":3}', '{"x":1.10}', 'null', '{"a":null}'],
    random: fc
      .json()
      .filter(
        value =>
          !value.includes('\\u0000') &&
          !/e\+?\d{3}/.test(value) &&
          Buffer.from(value).toString() === value &&
          JSON.stringify(JSON.parse(value)).isWellFormed() &&
          !/\\ud[89a-f]/i.test(value),
      ),
  },
  { type: 'jsonpath', values: ['$.a[*] ? (@ > 1)', 'strict $'] },
  {
    type: 'date',
    ids: 'T13 T15 T19',
    values: [
      '1899-12-31',
      '1900-01-01',
      '2299-12-31',
      '2300-01-01',
      '1969-12-31',
      '1970-01-01',
      '2000-02-29',
      '2149-06-06',
      '2149-06-07',
      '9999-12-31',
      '5874897-12-31',
      '0044-03-15 BC',
      '4713-11-24 BC',
      'infinity',
      '-infinity',
    ],
    random: fc
      .oneof(fc.integer({ min: -36524, max: 109571 }), fc.integer({ min: -2451545, max: 2145031948 }))
      .map(String),
    convert: `CASE WHEN $ ~ '^-?[0-9]+\\Z' THEN '2000-01-01'::date + $::int ELSE $::date END`,
    alsoAs: ['Date'],
  },
  {
    type: 'timestamp',
    ids: 'T17 T18 T19 T21',
    values: [
      ...boundaryInstants,
      '1582-10-10 12:00:00',
      '1500-01-01',
      '1800-01-01',
      '9999-12-31 23:59:59.999999',
    ],
    random: instants,
    convert: fromMicros('timestamp'),
    alsoAs: timestampTargets,
    read: readsInstant,
    shows: showsInstant,
  },
  {
    type: 'timestamptz',
    ids: 'T17 T18',
    values: boundaryInstants,
    random: instants,
    convert: fromMicros('timestamptz'),
    alsoAs: timestampTargets,
    read: readsInstant,
    shows: showsInstant,
  },
  {
    type: 'time',
    ids: 'T22',
    values: ['00:00:00', '24:00:00', '23:59:60', '23:59:59.999999', '12:34:56.7', '12:34:56.789'],
    random: time,
    alsoAs: ['Time64(3)', 'Time64(9)', 'Time64(0)'],
    shows: withFraction,
  },
  {
    type: 'timetz',
    ids: 'T22',
    values: ['00:00:00+00', '24:00:00-15:59:59', '12:34:56.7+05:30', '12:00-00:00:01', '01:02:03+15'],
    random: fc
      .tuple(time, fc.constantFrom('+00', '-08', '+05:45', '-00:30', '+13:00:07'))
      .map(parts => parts.join('')),
  },
  {
    type: 'interval',
    ids: 'T25',
    values: [
      '0',
      '178000000 years',
      '-178000000 years',
      '1 year -2 days +03:04:05.6',
      '-1 mon',
      '1 day -00:00:00.000001',
      '-1 year -2 mons +3 days',
      '-5 days 4:00',
      'infinity',
      '-infinity',
      '2147483647 days',
      '-1 day -1 second',
      '9223372036854775807 microseconds',
      '-9223372036854775808 microseconds',
      '1 mon',
      '-0.5 seconds',
      '11 mons',
      '-13 mons 1 day',
    ],
    random: fc
      .tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -3, max: 3 }), int(45))
      .map(([months, days, us]) => `${months} mons ${days} days ${us} microseconds`),
  },
  {
    type: 'money',
    ids: 'T47',
    values: ['0', '-92233720368547758.08', '92233720368547758.07', '-0.01', '1234.56', '999.99', '1000'],
    random: decimal(16, 2),
    shows: shown => plainNumber(shown.replace(/[$,]/g, '')),
    alsoAs: ['Decimal(38, 4)'],
  },
  {
    type: 'inet',
    ids: 'T45',
    values: [
      '1.2.3.4',
      '1.2.3.4/24',
      '0.0.0.0/0',
      '::',
      '::1',
      '::1.2.3.4',
      '::ffff:1.2.3.4',
      '::ffff:0:1.2.3.4',
      '1::',
      '1:0:0:2::3',
      '2001:db8::1/64',
      '::/0',
      '::2',
      '1:2:3:4:5:6:7:8',
      '1:0:3:4:5:6:7:8',
      '0:0:0:0:0:0:1:0',
    ],
    random: fc.oneof(
      fc.ipV4(),
      fc.ipV6().map(address => address.split('%')[0]!),
      fc
        .array(fc.constantFrom('0', '0', '1', 'ffff', 'ab'), { minLength: 8, maxLength: 8 })
        .map(words => words.join(':')),
    ),
  },
  { type: 'cidr', ids: 'T45', values: ['10.0.0.0/8', '1.2.3.4/32', '::/0', '2001:db8::/32', '::1/128'] },
  { type: 'macaddr', values: ['08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'] },
  { type: 'macaddr8', ids: 'T45', values: ['08:00:2b:01:02:03:04:05'] },
  { type: 'bit(10)', values: ['1010101010', '0000000001'] },
  {
    type: 'varbit',
    values: ['', '1', '101', '11111111', '100000001'],
    random: fc.stringMatching(/^[01]{0,70}$/),
  },
  { type: 'tid', values: ['(0,1)', '(4294967295,65535)'] },
  { type: 'int2vector', values: ['', '1', '1 -2 3'] },
  { type: 'oidvector', values: ['', '1', '1 4294967295'] },
  { type: 'int4range', ids: 'T42', values: ['empty', '[1,5]', '(,)', '[1,)', '(,5)'] },
  { type: 'int8range', values: ['[-9223372036854775808,9223372036854775807)'] },
  { type: 'numrange', ids: 'T42', values: ['[1.10,2.00]', '(-Infinity,NaN]'] },
  {
    type: 'tsrange',
    ids: 'T42',
    values: ['["2020-01-01 00:00:00","2021-01-01 00:00:00.5")', '[-infinity,infinity]'],
  },
  { type: 'tstzrange', values: ['[2020-01-01,2021-01-01)', '(,)'] },
  { type: 'daterange', values: ['[2020-01-01,2021-01-01)', '[0044-03-15 BC,infinity)'] },
  { type: 'int4multirange', ids: 'T42', values: ['{}', '{[1,3),[5,7)}', '{(,)}'] },
  {
    type: 'float8range',
    ids: 'T42',
    setup: 'CREATE TYPE float8range AS RANGE (subtype = float8)',
    values: ['[0.1,1e15]', '[-0,5e-324)'],
  },
  {
    type: 'textrange',
    ids: 'T42',
    setup: 'CREATE TYPE textrange AS RANGE (subtype = text, collation = "C")',
    values: ['["",a]', '["a\\"\\\\b","c,d)"]', '("a b",zé]', '["\u00a0",)'],
  },
  {
    type: 'price',
    setup: 'CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0)',
    values: ['1.5', '99999999.99'],
    shows: plainNumber,
  },
  { type: 'citext', ids: 'T44', setup: 'CREATE EXTENSION citext', values: ['', 'Ab'], random: text },
  { type: 'ltree', ids: 'T44', setup: 'CREATE EXTENSION ltree', values: ['a.b.c', ''] },
  { type: 'lquery', values: ['*.a|b.*{1,2}'] },
  { type: 'ltxtquery', values: ['a & b*@'] },
  { type: 'cube', ids: 'T44', setup: 'CREATE EXTENSION cube', values: ['(1, 2),(3, 4)'], binary: false },
  { type: 'point', ids: 'T49', values: ['(NaN,1e300)', '(0.1,-0)'], binary: false },
  { type: 'path', ids: 'T49', values: ['((0,0),(1,1))', '[(0,0),(1,1)]'], binary: false },
  { type: 'circle', ids: 'T49', values: ['<(1,2),3.3333333333333335>'], binary: false },
  { type: 'tsvector', values: [`'a':1A,2 'b c':3`], binary: false },
  { type: 'pair', setup: 'CREATE TYPE pair AS (a int, b text)', values: ['(1,"x y")', '(,)'], binary: false },
  { type: 'box[]', values: ['{(1,1),(0,0);(2,2),(1,1)}'], binary: false },
  { type: 'regclass', values: ['pg_class'], binary: false },
];

export const arrayCases: readonly TypeCase[] = [
  {
    type: 'text[]',
    ids: 'T28',
    values: ['{}', '{NULL,"NULL",null,"null",""}', '{"a\\"b","c\\\\d","{}",","}', `{${'x'.repeat(200)}}`],
    random: arrayOf(word),
  },
  {
    type: 'int4[]',
    ids: 'T27 T29',
    values: ['{}', '{1,NULL,-1}', longArray],
    random: arrayOf(int(32)),
    alsoAs: ['Array(Nullable(Int64))'],
  },
  { type: 'int8[]', values: ['{9223372036854775807}'] },
  {
    type: 'numeric(12,2)[]',
    values: ['{1.5,NULL,-0.01}'],
    random: arrayOf(decimal(10, 2)),
    shows: plainNumber,
  },
  { type: 'uuid[]', values: ['{}'], random: arrayOf(fc.uuid()) },
  {
    type: 'bool[]',
    values: ['{t,f,NULL}'],
    shows: shown => (shown === 't' || shown === 'true' ? 'true' : 'false'),
  },
  { type: 'date[]', values: ['{2020-01-01,NULL}'] },
  { type: 'mood[]', values: ['{sad,NULL,"","a b"}'] },
  { type: 'jsonb[]', values: ['{"{\\"a\\": \\"b\\"}",NULL}'] },
  { type: 'citext[]', values: ['{"A b"}'] },
  { type: 'price[]', values: ['{1.50,NULL}'], shows: plainNumber },
  { type: 'int4range[]', values: ['{"[1,3)",empty}'] },
  { type: 'interval[]', values: ['{"1 day","-1 day +01:00:00",NULL}'] },
  { type: 'float4[]', values: ['{1.5,NaN,-0}'], read: readsFloat, shows: showsFloat4 },
  {
    type: 'timestamptz[]',
    values: ['{"2020-01-01 00:00:00.5+00",NULL}'],
    read: readsInstant,
    shows: showsInstant,
  },
  {
    type: 'tags',
    setup: 'CREATE DOMAIN tags AS varchar(20)[]',
    values: ['{}', '{a,"b c",NULL}'],
  },
  {
    type: 'prices',
    setup: 'CREATE DOMAIN prices AS numeric(12,2)[]',
    values: ['{1.5,NULL}'],
    shows: plainNumber,
  },
  {
    type: 'int4[]',
    ids: 'T27',
    values: ['{{1,2},{3,4}}', '{5}', '[0:1]={1,2}', '[-1:0][2:3]={{1,NULL},{3,4}}', '{{{7}}}'],
    onlyAs: ['String'],
  },
  { type: 'text[]', ids: 'T27', values: ['{{"a b",NULL},{"\\"",""}}'], onlyAs: ['String'] },
];
