import type { Config } from '../config.ts';

export type ConnectorSettings = Readonly<Record<string, string>>;

/** A setting of the connector with the value that docs/cdc.md advises. */
interface ProfileSetting {
  name: string;
  advised: string;
  /** What counts when it is not set. */
  fallback: string;
  /** What follows from another value; `undefined` when that is as good. */
  consequence(value: string, settings: ConnectorSettings): string | undefined;
}

/** The profile of docs/cdc.md, "The connector"; converters apart. */
export const advisedSettings: readonly ProfileSetting[] = [
  {
    name: 'decimal.handling.mode',
    advised: 'string',
    fallback: 'precise',
    consequence: value =>
      value === 'double'
        ? 'numbers of more than 15 digits are rounded'
        : 'NaN and infinity of a numeric arrive as NULL, and zeros at the end of one without scale go',
  },
  {
    name: 'time.precision.mode',
    advised: 'isostring',
    fallback: 'adaptive',
    consequence: (value, settings) =>
      value === 'connect'
        ? 'microseconds of timestamps and times are lost'
        : value === 'nanoseconds'
          ? 'timestamps before 1677-09-21 and after 2262-04-11 arrive as NULL'
          : value === 'microseconds'
            ? 'timestamps of the year 294247 and later are refused'
            : isSchemaless(settings)
              ? 'the unit of a time depends on its column, which only PostgreSQL (postgres.url) can tell'
              : undefined,
  },
  {
    name: 'interval.handling.mode',
    advised: 'string',
    fallback: 'numeric',
    consequence: () => 'months and days of an interval arrive as an average number of hours',
  },
  {
    name: 'hstore.handling.mode',
    advised: 'json',
    fallback: 'json',
    // Both are recognised.
    consequence: () => undefined,
  },
  {
    name: 'binary.handling.mode',
    advised: 'base64',
    fallback: 'bytes',
    // Hexadecimal digits take a third more room, and are as exact; the rest is the same in JSON.
    consequence: () => undefined,
  },
  {
    name: 'include.unknown.datatypes',
    advised: 'true',
    fallback: 'false',
    consequence: () =>
      'columns of ranges, geometric, composite and other types that Debezium does not know are missing, those of type name are NULL',
  },
  {
    name: 'extended.headers.enabled',
    advised: 'false',
    fallback: 'true',
    consequence: () => 'four headers on every message halve the speed',
  },
  {
    name: 'poll.interval.ms',
    advised: '10',
    fallback: '500',
    consequence: value => (Number(value) > 50 ? `changes come up to ${value} ms later` : undefined),
  },
  {
    name: 'skipped.operations',
    advised: 'none',
    fallback: 't',
    consequence: describeSkipped,
  },
  {
    name: 'tombstones.on.delete',
    advised: 'false',
    fallback: 'true',
    consequence: () => 'every delete is two messages',
  },
  {
    name: 'heartbeat.interval.ms',
    advised: '10000',
    fallback: '0',
    consequence: value =>
      Number(value) > 0
        ? undefined
        : 'while the tables that are captured are idle, the slot keeps the log of all others',
  },
  {
    name: 'publication.autocreate.mode',
    advised: 'disabled',
    fallback: 'all_tables',
    consequence: () =>
      'a publication that is not there yet is made by the connector, without publish_via_partition_root',
  },
  {
    name: 'slot.failover',
    advised: 'true',
    fallback: 'false',
    // PostgreSQL 16 and older refuse it.
    consequence: () => undefined,
  },
];

function describeSkipped(value: string): string | undefined {
  const names: Record<string, string> = { c: 'inserts', u: 'updates', d: 'deletes', t: 'TRUNCATE' };
  const skipped = value.split(',').flatMap(op => names[op.trim()] ?? []);
  return skipped.length > 0 ? `these do not arrive: ${skipped.join(', ')}` : undefined;
}

export interface Deviation {
  /** As in `decimal.handling.mode = precise (the default)`. */
  what: string;
  consequence: string;
  /** As in `decimal.handling.mode=string`. */
  advised: string;
}

/** Where a connector is set up in a way that costs something. */
export function compareProfile(settings: ConnectorSettings): Deviation[] {
  return [
    ...converterDeviations(settings),
    ...advisedSettings.flatMap(({ name, advised, fallback, consequence }) => {
      const value = settings[name] ?? fallback;
      const costs = value === advised ? undefined : consequence(value, settings);
      return costs === undefined
        ? []
        : [
            {
              what: describeValue(settings, name, fallback),
              consequence: costs,
              advised: `${name}=${advised}`,
            },
          ];
    }),
  ];
}

