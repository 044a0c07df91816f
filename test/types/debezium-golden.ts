import type { Wire } from '../../src/core/relation.ts';

export function named(name: string, more: Wire = {}): Wire {
  return { name: name.startsWith('org.') ? name : `io.debezium.${name}`, ...more };
}

const decimal = 'org.apache.kafka.connect.data.Decimal';
export const scaled = (scale: number, precision?: number): Wire =>
  named(decimal, {
    type: 'bytes',
    parameters: {
      scale: String(scale),
      ...(precision ? { 'connect.decimal.precision': String(precision) } : {}),
    },
  });

/** By semantic type: the ClickHouse type that its column gets, and PostgreSQL's text of values. */
export const golden: [wire: Wire, clickHouse: string, values: Record<string, string>][] = [
  [
    scaled(2, 12),
    'Decimal(12, 2)',
    { '"BBo="': '10.50', '"+y4="': '-12.34', '"AA=="': '0.00', '"/w=="': '-0.01', '12.5': '12.50' },
  ],
  [scaled(0, 5), 'Decimal(5, 0)', { '"MDk="': '12345' }],
  [scaled(2046, 3), 'Decimal(5, 0)', {}],
  [scaled(38, 76), 'Decimal(76, 38)', { '"gAAAAAAAAAA="': '-0.00000000000000000009223372036854775808' }],
  [scaled(2), 'Decimal(19, 2)', { '"AeJA"': '$1,234.56', '"/w=="': '-$0.01' }],
  [
    named('data.VariableScaleDecimal', { type: 'struct' }),
    'String',
    {
      '{"scale":9,"value":"XODppWAV/sWq36MorjmBFQ=="}': '123456789012345678901234567890.123456789',
      '{ "value": "/w==", "scale": 6 }': '-0.000001',
      '{"scale":0,"value":"AA=="}': '0',
      '{"scale":-2,"value":"ew=="}': '12300',
    },
  ],
  [named('org.apache.kafka.connect.data.Date', { type: 'int32' }), 'Date32', { '20512': '2026-02-28' }],
  [
    named('time.Date', { type: 'int32' }),
    'Date32',
    {
      '0': '1970-01-01',
      '-735160': '0044-03-15 BC',
      '2145042905': '5874897-12-31',
      '-2147472692': 'infinity',
      '-2147472691': '-infinity',
      '-622191234': 'infinity',
      '-625821272': '-infinity',
    },
  ],
  [
    named('time.IsoDate', { type: 'string' }),
    'Date32',
    {
      '"2026-02-28Z"': '2026-02-28',
      '"2026-02-28"': '2026-02-28',
      '"2026-02-28+05:30"': '2026-02-28',
      '"-0043-03-15Z"': '0044-03-15 BC',
      '"+10000-01-01Z"': '10000-01-01',
      '"-5877611-06-21Z"': 'infinity',
      '"-5877611-06-22Z"': '-infinity',
      '"+292278994-08-17Z"': 'infinity',
      '"+292269055-12-02Z"': '-infinity',
    },
  ],
  [
    named('org.apache.kafka.connect.data.Time', { type: 'int32' }),
    'Time64(6)',
    { '45296789': '12:34:56.789' },
  ],
  [named('time.Time', { type: 'int32' }), 'Time64(6)', { '86400000': '24:00:00', '7': '00:00:00.007' }],
  [
    named('time.MicroTime', { type: 'int64' }),
    'Time64(6)',
    { '86399999999': '23:59:59.999999', '1': '00:00:00.000001' },
  ],
  [named('time.NanoTime', { type: 'int64' }), 'Time64(6)', { '86399999999000': '23:59:59.999999' }],
  [
    named('time.IsoTime', { type: 'string' }),
    'Time64(6)',
    { '"23:59:59.999999Z"': '23:59:59.999999', '"00:00:00Z"': '00:00:00' },
  ],
  [
    named('time.ZonedTime', { type: 'string' }),
    'String',
    {
      '"10:00:00Z"': '10:00:00+00',
      '"10:00:00.5+05:30"': '10:00:00.5+05:30',
      '"10:00:00-08:00"': '10:00:00-08',
      '"24:00:00Z"': '24:00:00+00',
    },
  ],
  [
    named('org.apache.kafka.connect.data.Timestamp', { type: 'int64' }),
    "DateTime64(6, 'UTC')",
    { '-1': '1969-12-31 23:59:59.999' },
  ],
  [
    named('time.Timestamp', { type: 'int64' }),
    "DateTime64(6, 'UTC')",
    {
      '1772282096123': '2026-02-28 12:34:56.123',
      '9223372036825200': 'infinity',
      '-9223372036832400': '-infinity',
    },
  ],
  [
    named('time.MicroTimestamp', { type: 'int64' }),
    "DateTime64(6, 'UTC')",
    {
      '1772282096123456': '2026-02-28 12:34:56.123456',
      '-1': '1969-12-31 23:59:59.999999',
      '-62135596800000000': '0001-01-01 00:00:00',
      '-63517824000000000': '0044-03-15 00:00:00 BC',
      '9223372036825200000': 'infinity',
      '-9223372036832400000': '-infinity',
    },
  ],
  [
    named('time.NanoTimestamp', { type: 'int64' }),
    "DateTime64(6, 'UTC')",
    {
      '1772282096123456000': '2026-02-28 12:34:56.123456',
      '9223372036854775807': 'infinity',
      '-9223372036854775808': '-infinity',
    },
  ],
  [
    named('time.IsoTimestamp', { type: 'string' }),
    "DateTime64(6, 'UTC')",
    {
      '"2026-02-28T12:34:56.123456Z"': '2026-02-28 12:34:56.123456',
      '"+294247-01-10T04:00:25.2Z"': 'infinity',
      '"-290308-12-21T19:59:27.6Z"': '-infinity',
    },
  ],
  [
    named('time.ZonedTimestamp', { type: 'string' }),
    "DateTime64(6, 'UTC')",
    {
      '"2026-02-28T07:04:56.100000Z"': '2026-02-28 07:04:56.1+00',
      '"2026-02-28T07:04:56.1+05:30"': '2026-02-28 01:34:56.1+00',
      '"-0043-03-15T00:00:00.000000Z"': '0044-03-15 00:00:00+00 BC',
      '"+20000-01-01T00:00:00.5Z"': '20000-01-01 00:00:00.5+00',
      '"infinity"': 'infinity',
      '"-infinity"': '-infinity',
    },
  ],
  [
    named('time.Interval', { type: 'string' }),
    'String',
    {
      '"P1Y2M3DT4H5M6.789S"': '1 year 2 mons 3 days 04:05:06.789',
      '"P0Y-1M2DT0H0M0S"': '-1 mons +2 days',
      '"P0Y0M0DT0H0M0S"': '00:00:00',
      '"P0Y0M0DT0H0M-0.000001S"': '-00:00:00.000001',
      '"P0Y0M1DT0H0M-1S"': '1 day -00:00:01',
      '"P-1Y-2M3DT-4H-5M-6.7S"': '-1 years -2 mons +3 days -04:05:06.7',
      '"P0Y0M0DT36H0M0S"': '36:00:00',
      '"P178000000Y0M0DT2562047788H0M54.775807S"': '178000000 years 2562047788:00:54.775807',
    },
  ],
  [
    named('time.MicroDuration', { type: 'int64' }),
    'String',
    {
      '37091106789000': '10303:05:06.789',
      '-1': '-00:00:00.000001',
      '-1500000': '-00:00:01.5',
      '0': '00:00:00',
    },
  ],
  [named('time.NanoDuration', { type: 'int64' }), 'String', { '1500000000': '00:00:01.5' }],
  [
    named('data.Json', { type: 'string' }),
    'String',
    { '"{\\"a\\": 1,  \\"b\\":[1,2]}"': '{"a": 1,  "b":[1,2]}' },
  ],
  [
    named('data.Uuid', { type: 'string' }),
    'UUID',
    { '"00112233-4455-6677-8899-aabbccddeeff"': '00112233-4455-6677-8899-aabbccddeeff' },
  ],
  [named('data.Xml', { type: 'string' }), 'String', { '"<a/>"': '<a/>' }],
  [named('data.Ltree', { type: 'string' }), 'String', { '"a.b"': 'a.b' }],
  [named('data.Tsvector', { type: 'string' }), 'String', { "\"'cat' 'fat'\"": "'cat' 'fat'" }],
  [
    named('data.Enum', { type: 'string', parameters: { allowed: 'sad,ok' } }),
    'LowCardinality(String)',
    { '"sad"': 'sad' },
  ],
  [
    named('data.Bits', { type: 'bytes', parameters: { length: '8' } }),
    'String',
    { '"qg=="': '10101010', '"AQ=="': '00000001', '""': '00000000' },
  ],
  [
    named('data.Bits', { type: 'bytes', parameters: { length: '20' } }),
    'String',
    { '"AQQ="': '00000000010000000001' },
  ],
  [
    named('data.Bits', { type: 'bytes', parameters: { length: '2147483647' } }),
    'String',
    { '"BQ=="': '101', '""': '' },
  ],
  [
    named('data.DoubleVector', { type: 'array', items: { type: 'double' } }),
    'Array(Float32)',
    { '[1.0,2.5,-3.0E30]': '[1,2.5,-3e+30]' },
  ],
  [
    named('data.FloatVector', { type: 'array', items: { type: 'float' } }),
    'String',
    { '[0.099975586,1.0]': '[0.099975586,1]' },
  ],
  [
    named('data.SparseDoubleVector', { type: 'struct' }),
    'String',
    {
      '{"dimensions":5,"vector":[[3,2.0],[1,1.5]]}': '{1:1.5,3:2}/5',
      '{"dimensions":5,"vector":{"3":2.0,"1":1.5}}': '{1:1.5,3:2}/5',
      '{"dimensions":2,"vector":{}}': '{}/2',
    },
  ],
  [
    named('data.SparseVector', { type: 'struct' }),
    'String',
    { '{"dimensions":2,"vector":[[1,0.1]]}': '{1:0.1}/2' },
  ],
  [
    named('data.geometry.Point', { type: 'struct' }),
    'String',
    {
      '{"x":1.5,"y":-2.0,"wkb":"","srid":null}': '(1.5,-2)',
      '{"x":"NaN","y":1.0E300}': '(NaN,1e+300)',
      '{"x":NaN,"y":-0.0}': '(NaN,-0)',
    },
  ],
  [
    named('data.geometry.Circle', { type: 'struct' }),
    'String',
    { '{"center":{"x":1.0,"y":2.0,"wkb":"AQ==","srid":null},"radius":3.5}': '<(1,2),3.5>' },
  ],
  [named('data.geometry.Line', { type: 'struct' }), 'String', { '{"a":1.0,"b":-1.0,"c":0.0}': '{1,-1,0}' }],
  [
    named('data.geometry.Geometry', { type: 'struct' }),
    'String',
    {
      '{"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":null}': '0101000000000000000000F83F00000000000000C0',
      [`{"wkb":"${ring([2, 2], [2, 1], [1, 1], [1, 2], [2, 2])}","srid":null,"extensions":{"type":"box"}}`]:
        '(2,2),(1,1)',
      [`{"wkb":"${ring([0, 0], [1, 1], [1, 0], [0, 0])}","srid":null,"extensions":{"type":"polygon"}}`]:
        '((0,0),(1,1),(1,0))',
      [`{"wkb":"${line([0, 0], [1, 1])}","srid":null,"extensions":{"type":"path","closed":"true"}}`]:
        '((0,0),(1,1))',
      [`{"wkb":"${line([0, 0], [1, 1])}","srid":null,"extensions":{"type":"path","closed":"false"}}`]:
        '[(0,0),(1,1)]',
      [`{"wkb":"${line([0, 0], [1, 1])}","srid":null,"extensions":{"type":"lseg"}}`]: '[(0,0),(1,1)]',
    },
  ],
  [named('data.geometry.Geography', { type: 'struct' }), 'String', { '{"wkb":"AQ==","srid":4326}': '01' }],
  [{ type: 'boolean' }, 'Bool', { true: 't', false: 'f' }],
  [{ type: 'int16' }, 'Int16', { '-32768': '-32768' }],
  [{ type: 'int32' }, 'Int32', { '2147483647': '2147483647' }],
  [{ type: 'int64' }, 'Int64', { '-9223372036854775808': '-9223372036854775808' }],
  [
    { type: 'float' },
    'Float32',
    { '1.5': '1.5', '3.4028235E38': '3.4028235e+38', '"NaN"': 'NaN', NaN: 'NaN', '-0.0': '-0' },
  ],
  [
    { type: 'double' },
    'Float64',
    {
      '1.0E22': '1e+22',
      '4.9E-324': '5e-324',
      '"-Infinity"': '-Infinity',
      '-Infinity': '-Infinity',
      '100.0': '100',
    },
  ],
  [{ type: 'string' }, 'String', { '"é\\n\\u0001"': 'é\n\u0001', '""': '' }],
  [{ type: 'bytes' }, 'String', { '"AP8Q"': '\\x00ff10', '"++--//__"': '\\xfbefbeffffff', '""': '\\x' }],
  [
    { type: 'map' },
    'Map(String, Nullable(String))',
    { '{"bb":null,"a":"x\\"y"}': '"a"=>"x\\"y", "bb"=>NULL', '{}': '' },
  ],
  [
    { type: 'array', items: { type: 'int32' } },
    'Array(Nullable(Int32))',
    { '[1, null ,-3]': '{1,NULL,-3}', '[]': '{}' },
  ],
  [
    { type: 'array', items: { type: 'string' } },
    'Array(Nullable(String))',
    {
      '["","null","NULL",null,"b,c","q\\"\\\\","{}","é\\ud83d\\ude00\\u00e9"]':
        '{"","null","NULL",NULL,"b,c","q\\"\\\\","{}",é\u{1F600}é}',
    },
  ],
  [
    { type: 'array', items: named('time.ZonedTimestamp', { type: 'string' }) },
    "Array(Nullable(DateTime64(6, 'UTC')))",
    { '["2026-02-28T12:34:56.0Z"]': '{"2026-02-28 12:34:56+00"}' },
  ],
  [
    { type: 'array', items: scaled(2, 10) },
    'Array(Nullable(Decimal(10, 2)))',
    { '["bg==","ANw=",null]': '{1.10,2.20,NULL}' },
  ],
  [
    { type: 'array', items: named('data.Enum', { type: 'string' }) },
    'Array(LowCardinality(Nullable(String)))',
    { '["a b"]': '{"a b"}' },
  ],
  [{ type: 'array', items: { type: 'bytes' } }, 'Array(Nullable(String))', { '["AP8="]': '{"\\\\x00ff"}' }],
];

function wkb(type: number, points: [number, number][]): string {
  const head = type === 3 ? [3, 1, points.length] : [2, points.length];
  const bytes = Buffer.alloc(1 + head.length * 4 + points.length * 16);
  bytes[0] = 1;
  for (const [i, value] of head.entries()) bytes.writeUInt32LE(value, 1 + i * 4);
  for (const [i, value] of points.flat().entries()) bytes.writeDoubleLE(value, 1 + head.length * 4 + i * 8);
  return bytes.toString('base64');
}
function ring(...points: [number, number][]): string {
  return wkb(3, points);
}
function line(...points: [number, number][]): string {
  return wkb(2, points);
}
