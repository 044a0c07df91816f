export type Mode = 'default' | 'isostring' | 'connect' | 'microseconds' | 'nanoseconds' | 'adaptive_micros';

/** A value that Debezium does not carry: docs/types.md, "What Debezium changes". */
export interface Loss {
  columns: readonly string[];
  modes: readonly Mode[] | 'all';
  phase?: 'snapshot' | 'stream';
  /** PostgreSQL's text at the source. */
  was: string | 'any';
  /** PostgreSQL's text of what arrives; null for NULL, `refused` for what is noticed. */
  is: string | null;
  /** Not with this setting. */
  unless?: 'include.unknown.datatypes';
}

const precise: readonly Mode[] = ['default', 'microseconds', 'nanoseconds'];
const numericIntervals: readonly Mode[] = ['default', 'adaptive_micros'];
const stringIntervals: readonly Mode[] = ['isostring', 'connect', 'microseconds', 'nanoseconds'];

function loss(
  columns: string,
  modes: Loss['modes'],
  was: string,
  is: Loss['is'],
  phase?: Loss['phase'],
): Loss {
  return { columns: columns.split(' '), modes, was, is, ...(phase && { phase }) };
}

export const losses: readonly Loss[] = [
  // VariableScaleDecimal drops zeros at the end, a double cannot have them.
  loss('c_num', [...precise, 'connect'], '1.10', '1.1'),
  loss('c_num', [...precise, 'connect'], '0.10', '0.1'),
  loss('c_unum_a', [...precise, 'connect'], '{1.10,NULL,-2.2}', '{1.1,NULL,-2.2}'),
  loss('c_num', precise, 'NaN', null),
  loss('c_num', precise, 'Infinity', null),
  loss('c_num', precise, '-Infinity', null),

  // Doubles of more than 15 digits are noticed; those that look like fewer are not.
  loss('c_num', ['connect'], '123456789012345678901234567890.123456789', 'refused'),
  loss('c_num_38_10', ['connect'], '1234567890.0123456789', 'refused'),
  loss(
    'c_num_38_10',
    ['connect'],
    '-9999999999999999999999999999.9999999999',
    '-10000000000000000000000000000.0000000000',
  ),
  loss(
    'c_num_76',
    ['connect'],
    `${'9'.repeat(38)}.${'9'.repeat(38)}`,
    `1${'0'.repeat(38)}.${'0'.repeat(38)}`,
  ),
  loss('c_money', ['connect'], '$92,233,720,368,547,758.07', 'refused'),

  // A snapshot takes dates from Java's old calendar: without era, and without ten days of October 1582.
  loss('c_date', 'all', '0044-03-15 BC', '0044-03-15', 'snapshot'),
  loss('c_date', 'all', '1582-10-10', '1582-10-20', 'snapshot'),
  // So do arrays, always.
  loss(
    'c_date_a',
    'all',
    '{infinity,-infinity,"0044-03-15 BC",5874897-12-31}',
    '{infinity,-infinity,0044-03-15,5874897-12-31}',
  ),
  loss(
    'c_tstz_a',
    'all',
    '{infinity,-infinity,"0044-03-15 00:00:00+00 BC"}',
    '{infinity,-infinity,"0044-03-15 00:00:00+00"}',
  ),

  loss('c_time c_time3', ['isostring'], '24:00:00', '00:00:00'),
  loss('c_timetz', 'all', '24:00:00+00', '00:00:00+00'),
  loss('c_timetz', 'all', '10:00:00.5+05:30', '04:30:00.5+00'),
  loss('c_timetz', 'all', '23:59:59.999999-08', '07:59:59.999999+00'),
  loss('c_time', ['connect'], '23:59:59.999999', '23:59:59.999'),
  loss('c_time_a', 'all', '{12:34:56.789123,NULL}', '{12:34:56.789,NULL}'),

  // Milliseconds alone.
  loss('c_ts', ['connect'], '2026-02-28 12:34:56.123456', '2026-02-28 12:34:56.123'),
  loss('c_ts', ['connect'], '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999'),
  loss('c_ts', ['connect'], '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999'),
  loss('c_ts', ['connect'], '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999'),
  loss('c_ts5', ['connect'], '2026-02-28 12:34:56.12345', '2026-02-28 12:34:56.123'),
  loss('c_ts_a', ['connect'], '{"2026-02-28 12:34:56.123456",NULL}', '{"2026-02-28 12:34:56.123",NULL}'),
  // More microseconds than 64 bits hold.
  loss('c_ts', ['default', 'microseconds', 'adaptive_micros'], '294276-12-31 23:59:59.999999', 'refused'),
  // More nanoseconds.
  ...['0001-01-01 00:00:00', '9999-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999'].map(text =>
    loss('c_ts', ['nanoseconds'], text, null),
  ),
  loss('c_ts', ['nanoseconds'], '0044-03-15 00:00:00 BC', null),
  loss('c_ts', ['nanoseconds'], '1582-10-10 12:00:00', null),
  loss('c_ts3', ['nanoseconds'], '9999-12-31 23:59:59.999', null),

  // Months of 30.4375 days, days of 24 hours.
  loss('c_interval', numericIntervals, '1 year 2 mons 3 days 04:05:06.789', '10303:05:06.789'),
  loss('c_interval', numericIntervals, '-1 mons +2 days', '-682:30:00'),
  loss('c_interval', numericIntervals, '1 day -00:00:01', '23:59:59'),
  loss('c_interval', numericIntervals, '-1 years -2 mons +3 days -04:05:06.7', '-10159:05:06.7'),
  loss('c_interval', numericIntervals, '100 years', '876600:00:00'),
  loss('c_interval', [...numericIntervals, ...stringIntervals], 'infinity', '00:00:00'),

  loss('c_varbit', 'all', '0101', '101'),
  {
    ...loss('c_name', ['default', 'isostring', 'connect'], 'abc', null, 'stream'),
    unless: 'include.unknown.datatypes',
  },

  // Dimensions and lower bounds.
  loss('c_int4_a', 'all', '{{1,2},{3,4}}', '{NULL,NULL}'),
  loss('c_int4_a', 'all', '[0:1]={1,2}', '{1,2}'),
  loss('c_num_2d', 'all', '{{1.10,2.00},{3.00,NULL}}', '{NULL,NULL}'),
  loss('c_text_2d', 'all', '{{a,b},{c,NULL}}', 'refused'),
];