function describeValue(settings: ConnectorSettings, name: string, fallback: string): string {
  return settings[name] === undefined ? `${name} = ${fallback} (the default)` : `${name} = ${settings[name]}`;
}

/** What is known of the converter of values. The one of the worker, where the connector names none, is not shown by Connect. */
export type ValueConverter = 'json' | 'avro' | 'other' | 'of the worker';

export function valueConverter(settings: ConnectorSettings): ValueConverter {
  const name = settings['value.converter'];
  if (name === undefined) return 'of the worker';
  return /JsonConverter$/.test(name) ? 'json' : /Avro/.test(name) ? 'avro' : 'other';
}

/** Whether the converter keeps NULLs in columns that have a default; undefined when that cannot be seen. */
export function keepsNulls(settings: ConnectorSettings): boolean | undefined {
  const converter = valueConverter(settings);
  if (converter === 'json') return settings['value.converter.replace.null.with.default'] === 'false';
  return converter === 'avro' ? false : undefined;
}

/** Whether messages are JSON without schemas; undefined when that cannot be seen. */
export function isSchemaless(settings: ConnectorSettings): boolean | undefined {
  const converter = valueConverter(settings);
  if (converter === 'json') return settings['value.converter.schemas.enable'] === 'false';
  return converter === 'avro' ? false : undefined;
}

function converterDeviations(settings: ConnectorSettings): Deviation[] {
  const deviations: Deviation[] = [];
  const converter = valueConverter(settings);
  if (converter === 'other')
    deviations.push({
      what: `value.converter = ${settings['value.converter']}`,
      consequence: 'what it writes is neither JSON nor Avro as they are read here',
      advised: 'value.converter=org.apache.kafka.connect.json.JsonConverter',
    });
  if (isSchemaless(settings) === false && converter === 'json')
    deviations.push({
      what: describeValue(settings, 'value.converter.schemas.enable', 'true'),
      consequence: 'messages are four times as large',
      advised: 'value.converter.schemas.enable=false',
    });
  if (keepsNulls(settings) === false)
    deviations.push({
      what:
        converter === 'avro'
          ? 'the Avro converter'
          : describeValue(settings, 'value.converter.replace.null.with.default', 'true'),
      consequence: 'a NULL in a column with a default arrives as the default, and nothing can tell',
      advised: `${converter === 'avro' ? 'value.converter=org.apache.kafka.connect.json.JsonConverter and ' : ''}value.converter.replace.null.with.default=false`,
    });
  return deviations;
}

export interface Mismatch {
  /** As in `kafka.connector.decimals is string`. */
  ours: string;
  /** As in `decimal.handling.mode = precise (the default)`. */
  theirs: string;
  hint: string;
  /** Whether messages with schemas say it themselves. */
  saidBySchemas: boolean;
}

/** Where `kafka.connector` says something else than the connector does. */
export function compareModes(settings: ConnectorSettings, { connector }: Config['kafka']): Mismatch[] {
  // How an hstore comes is recognised; Base64 is Base64, in either alphabet.
  const encoding = (mode: string) => (mode === 'hex' ? 'hex' : 'base64');
  const pairs = [
    { ours: 'decimals', theirs: 'decimal.handling.mode', fallback: 'precise' },
    { ours: 'times', theirs: 'time.precision.mode', fallback: 'adaptive' },
    { ours: 'intervals', theirs: 'interval.handling.mode', fallback: 'numeric' },
    { ours: 'binary', theirs: 'binary.handling.mode', fallback: 'bytes' },
    {
      ours: 'placeholder',
      theirs: 'unavailable.value.placeholder',
      fallback: '__debezium_unavailable_value',
    },
  ] as const;
  return pairs.flatMap(({ ours, theirs, fallback }): Mismatch[] => {
    const own = connector[ours];
    const other = settings[theirs] ?? fallback;
    const isSame = ours === 'binary' ? encoding(own) === encoding(other) : own === other;
    if (isSame) return [];
    return [
      {
        ours: `kafka.connector.${ours} is ${own}`,
        theirs: describeValue(settings, theirs, fallback),
        hint: `Set kafka.connector.${ours} to ${other}, before anything is read; or ${theirs} of the connector to ${own}.`,
        saidBySchemas: ours !== 'placeholder' && !(ours === 'binary' && other !== 'bytes'),
      },
    ];
  });
}
