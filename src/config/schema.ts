import { z } from 'zod';
import { parseDottedName } from './table-patterns.ts';
import {
  boolean,
  integer,
  list,
  map,
  section,
  setting,
  share,
  size,
  tablePattern,
  text,
  throws,
} from './value-types.ts';

const maxInt = Number.MAX_SAFE_INTEGER;
/** Updates and twice the deletes of generated rows: a row goes once at most, and something is inserted. */
export const mostChanged = 0.9;

const dottedName = (parts: number) =>
  z.string().refine(value => !throws(() => parseDottedName(value, parts)));
const url = (protocol: RegExp) =>
  text().refine(value => protocol.test(value.slice(0, value.indexOf(':'))) && URL.canParse(value));
const pem = (what: string) =>
  setting(text().optional(), {
    about: `${what}: path of a PEM file, or the PEM text`,
    expects: 'a path or PEM text',
  });
const metaColumn = (name: string, about: string) =>
  setting(text().default(name), { about, expects: 'a column name' });

/** Every setting, as the configuration file has it. Flags, variables and docs/configuration.md come from here. */
export const schema = section({
  mode: setting(z.enum(['synthetic', 'cdc', 'wal']).default('synthetic'), {
    about:
      'where rows come from: `synthetic` generates them, `cdc` reads Debezium topics from Kafka, `wal` reads PostgreSQL itself',
    expects: 'synthetic, cdc or wal',
    flag: '--mode',
  }),
  pipeline: setting(
    z
      .string()
      .regex(/^[a-z0-9_]{1,55}$/)
      .optional(),
    {
      about: 'names the slot, the publication, the consumer group and the checkpoint',
      expects: '1 to 55 lower-case letters, digits and underscores',
      flag: '--pipeline',
      fallback: '`default`; in mode `synthetic`: `synthetic`',
    },
  ),
  tables: setting(list(tablePattern).pipe(z.array(z.string()).min(1)).default(['*.*']), {
    about:
      'tables to replicate, as PostgreSQL `schema.table` patterns; `*` stands for any characters, names in double quotes are literal',
    expects: 'a list of schema.table patterns, as in public.*',
    flag: '--tables',
    fallback: 'every table outside system schemas',
  }),
  exclude: setting(list(tablePattern).default([]), {
    about: 'tables to leave out, as patterns like those of `tables`',
    expects: 'a list of schema.table patterns, as in public.*',
    flag: '--exclude',
  }),
  tableOptions: setting(
    map(
      dottedName(2),
      section({
        onError: setting(z.enum(['stop', 'dead-letter']).default('stop'), {
          about:
            'what happens when a row cannot be written: the table stops, or the row goes to `wal_cdc.dead_letters`',
          expects: 'stop or dead-letter',
        }),
        partitionBy: setting(text().optional(), {
          about:
            'PARTITION BY expression of the ClickHouse table; over columns outside of the key `FINAL` needs `do_not_merge_across_partitions_select_final = 0`, the default of ClickHouse',
          expects: 'a ClickHouse expression',
        }),
        orderBy: setting(list(text()).pipe(z.array(z.string()).min(1)).optional(), {
          about:
            'columns of ORDER BY instead of the derived key, all of which must be among them; with others the first update or delete stops the table, unless it has `REPLICA IDENTITY FULL` in mode `wal`. Without a key `_version` must be among them',
          expects: 'a list of columns',
        }),
      }),
    ).default({}),
    { about: 'per table: `schema.table`', expects: 'a map from schema.table to options' },
  ),
  columns: setting(
    map(
      dottedName(3),
      section({
        type: setting(text().optional(), {
          about: 'ClickHouse type instead of the derived one',
          expects: 'a ClickHouse type',
        }),
        onInvalid: setting(
          // An unquoted null is YAML's null.
          z.preprocess(
            value => (value === null ? 'null' : value),
            z.enum(['fail', 'null', 'clamp', 'string']).default('fail'),
          ),
          {
            about: 'what happens to a value that the ClickHouse type cannot hold',
            expects: 'fail, null, clamp or string',
          },
        ),
      }),
    ).default({}),
    { about: 'per column: `schema.table.column`', expects: 'a map from schema.table.column to options' },
  ),
  snapshot: setting(z.enum(['initial', 'none']).default('initial'), {
    about: 'whether rows that exist at the start are copied first',
    expects: 'initial or none',
    flag: '--snapshot',
  }),
  postgres: section({
    url: setting(text().optional(), {
      about:
        'PostgreSQL to read from, as in `postgres://user:password@host:5432/database?sslmode=verify-full`; needed for mode `wal`',
      expects: 'a URL such as postgres://user:password@host:5432/database',
      flag: '--postgres',
      secret: true,
    }),
    password: setting(text().optional(), {
      about: 'password of the user, instead of one in the URL',
      expects: 'text',
      secret: true,
    }),
    slot: setting(
      z
        .string()
        .regex(/^[a-z0-9_]{1,63}$/)
        .optional(),
      {
        about: 'an existing replication slot, or the name of the one to make',
        expects: '1 to 63 lower-case letters, digits and underscores',
        flag: '--slot',
        fallback: '`wal_cdc_<pipeline>`',
      },
    ),
    publication: setting(
      z
        .string()
        .min(1)
        .refine(value => Buffer.byteLength(value) <= 63)
        .optional(),
      {
        about: 'an existing publication, or the name of the one to make',
        expects: 'a name of at most 63 bytes',
        flag: '--publication',
        fallback: '`wal_cdc_<pipeline>`',
      },
    ),
    ssl: section({
      mode: setting(z.enum(['disable', 'require', 'verify-ca', 'verify-full']).optional(), {
        about: "as PostgreSQL's `sslmode`; overrides the one in the URL",
        expects: 'disable, require, verify-ca or verify-full',
        fallback: 'that of the URL, otherwise `disable`',
      }),
      rootCert: pem('certificates of the authorities to trust'),
      cert: pem("the client's certificate"),
      key: setting(text().optional(), {
        about: "the client's private key: path of a PEM file, or the PEM text",
        expects: 'a path or PEM text',
        secret: true,
      }),
    }),
  }),
  kafka: section({
    brokers: setting(list(z.string().regex(/^(\[[0-9a-f:.]+\]|[^\s:[\]]+):\d{1,5}$/i)).default([]), {
      about: 'brokers to start from; needed for mode `cdc`',
      expects: 'a list of host:port',
      flag: '--kafka',
    }),
    topics: setting(list(text().refine(value => !throws(() => new RegExp(value)))).default(['cdc\\..*']), {
      about: 'regular expressions of the topics to read',
      expects: 'a list of regular expressions',
      flag: '--topics',
    }),
    group: setting(text().optional(), {
      about: 'consumer group',
      expects: 'text',
      fallback: '`wal_cdc_<pipeline>`',
    }),
    registry: setting(url(/^https?$/).optional(), {
      about: 'schema registry, for Avro',
      expects: 'a URL such as http://host:8081',
      flag: '--registry',
      secret: true,
    }),
    connect: setting(url(/^https?$/).optional(), {
      about: 'REST API of Kafka Connect, which `doctor` and `status` ask about the connector',
      expects: 'a URL such as http://host:8083',
      flag: '--connect',
      secret: true,
    }),
    connector: section({
      decimals: setting(z.enum(['string', 'precise', 'double']).default('string'), {
        about: "the connector's `decimal.handling.mode`, for messages without a schema",
        expects: 'string, precise or double',
      }),
      times: setting(
        z
          .enum([
            'isostring',
            'adaptive',
            'adaptive_time_microseconds',
            'connect',
            'microseconds',
            'nanoseconds',
          ])
          .default('isostring'),
        {
          about: "the connector's `time.precision.mode`, for messages without a schema",
          expects: 'isostring, adaptive, adaptive_time_microseconds, connect, microseconds or nanoseconds',
        },
      ),
      binary: setting(z.enum(['base64', 'base64-url-safe', 'hex', 'bytes']).default('base64'), {
        about: "the connector's `binary.handling.mode`, for messages without a schema",
        expects: 'base64, base64-url-safe, hex or bytes',
      }),
      intervals: setting(z.enum(['string', 'numeric']).default('string'), {
        about: "the connector's `interval.handling.mode`, for messages without a schema",
        expects: 'string or numeric',
      }),
      hstore: setting(z.enum(['json', 'map']).default('json'), {
        about: "the connector's `hstore.handling.mode`, for messages without a schema",
        expects: 'json or map',
      }),
      placeholder: setting(text().default('__debezium_unavailable_value'), {
        about: "the connector's `unavailable.value.placeholder`: stands for large values that did not change",
        expects: 'text',
      }),
    }),
    tls: section({
      enabled: setting(boolean().default(false), {
        about: 'whether connections use TLS',
        expects: 'true or false',
      }),
      rootCert: pem('certificates of the authorities to trust'),
      cert: pem("the client's certificate"),
      key: setting(text().optional(), {
        about: "the client's private key: path of a PEM file, or the PEM text",
        expects: 'a path or PEM text',
        secret: true,
      }),
    }),
    sasl: section({
      mechanism: setting(z.enum(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer']).optional(), {
        about: 'how to authenticate; not at all by default',
        expects: 'plain, scram-sha-256, scram-sha-512 or oauthbearer',
      }),
      username: setting(text().optional(), {
        about: 'user, for every mechanism but `oauthbearer`',
        expects: 'text',
      }),
      password: setting(text().optional(), { about: 'password', expects: 'text', secret: true }),
      token: setting(text().optional(), {
        about: 'token for `oauthbearer`, where it does not come from `tokenUrl`',
        expects: 'text',
        secret: true,
      }),
      tokenUrl: setting(url(/^https?$/).optional(), {
        about: 'where `oauthbearer` gets tokens: the token endpoint of an identity provider',
        expects: 'a URL such as https://host/oauth2/token',
      }),
      clientId: setting(text().optional(), {
        about: 'client that `tokenUrl` gives tokens to',
        expects: 'text',
      }),
      clientSecret: setting(text().optional(), {
        about: 'secret of that client',
        expects: 'text',
        secret: true,
      }),
      scope: setting(text().optional(), {
        about: 'what the token is for, as `tokenUrl` wants it',
        expects: 'text',
      }),
    }),
  }),
  clickhouse: section({
    url: setting(url(/^https?$/).optional(), {
      about: 'ClickHouse to write to, as in `http://user:password@host:8123`',
      expects: 'a URL such as http://user:password@host:8123',
      flag: '--clickhouse',
      secret: true,
      fallback: 'an embedded ClickHouse in `./.wal-cdc`',
    }),
    password: setting(text().optional(), {
      about: 'password of the user, instead of one in the URL',
      expects: 'text',
      secret: true,
    }),
    database: setting(
      text()
        .refine(value => value !== 'wal_cdc')
        .default('cdc'),
      {
        about: 'database of the tables of schema `public`; schema `s` goes to `<database>_s`',
        expects: "a name other than wal_cdc, which holds the service's own tables",
        flag: '--database',
      },
    ),
    cluster: setting(text().optional(), {
      about: 'cluster for `ON CLUSTER` and replicated engines',
      expects: 'the name of a cluster',
    }),
  }),
  metaColumns: section({
    version: metaColumn('_version', 'column of the version that orders the rows of a key'),
    deleted: metaColumn('_is_deleted', 'column that marks deleted rows'),
    committedAt: metaColumn('_committed_at', 'column of the commit time at the source'),
  }),
  arrays: section({
    nullFlag: setting(boolean().default(false), {
      about: 'adds `<column>__null Bool` beside nullable arrays, which ClickHouse cannot store as NULL',
      expects: 'true or false',
    }),
  }),
  batch: section({
    maxBytes: setting(size(64 * 2 ** 10, 2 ** 30).default(32 * 2 ** 20), {
      about: 'bytes of tuples after which a batch is written; half of them in mode `cdc`',
      expects: 'a size from 64KiB to 1GiB, such as 32MiB',
      fallback: '`32MiB`',
    }),
    maxDelayMs: setting(integer(0, 60_000).default(10), {
      about: 'how long a change may wait for others before its batch is written',
      expects: 'milliseconds from 0 to 60000',
    }),
  }),
  synthetic: section({
    rate: setting(integer(0, 10_000_000).default(1000), {
      about: 'rows per second that mode `synthetic` generates; 0: as many as the other side takes',
      expects: 'a whole number from 0 to 10000000',
      flag: '--rate',
    }),
    into: setting(z.enum(['clickhouse', 'postgres']).default('clickhouse'), {
      about:
        'where mode `synthetic` writes: ClickHouse, or the table `public.user_events` of PostgreSQL, for another pipeline to read',
      expects: 'clickhouse or postgres',
      flag: '--into',
    }),
    seed: setting(integer(0, maxInt).default(42), {
      about: 'the same seed generates the same rows',
      expects: 'a whole number from 0',
    }),
    users: setting(integer(1, 1_000_000_000).default(10_000), {
      about: 'different users among the rows; ten events of each come to a day',
      expects: 'a whole number from 1 to 1000000000',
    }),
    updates: setting(share(mostChanged).default(0.05), {
      about: 'share of updates among the changes',
      expects: `a share from 0 to ${mostChanged}, such as 0.05`,
    }),
    deletes: setting(share(mostChanged / 2).default(0.01), {
      about: `share of deletes among the changes; updates and twice the deletes come to ${mostChanged} at most`,
      expects: `a share from 0 to ${mostChanged / 2}, such as 0.01`,
    }),
    start: setting(
      text()
        .refine(
          value =>
            /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(value) && !Number.isNaN(Date.parse(value)),
        )
        .default('2025-01-01'),
      {
        about: 'time at which the first event occurs',
        expects: 'a date such as 2025-01-01, or a time such as 2025-01-01T12:00:00Z',
      },
    ),
  }),
  listen: setting(
    z
      .string()
      .regex(/^(\[[0-9a-f:.]+\]|[^\s:[\]]+):\d{1,5}$/i)
      .refine(value => Number(value.slice(value.lastIndexOf(':') + 1)) < 65536)
      .default('127.0.0.1:8080'),
    {
      about: 'address of health checks, metrics, API and status page',
      expects: 'host:port, as in 127.0.0.1:8080 or [::1]:8080',
      flag: '--listen',
    },
  ),
  token: setting(text().optional(), {
    about: 'guards the API and the status page; needed when `listen` is not on loopback',
    expects: 'text',
    secret: true,
  }),
  freshnessObjectiveMs: setting(integer(1, maxInt).default(5000), {
    about: 'freshness above which the service warns and status is marked',
    expects: 'milliseconds from 1',
  }),
  log: section({
    level: setting(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'), {
      about: 'what is logged; `debug` adds stack traces',
      expects: 'trace, debug, info, warn, error or silent',
    }),
    format: setting(z.enum(['auto', 'pretty', 'json']).default('auto'), {
      about: '`auto` is readable on a terminal and JSON otherwise',
      expects: 'auto, pretty or json',
    }),
  }),
});

export type Settings = z.output<typeof schema>;
