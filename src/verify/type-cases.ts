/** A value in PostgreSQL's SQL, the same one in ClickHouse's, and values that ClickHouse might wrongly have instead. */
export type ValueCase = [postgres: string, clickhouse: string, wrong: string[]];

export interface VerifyTypeCase {
  type: string;
  /** Without Nullable. */
  clickhouse: string;
  onInvalid?: 'null' | 'clamp';
  values: ValueCase[];
}

const dt64 = (text: string) => `toDateTime64('${text}', 6, 'UTC')`;
const long = (letter: string) => `repeat('${letter}', 300000)`;

export const typeCases: VerifyTypeCase[] = [
  { type: 'int2', clickhouse: 'Int16', values: [['-32768', '-32768', ['-32767', '0']]] },
  { type: 'int4', clickhouse: 'Int32', values: [['2147483647', '2147483647', ['-1']]] },
  {
    type: 'int8',
    clickhouse: 'Int64',
    values: [
      ['-9223372036854775808', '-9223372036854775808', ['-9223372036854775807']],
      ['9007199254740993', '9007199254740993', ['9007199254740992']],
    ],
  },
  {
    type: 'int8',
    clickhouse: 'Decimal(20, 0)',
    values: [['-9223372036854775808', '-9223372036854775808', ['1']]],
  },
  { type: 'oid', clickhouse: 'UInt32', values: [['4294967295', '4294967295', ['0']]] },
  {
    type: 'xid8',
    clickhouse: 'UInt64',
    values: [["'18446744073709551615'", '18446744073709551615', ['18446744073709551614']]],
  },
  {
    type: 'pg_lsn',
    clickhouse: 'String',
    values: [["'FFFFFFFF/FFFFFFFF'", "'FFFFFFFF/FFFFFFFF'", ["'FFFFFFFF/FFFFFFFE'"]]],
  },
  {
    type: 'float8',
    clickhouse: 'Float64',
    values: [
      ["'NaN'", 'nan', ['0', 'inf']],
      ["'-NaN'", "reinterpretAsFloat64(toUInt64('18444492273895866368'))", ['inf']],
      ["'Infinity'", 'inf', ['-inf', '1.7976931348623157e308']],
      ["'-0'", '-0.0', ['0.0']],
      ['0', '0.0', ['-0.0', '5e-324']],
      ['5e-324', '5e-324', ['0.0']],
      ['0.1', '0.1', ['0.10000000000000002']],
    ],
  },
  {
    type: 'float4',
    clickhouse: 'Float32',
    values: [
      ["'0.1'", '0.1', ['0.1 + 1e-8']],
      ["'-0'", '-0.0', ['0']],
    ],
  },
  { type: 'float4', clickhouse: 'Float64', values: [["'0.1'", 'toFloat32(0.1)', ['0.1']]] },
  {
    type: 'bool',
    clickhouse: 'Bool',
    values: [
      ['true', 'true', ['false']],
      ['false', 'false', ['true']],
    ],
  },
  { type: 'bool', clickhouse: 'UInt8', values: [['true', '1', ['0', '2']]] },
  {
    type: 'uuid',
    clickhouse: 'UUID',
    values: [
      [
        "'61f0c404-5cb3-11e7-907b-a6006ad3dba0'",
        "'61f0c404-5cb3-11e7-907b-a6006ad3dba0'",
        ["'907b-a6006ad3dba0'", "'61f0c404-5cb3-11e7-907b-a6006ad3dba1'"].slice(1),
      ],
    ],
  },
  {
    type: 'numeric(12,2)',
    clickhouse: 'Decimal(12, 2)',
    values: [
      ['-0.10', "'-0.10'", ["'0.10'", "'-0.11'", "'-1'"]],
      ['100', "'100.00'", ["'10'", "'1'"]],
    ],
  },
  { type: 'numeric(3,-2)', clickhouse: 'Decimal(5, 0)', values: [['12345', '12300', ['12345', '123']]] },
  { type: 'numeric(3,5)', clickhouse: 'Decimal(5, 5)', values: [['0.00123', "'0.00123'", ["'0.00124'"]]] },
  {
    type: 'numeric(76,38)',
    clickhouse: 'Decimal(76, 38)',
    values: [
      [
        `'-${'9'.repeat(38)}.${'9'.repeat(38)}'`,
        `'-${'9'.repeat(38)}.${'9'.repeat(38)}'`,
        [`'-${'9'.repeat(38)}.${'9'.repeat(37)}8'`],
      ],
    ],
  },
  {
    type: 'numeric',
    clickhouse: 'String',
    values: [
      ['1.10', "'1.10'", ["'1.1'"]],
      ["'NaN'", "'NaN'", ["'nan'"]],
      ["'-Infinity'", "'-Infinity'", ["'Infinity'"]],
    ],
  },
  { type: 'numeric', clickhouse: 'Decimal(38, 9)', values: [['1.10', "'1.1'", ["'1.100000001'"]]] },
  {
    type: 'numeric',
    clickhouse: 'Decimal(5, 2)',
    onInvalid: 'null',
    values: [
      ["'NaN'", 'NULL', ['0']],
      ['1000', 'NULL', ["'999.99'"]],
      ['1.234', 'NULL', ["'1.23'"]],
      ['1.5', "'1.5'", ["'1.51'"]],
    ],
  },
  {
    type: 'numeric',
    clickhouse: 'Decimal(5, 2)',
    onInvalid: 'clamp',
    values: [
      ["'Infinity'", "'999.99'", ['0']],
      ['-1000', "'-999.99'", ["'999.99'"]],
      ['1.5', "'1.5'", ["'1.51'"]],
    ],
  },
  {
    type: 'money',
    clickhouse: 'Decimal(19, 2)',
    values: [
      ["'-92233720368547758.08'", "'-92233720368547758.08'", ["'-92233720368547758.07'"]],
      ['1', "'1'", ["'100'"]],
    ],
  },
  {
    type: 'text',
    clickhouse: 'String',
    values: [
      ["'a'", "'a'", ["'a '", "''", "'A'", "'á'"]],
      ["''", "''", ["' '", "'\\0'"]],
      ["E'\\\\N \\t\\n '", "'\\\\N \\t\\n '", ["'\\\\N'"]],
      ["'𝄞 é ß'", "'𝄞 é ß'", ["'𝄞 e\u0301 ß'", "'\\xF0\\x9D'"]],
      [
        long('a'),
        long('a'),
        [`concat(repeat('a', 299999), 'b')`, `repeat('a', 299999)`, `repeat('a', 300001)`],
      ],
      [long('é'), long('é'), [long('è')]],
      ["repeat('a', 8192)", "repeat('a', 8192)", ["repeat('a', 8193)"]],
      ["repeat('a', 8193)", "repeat('a', 8193)", ["repeat('a', 8192)"]],
    ],
  },
  { type: 'varchar(10)', clickhouse: 'LowCardinality(String)', values: [["'a '", "'a '", ["'a'"]]] },
  { type: 'char(5)', clickhouse: 'String', values: [["'ab'", "'ab   '", ["'ab'", "'ab  '"]]] },
  {
    type: '"char"',
    clickhouse: 'String',
    values: [
      ["'x'", "'x'", ["''"]],
      [String.raw`E'\\377'::"char"`, String.raw`'\\377'`, ["'\\xFF'"]],
    ],
  },
  { type: 'name', clickhouse: 'String', values: [["'ab'", "'ab'", ["'abc'"]]] },
  { type: 'citext', clickhouse: 'String', values: [["'Ab'", "'Ab'", ["'ab'"]]] },
  { type: 'mood', clickhouse: 'String', values: [["'sad'", "'sad'", ["'happy'"]]] },
  { type: 'mood', clickhouse: "Enum8('sad' = 1, 'happy' = 2)", values: [["'sad'", "'sad'", ["'happy'"]]] },
  {
    type: 'bytea',
    clickhouse: 'String',
    values: [
      ["'\\x00ff80'", "'\\x00\\xff\\x80'", ["'\\x00\\xff'", "'\\x00\\xff\\x81'", "'\\\\x00ff80'"]],
      ["''", "''", ["'\\0'"]],
      [
        "decode(repeat('00', 300000), 'hex')",
        "repeat('\\0', 300000)",
        ["repeat('\\0', 300001)", "repeat('\\x01', 300000)"],
      ],
    ],
  },
  {
    type: 'json',
    clickhouse: 'String',
    values: [
      [
        '\'{"a": 1.10, "a":  2, "u": "\\u0000"}\'',
        '\'{"a": 1.10, "a":  2, "u": "\\\\u0000"}\'',
        ['\'{"a": 1.1, "a":  2, "u": "\\\\u0000"}\''],
      ],
      ["'null'", "'null'", ["''"]],
    ],
  },
  {
    type: 'jsonb',
    clickhouse: 'String',
    values: [['\'{"b":1,"a":[1.10]}\'', '\'{"a": [1.10], "b": 1}\'', ['\'{"a": [1.1], "b": 1}\'']]],
  },
  {
    type: 'jsonb',
    clickhouse: 'JSON',
    values: [
      [
        '\'{"b":1.0,"a":[1,null,{"x":"y"}],"n":null,"o":{"e":{}},"big":9007199254740993,"d.e":true}\'',
        '\'{"b":1.0,"a":[1,null,{"x":"y"}],"n":null,"o":{"e":{}},"big":9007199254740993,"d.e":true}\'',
        [
          '\'{"b":2,"a":[1,null,{"x":"y"}],"big":9007199254740993,"d.e":true}\'',
          '\'{"b":1,"a":[1,null,{"x":"z"}],"big":9007199254740993,"d.e":true}\'',
          '\'{"b":1,"a":[1,{"x":"y"}],"big":9007199254740993,"d.e":true}\'',
          '\'{"b":1,"a":[1,null,{"x":"y"}],"big":9007199254740992,"d.e":true}\'',
          '\'{"b":1,"a":[1,null,{"x":"y"}],"big":9007199254740993,"d.e":false}\'',
          "'{}'",
        ],
      ],
    ],
  },
  {
    type: 'json',
    clickhouse: 'JSON',
    onInvalid: 'null',
    values: [
      ["'[1]'", 'NULL', ["'{}'"]],
      ['\'{"a":1}\'', '\'{"a":1}\'', ['\'{"a":2}\'']],
    ],
  },
  {
    type: 'date',
    clickhouse: 'Date32',
    values: [
      ["'1900-01-01'", "'1900-01-01'", ["'1900-01-02'"]],
      ["'2299-12-31'", "'2299-12-31'", ["'2299-12-30'"]],
    ],
  },
  {
    type: 'date',
    clickhouse: 'Date32',
    onInvalid: 'null',
    values: [
      ["'infinity'", 'NULL', ["'2299-12-31'"]],
      ["'1899-12-31'", 'NULL', ["'1900-01-01'"]],
      ["'2000-01-01'", "'2000-01-01'", ["'2000-01-02'"]],
    ],
  },
  {
    type: 'date',
    clickhouse: 'Date32',
    onInvalid: 'clamp',
    values: [
      ["'9999-12-31'", "'2299-12-31'", ["'2299-12-30'"]],
      ["'0044-03-15 BC'", "'1900-01-01'", ["'1900-01-02'"]],
      ["'-infinity'", "'1900-01-01'", ["'2299-12-31'"]],
      ["'2000-01-01'", "'2000-01-01'", ["'2000-01-02'"]],
    ],
  },
  {
    type: 'date',
    clickhouse: "DateTime64(6, 'UTC')",
    values: [["'1582-10-10'", dt64('1582-10-10 00:00:00'), [dt64('1582-10-20 00:00:00')]]],
  },
  {
    type: 'timestamp',
    clickhouse: "DateTime64(6, 'UTC')",
    values: [
      ["'0001-01-01 00:00:00'", dt64('0001-01-01 00:00:00'), [dt64('0001-01-01 00:00:00.000001')]],
      [
        "'9999-12-31 23:59:59.999999'",
        dt64('9999-12-31 23:59:59.999999'),
        [dt64('9999-12-31 23:59:59.999998')],
      ],
      [
        "'2024-02-29 12:00:00.5'",
        dt64('2024-02-29 12:00:00.5'),
        [dt64('2024-02-29 12:00:00.05'), dt64('2024-02-29 11:00:00.5')],
      ],
    ],
  },
  {
    type: 'timestamptz',
    clickhouse: "DateTime64(6, 'UTC')",
    values: [
      ["'2024-06-01 00:00:00+05:30'", dt64('2024-05-31 18:30:00'), [dt64('2024-06-01 00:00:00')]],
      ["'1883-11-18 12:00:00-05'", dt64('1883-11-18 17:00:00'), [dt64('1883-11-18 17:00:00.000001')]],
    ],
  },
  {
    type: 'timestamptz',
    clickhouse: "DateTime64(6, 'Europe/Berlin')",
    values: [["'2024-06-01 00:00:00+00'", dt64('2024-06-01 00:00:00'), [dt64('2024-06-01 02:00:00')]]],
  },
  {
    type: 'timestamptz',
    clickhouse: "DateTime64(9, 'UTC')",
    values: [
      [
        "'2024-06-01 00:00:00.123456+00'",
        "toDateTime64('2024-06-01 00:00:00.123456', 9, 'UTC')",
        ["toDateTime64('2024-06-01 00:00:00.123456001', 9, 'UTC')"],
      ],
    ],
  },
  {
    type: 'timestamptz',
    clickhouse: "DateTime64(3, 'UTC')",
    onInvalid: 'null',
    values: [
      ["'2024-06-01 00:00:00.123456+00'", 'NULL', ["toDateTime64('2024-06-01 00:00:00.123', 3, 'UTC')"]],
      [
        "'2024-06-01 00:00:00.120+00'",
        "toDateTime64('2024-06-01 00:00:00.12', 3, 'UTC')",
        ["toDateTime64('2024-06-01 00:00:00.121', 3, 'UTC')"],
      ],
    ],
  },
  {
    type: 'timestamptz',
    clickhouse: "DateTime64(6, 'UTC')",
    onInvalid: 'clamp',
    values: [
      ["'infinity'", dt64('9999-12-31 23:59:59.999999'), [dt64('9999-12-31 23:59:59.999998')]],
      ["'0044-03-15 BC'", dt64('0001-01-01 00:00:00'), [dt64('0044-03-15 00:00:00')]],
    ],
  },
  {
    type: 'timestamp',
    clickhouse: "DateTime64(6, 'UTC')",
    onInvalid: 'null',
    values: [["'-infinity'", 'NULL', [dt64('0001-01-01 00:00:00')]]],
  },
  {
    type: 'timestamptz',
    clickhouse: "DateTime('UTC')",
    values: [["'2024-06-01 00:00:10+00'", "'2024-06-01 00:00:10'", ["'2024-06-01 00:01:00'"]]],
  },
  {
    type: 'time',
    clickhouse: 'Time64(6)',
    values: [
      ["'24:00:00'", "'24:00:00'", ["'00:00:00'"]],
      ["'12:34:56.5'", "'12:34:56.5'", ["'12:34:56.500001'"]],
    ],
  },
  { type: 'time', clickhouse: 'String', values: [["'24:00:00'", "'24:00:00'", ["'00:00:00'"]]] },
  {
    type: 'timetz',
    clickhouse: 'String',
    values: [["'12:00:00.5+05:30'", "'12:00:00.5+05:30'", ["'12:00:00.5+05'"]]],
  },
  {
    type: 'interval',
    clickhouse: 'String',
    values: [
      ["'1 year -2 days +03:04:05.6'", "'1 year -2 days +03:04:05.6'", ["'1 year -2 days 03:04:05.6'"]],
    ],
  },
  {
    type: 'inet',
    clickhouse: 'String',
    values: [
      ["'1.2.3.4'", "'1.2.3.4'", ["'1.2.3.4/32'"]],
      ["'1.2.3.4/24'", "'1.2.3.4/24'", ["'1.2.3.0/24'"]],
    ],
  },
  { type: 'cidr', clickhouse: 'String', values: [["'10.0.0.0/8'", "'10.0.0.0/8'", ["'10.0.0.0'"]]] },
  {
    type: 'macaddr8',
    clickhouse: 'String',
    values: [["'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:05'", ["'08:00:2b:01:02:03'"]]],
  },
  { type: 'bit(4)', clickhouse: 'String', values: [["B'0101'", "'0101'", ["'101'"]]] },
  {
    type: 'int4range',
    clickhouse: 'String',
    values: [
      ["'[1,5]'", "'[1,6)'", ["'[1,5]'"]],
      ["'empty'", "'empty'", ["'(,)'"]],
    ],
  },
  {
    type: 'tstzrange',
    clickhouse: 'String',
    values: [["'[2024-01-01 00:00:00+00,)'", `'["2024-01-01 00:00:00+00",)'`, ["'[,)'"]]],
  },
  { type: 'point', clickhouse: 'String', values: [["'(NaN,0.1)'", "'(NaN,0.1)'", ["'(nan,0.1)'"]]] },
  { type: 'xml', clickhouse: 'String', values: [["'<a> b</a>'", "'<a> b</a>'", ["'<a>b</a>'"]]] },
  {
    type: 'tsvector',
    clickhouse: 'String',
    values: [["'b a:1'", "'\\'a\\':1 \\'b\\''", ["'\\'a\\' \\'b\\''"]]],
  },
  {
    type: 'pair',
    clickhouse: 'String',
    values: [
      ['ROW(1, NULL)', "'(1,)'", ["'(,)'"]],
      ['ROW(NULL, NULL)', "'(,)'", ["'(1,)'"]],
    ],
  },
  { type: 'positive', clickhouse: 'Int32', values: [['5', '5', ['6']]] },
  {
    type: 'hstore',
    clickhouse: 'Map(String, Nullable(String))',
    values: [
      [
        `'a=>NULL, "b\\"" => "NULL", c=>""'`,
        `map('c', '', 'b"', 'NULL', 'a', NULL)`,
        [
          `map('c', '', 'b"', 'NULL', 'a', 'NULL')`,
          `map('c', '', 'b"', NULL, 'a', NULL)`,
          `map('c', '', 'b"', 'NULL')`,
          `map('c', NULL, 'b"', 'NULL', 'a', NULL)`,
        ],
      ],
      ["''", 'map()', ["map('', '')"]],
    ],
  },
  { type: 'hstore', clickhouse: 'String', values: [["'a=>NULL'", `'"a"=>NULL'`, [`'"a"=>"NULL"'`]]] },
];