/** The same of the values of cases.ts, by type, with the connector's settings of docs/cdc.md. */
export const caseLosses: Record<string, readonly Pick<Loss, 'was' | 'is' | 'phase'>[]> = {
  date: ['0044-03-15', '4713-11-24'].map(day => ({ was: `${day} BC`, is: day, phase: 'snapshot' })),
  time: [{ was: '24:00:00', is: '00:00:00' }],
  timetz: [
    { was: '12:34:56.7+05:30', is: '07:04:56.7+00' },
    { was: '01:02:03+15', is: '10:02:03+00' },
  ],
  interval: ['infinity', '-infinity'].map(was => ({ was, is: '00:00:00' })),
  int2vector: [
    { was: '', is: null },
    { was: 'any', is: '{}' },
  ],
  oidvector: [
    { was: '', is: null },
    { was: 'any', is: '{}' },
  ],
  // A NULL among labels, or among values of a domain, takes the whole array along.
  'mood[]': [{ was: 'any', is: null }],
  'price[]': [{ was: 'any', is: null }],
  // These are missing from messages.
  ...Object.fromEntries(
    ['interval', 'name', 'xml', 'varbit', 'point'].map(type => [`${type}[]`, [{ was: 'any', is: null }]]),
  ),
  'int4[]': [
    { was: '{{1,2},{3,4}}', is: '{NULL,NULL}' },
    { was: '[0:1]={1,2}', is: '{1,2}' },
    { was: '[-1:0][2:3]={{1,NULL},{3,4}}', is: '{NULL,NULL}' },
    { was: '{{{7}}}', is: '{NULL}' },
  ],
  'text[]': [{ was: '{{"a b",NULL},{"\\"",""}}', is: 'refused' }],
};

/** Columns that are missing from messages, also with include.unknown.datatypes. */
export const missingColumns: readonly string[] = ['c_interval_a', 'c_money_a'];

/** Values of cases.ts that end the connector, by type: they do not come, and neither does anything behind them. */
export const fatalValues: Record<string, readonly string[]> = {
  // More hours than 32 bits hold.
  interval: ['9223372036854775807 microseconds', '-9223372036854775808 microseconds'],
  // Seconds in the offset.
  timetz: ['24:00:00-15:59:59', '12:00-00:00:01'],
};