const arrayCases: VerifyTypeCase[] = [
  {
    type: 'int4[]',
    clickhouse: 'Array(Nullable(Int32))',
    values: [
      ['ARRAY[1,NULL,3]', '[1,NULL,3]', ['[1,3]', '[1,0,3]', '[3,NULL,1]', '[]']],
      ['ARRAY[]::int4[]', '[]', ['[NULL]', '[0]']],
    ],
  },
  {
    type: 'int4[]',
    clickhouse: 'String',
    values: [
      ["'{{1,2},{3,4}}'", "'{{1,2},{3,4}}'", ["'{1,2,3,4}'"]],
      ["'[0:1]={1,2}'", "'[0:1]={1,2}'", ["'{1,2}'"]],
    ],
  },
  {
    type: 'text[]',
    clickhouse: 'Array(Nullable(String))',
    values: [
      [
        `ARRAY['NULL', NULL, '', '"', E'\\\\', 'a,b']`,
        `['NULL', NULL, '', '"', '\\\\', 'a,b']`,
        [
          `['NULL', 'NULL', '', '"', '\\\\', 'a,b']`,
          `['NULL', NULL, NULL, '"', '\\\\', 'a,b']`,
          `['NULL', NULL, '', '"', '\\\\', 'a', 'b']`,
          `['NULL', NULL, '', '"', '\\\\\\\\', 'a,b']`,
        ],
      ],
      [`ARRAY['a","b']`, `['a","b']`, [`['a', 'b']`]],
      [`ARRAY[repeat('x', 100000)]`, `[repeat('x', 100000)]`, [`[repeat('x', 100001)]`]],
    ],
  },
  {
    type: 'float8[]',
    clickhouse: 'Array(Nullable(Float64))',
    values: [
      ["ARRAY['NaN', '-0', 0.1]::float8[]", '[nan, -0.0, 0.1]', ['[nan, 0.0, 0.1]', '[0, -0.0, 0.1]']],
    ],
  },
  {
    type: 'bytea[]',
    clickhouse: 'Array(Nullable(String))',
    values: [["ARRAY['\\x00ff'::bytea]", "['\\x00\\xff']", ["['\\x00']", "['\\\\x00ff']"]]],
  },
  {
    type: 'char(3)[]',
    clickhouse: 'Array(Nullable(String))',
    values: [["ARRAY['a']::char(3)[]", "['a  ']", ["['a']"]]],
  },
  {
    type: 'pair[]',
    clickhouse: 'Array(Nullable(String))',
    values: [['ARRAY[ROW(NULL,NULL)::pair, NULL]', "['(,)', NULL]", ['[NULL, NULL]', "['(,)', '(,)']"]]],
  },
  {
    type: 'bool[]',
    clickhouse: 'Array(Nullable(Bool))',
    values: [['ARRAY[true,NULL,false]', '[true,NULL,false]', ['[true,false,false]']]],
  },
  {
    type: 'numeric(5,2)[]',
    clickhouse: 'Array(Nullable(Decimal(5, 2)))',
    values: [['ARRAY[1.10]::numeric(5,2)[]', '[1.1]', ['[1.11]']]],
  },
  {
    type: 'timestamptz[]',
    clickhouse: "Array(Nullable(DateTime64(6, 'UTC')))",
    values: [
      [
        "ARRAY['2024-01-01 00:00:00.5+00'::timestamptz]",
        `[${dt64('2024-01-01 00:00:00.5')}]`,
        [`[${dt64('2024-01-01 00:00:00')}]`],
      ],
    ],
  },
  {
    type: 'date[]',
    clickhouse: 'Array(Nullable(Date32))',
    onInvalid: 'clamp',
    values: [
      ["ARRAY['infinity'::date, '2000-01-01']", "['2299-12-31', '2000-01-01']", ["[NULL, '2000-01-01']"]],
    ],
  },
  {
    type: 'uuid[]',
    clickhouse: 'Array(Nullable(UUID))',
    values: [
      [
        "ARRAY['61f0c404-5cb3-11e7-907b-a6006ad3dba0'::uuid]",
        "['61f0c404-5cb3-11e7-907b-a6006ad3dba0']",
        ["['71f0c404-5cb3-11e7-907b-a6006ad3dba0']"],
      ],
    ],
  },
  {
    type: 'mood[]',
    clickhouse: 'Array(LowCardinality(Nullable(String)))',
    values: [["ARRAY['sad',NULL]::mood[]", "['sad', NULL]", ["['sad', '']"]]],
  },
  {
    type: 'jsonb[]',
    clickhouse: 'Array(Nullable(String))',
    values: [[`ARRAY['{"a":"\\"b"}']::jsonb[]`, `['{"a": "\\\\"b"}']`, [`['{"a": "b"}']`]]],
  },
];
typeCases.push(...arrayCases);
