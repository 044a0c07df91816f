import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { SettingInput } from './config/setting-sources.ts';
import { leaves, variableOf } from './config/setting-tree.ts';
import { columnOptions, describeConfig, loadConfig, tableOptions } from './config.ts';
import { CdcError } from './core/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function write(text: string): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** The lines of the error, with the name of the configuration file shortened. */
function problems(input: SettingInput): string {
  try {
    loadConfig(input);
  } catch (error) {
    assert.ok(error instanceof CdcError && error.code === 'CONFIG_INVALID', String(error));
    assert.equal(error.exitCode, 2);
    return input.file ? error.message.replaceAll(input.file, 'c.yaml') : error.message;
  }
  throw new assert.AssertionError({ message: 'no error' });
}

const fromYaml = (text: string) => problems({ file: write(text) });

test('without settings everything has its default', () => {
  const config = loadConfig({});
  assert.equal(config.mode, 'synthetic');
  assert.deepEqual(config.tables, ['*.*']);
  assert.deepEqual(config.postgres, {
    address: undefined,
    slot: 'wal_cdc_synthetic',
    slotGiven: false,
    publication: 'wal_cdc_synthetic',
    publicationGiven: false,
  });
  assert.equal(config.clickhouse.url, undefined);
  assert.equal(config.clickhouse.database, 'cdc');
  assert.deepEqual(config.batch, { maxBytes: 33_554_432, maxDelayMs: 10 });
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8080 });
});

test('flags win over variables, variables over the file', () => {
  const file = write(
    'mode: wal\npipeline: from_file\nbatch: { maxDelayMs: 1, maxBytes: 1MiB }\npostgres: { slot: from_file }\n',
  );
  const env = {
    WAL_CDC_PIPELINE: 'from_env',
    WAL_CDC_BATCH_MAXDELAYMS: '2',
    WAL_CDC_POSTGRES_SLOT: 'from_env',
    WAL_CDC_TABLES: 'public.*, "a,b".c',
    HOME: '/',
  };
  const flags = { pipeline: 'from_flag', 'postgres.url': 'postgres://me@h/app', tables: undefined };
  const config = loadConfig({ file, env, flags });
  assert.equal(config.pipeline, 'from_flag');
  assert.deepEqual(config.batch, { maxBytes: 1_048_576, maxDelayMs: 2 });
  assert.equal(config.postgres.slot, 'from_env');
  assert.equal(config.postgres.slotGiven, true);
  assert.equal(config.postgres.publication, 'wal_cdc_from_flag');
  assert.equal(config.postgres.address?.url, 'postgres://me@h/app');
  assert.deepEqual(config.tables, ['public.*', '"a,b".c']);
  assert.equal(loadConfig({ env: { WAL_CDC_CONFIG: write('pipeline: named\n') } }).pipeline, 'named');
});

test('every setting can be given by its variable, and by a file', () => {
  const values: Record<string, string> = {
    mode: 'wal',
    tableOptions: '{ "public.t": { onError: dead-letter } }',
    columns: '{"public.t.c": {"onInvalid": "clamp"}}',
    'postgres.url': 'postgres://me@h/app',
    'postgres.ssl.mode': 'verify-full',
    'kafka.brokers': 'a:9092,b:9092',
    'kafka.registry': 'http://h:8081',
    'kafka.connect': 'http://h:8083',
    'kafka.connector.decimals': 'precise',
    'kafka.connector.times': 'connect',
    'kafka.connector.binary': 'hex',
    'kafka.connector.intervals': 'numeric',
    'kafka.connector.hstore': 'map',
    'kafka.tls.enabled': 'true',
    'kafka.sasl.tokenUrl': 'https://h/token',
    'clickhouse.url': 'http://me@h:8123',
    'arrays.nullFlag': 'true',
    snapshot: 'none',
    tables: '[public.*]',
    exclude: 'public.x',
    listen: '[::1]:0',
    'synthetic.into': 'postgres',
    'synthetic.updates': '0.5',
    'synthetic.deletes': '.2',
    'synthetic.start': '2024-02-29T12:00:00+01:00',
    'batch.maxBytes': '1 GiB',
    'log.level': 'debug',
    'log.format': 'json',
  };
  const pem = '-----BEGIN X-----\nx\n-----END X-----';
  // Of each mechanism, what it does not take.
  const mechanisms = {
    plain: /sasl\.(token|tokenUrl|clientId|clientSecret|scope)$/,
    oauthbearer: /sasl\.(username|password|token)$/,
    'oauthbearer with a token': /sasl\.(username|password|tokenUrl|clientId|clientSecret|scope)$/,
  };
  const sasl = {
    plain: { mechanism: 'plain', username: 'x_username', password: 'x_password' },
    oauthbearer: {
      mechanism: 'oauthbearer',
      tokenUrl: 'https://h/token',
      clientId: 'x_clientid',
      clientSecret: 'x_clientsecret',
      scope: 'x_scope',
    },
    'oauthbearer with a token': { mechanism: 'oauthbearer', token: 'x_token' },
  };
  for (const [suffix, mechanism] of ['', '_FILE'].flatMap(suffix =>
    Object.keys(mechanisms).map(mechanism => [suffix, mechanism] as const),
  )) {
    values['kafka.sasl.mechanism'] = mechanism.split(' ')[0]!;
    const env: Record<string, string> = {};
    for (const { path, info } of leaves) {
      if (path.includes('*') || mechanisms[mechanism as keyof typeof mechanisms].test(path)) continue;
      const name = path.split('.').at(-1)!;
      const value =
        values[path] ??
        (/(rootCert|cert|\.key)$/.test(path)
          ? pem
          : /(Ms|rate|seed|users)$/.test(path)
            ? '77'
            : `x_${name.toLowerCase()}`);
      assert.ok(info.expects && info.about, path);
      env[variableOf(path) + suffix] = suffix ? write(`${value}\n`) : value;
    }
    const config = loadConfig({ env });
    assert.equal(config.freshnessObjectiveMs, 77);
    assert.equal(config.token, 'x_token');
    assert.deepEqual(config.kafka.tls, { ca: pem, cert: pem, key: pem });
    assert.deepEqual(config.kafka.sasl, sasl[mechanism as keyof typeof sasl]);
    assert.deepEqual(config.listen, { host: '::1', port: 0 });
    assert.equal(config.clickhouse.password, 'x_password');
    assert.equal(config.postgres.address?.url, 'postgres://me:x_password@h/app?sslmode=verify-full');
    assert.equal(tableOptions(config, 'public', 't').onError, 'dead-letter');
  }
});

test('options of tables and columns are found by name, quoted or not', () => {
  const config = loadConfig({
    file: write(
      `tableOptions: { '"public".t': { orderBy: [a, b] } }\ncolumns: { 's."a.b".c': { onInvalid: null } }\n`,
    ),
  });
  assert.deepEqual(tableOptions(config, 'public', 't'), { onError: 'stop', orderBy: ['a', 'b'] });
  assert.deepEqual(tableOptions(config, 'public', 'u'), { onError: 'stop' });
  assert.deepEqual(columnOptions(config, 's', 'a.b', 'c'), { onInvalid: 'null' });
  assert.deepEqual(columnOptions(config, 's', 'a', 'b.c'), { onInvalid: 'fail' });
});

test('an unknown key is named with its place and the nearest known one', () => {
  assert.equal(
    fromYaml('mode: synthetic\npostgre:\n  url: x\n'),
    'c.yaml:2: unknown setting postgre; the nearest is postgres',
  );
  assert.equal(
    fromYaml('batch:\n  maxBytes: 1MiB\n  maxDelay: 5\n'),
    'c.yaml:3: unknown setting batch.maxDelay; the nearest is batch.maxDelayMs',
  );
  assert.equal(fromYaml('slot: mine\n'), 'c.yaml:1: unknown setting slot; the nearest is postgres.slot');
  assert.equal(
    fromYaml('columns:\n  a.b.c:\n    onInvald: fail\n'),
    'c.yaml:3: unknown setting columns.a.b.c.onInvald; the nearest is columns.a.b.c.onInvalid',
  );
  assert.equal(
    problems({ env: { WAL_CDC_POSTGERS_URL: 'x' } }),
    'unknown environment variable WAL_CDC_POSTGERS_URL; the nearest is WAL_CDC_POSTGRES_URL',
  );
  assert.equal(
    problems({ env: { WAL_CDC_TOKN_FILE: 'x' } }),
    'unknown environment variable WAL_CDC_TOKN_FILE; the nearest is WAL_CDC_TOKEN',
  );
});

test('a wrong value is named with its origin and what is expected', () => {
  assert.equal(
    fromYaml('batch:\n  maxBytes: 32 potatoes\n'),
    'c.yaml:2: batch.maxBytes is "32 potatoes", expected a size from 64KiB to 1GiB, such as 32MiB',
  );
  assert.equal(
    problems({ env: { WAL_CDC_BATCH_MAX_DELAY_MS: '5s' } }),
    'WAL_CDC_BATCH_MAX_DELAY_MS is "5s", expected milliseconds from 0 to 60000',
  );
  assert.equal(problems({ flags: { mode: 'wall' } }), '--mode is "wall", expected synthetic, cdc or wal');
  assert.equal(
    fromYaml('tables: ["public.*", orders]\n'),
    'c.yaml:1: tables is "orders", expected a list of schema.table patterns, as in public.*',
  );
  assert.match(fromYaml('tables: []\n'), /tables is \[\], expected a list/);
  assert.match(fromYaml('clickhouse:\n  url:\n'), /c\.yaml:2: clickhouse.url has no value, expected a URL/);
  assert.match(fromYaml('log: debug\n'), /c\.yaml:1: log is not a map of settings/);
  assert.match(
    fromYaml('tableOptions: { orders: {} }\n'),
    /c\.yaml:1: tableOptions\.orders: expected a map from schema\.table/,
  );
  assert.match(fromYaml('token: 1234\n'), /token is \*\*\*, expected text \(in quotes\)/);
  assert.match(problems({ flags: { listen: '8080' } }), /--listen is "8080", expected host:port/);
  assert.match(problems({ env: { WAL_CDC_TOKEN: '' } }), /WAL_CDC_TOKEN is empty/);
  assert.match(
    problems({ env: { WAL_CDC_TOKEN_FILE: '/no/such' } }),
    /WAL_CDC_TOKEN_FILE: cannot read \/no\/such: no such file/,
  );
  assert.match(problems({ env: { WAL_CDC_TOKEN: 'a', WAL_CDC_TOKEN_FILE: 'b' } }), /are the same setting/);
});

test('several problems are told at once', () => {
  const message = fromYaml('batch: { maxDelayMs: -1 }\nmodus: wal\n');
  assert.match(message, /^2 settings are wrong:\n/);
  assert.match(message, /batch\.maxDelayMs is -1/);
  assert.match(message, /unknown setting modus; the nearest is mode/);
});

test('what is not a readable YAML map is told with its line', () => {
  assert.match(fromYaml('mode: wal\nmode: cdc\n'), /c\.yaml:2: not valid YAML: Map keys must be unique/);
  assert.match(fromYaml('mode: "s3cret\n'), /^c\.yaml:\d: not valid YAML: [^s]*(?!.*s3cret)/);
  assert.match(fromYaml('tables: [*.*]\n'), /patterns that begin with "\*" must be in quotes/);
  assert.match(fromYaml('- mode\n'), /not a map of settings/);
  assert.match(problems({ file: '/no/such.yaml' }), /cannot read the configuration file .*: no such file/);
  assert.equal(loadConfig({ file: write('# nothing yet\nkafka:\n') }).mode, 'synthetic');
});

test('settings that contradict each other are refused', () => {
  assert.match(problems({ flags: { mode: 'wal' } }), /mode wal needs postgres\.url/);
  assert.match(problems({ flags: { mode: 'cdc' } }), /mode cdc needs kafka\.brokers/);
  assert.match(
    problems({ flags: { 'postgres.url': 'postgres://h' } }),
    /^--postgres is given, but mode is synthetic by default/,
  );
  assert.match(problems({ flags: { 'synthetic.into': 'postgres' } }), /^--into is postgres, which needs/);
  loadConfig({ flags: { 'postgres.url': 'postgres://h', 'synthetic.into': 'postgres' } });
  assert.match(
    fromYaml('synthetic: { updates: 0.8, deletes: 0.1 }\n'),
    /c\.yaml:1: synthetic.updates and twice synthetic.deletes come to more than 0.9/,
  );
  assert.match(fromYaml('synthetic: { start: 2025-13-01 }\n'), /expected a date such as/);
  assert.match(problems({ flags: { listen: '0.0.0.0:80' } }), /reachable from outside .*: set token/);
  assert.equal(loadConfig({ flags: { listen: '0.0.0.0:80' }, env: { WAL_CDC_TOKEN: 't' } }).listen.port, 80);
  assert.match(
    problems({ flags: { 'clickhouse.database': 'wal_cdc' } }),
    /--database is "wal_cdc", expected a name other than/,
  );
  assert.match(fromYaml('metaColumns: { version: v, deleted: v }\n'), /three names must differ/);
  assert.match(
    fromYaml('clickhouse: { password: x }\n'),
    /c\.yaml:1: clickhouse.password needs clickhouse.url/,
  );
  assert.match(
    fromYaml('clickhouse: { url: "http://h:8123/cdc" }\n'),
    /the database goes into clickhouse\.database/,
  );
});

test('settings of SASL must fit the mechanism', () => {
  const sasl = (settings: string) => fromYaml(`kafka: { sasl: { ${settings} } }\n`);
  assert.match(sasl('username: a'), /kafka\.sasl needs mechanism/);
  assert.match(sasl('mechanism: plain, username: a'), /kafka\.sasl needs username and password/);
  assert.match(sasl('mechanism: scram-sha-512, token: a'), /has settings of oauthbearer/);
  assert.match(sasl('mechanism: oauthbearer, username: a'), /oauthbearer does not use/);
  assert.match(sasl('mechanism: oauthbearer, tokenUrl: "http://h"'), /needs token, or tokenUrl with/);
  assert.match(sasl('mechanism: oauthbearer, token: a, scope: b'), /either token or tokenUrl/);
});

test('variables that Kubernetes adds for a service are not settings', () => {
  loadConfig({
    env: {
      WAL_CDC_SERVICE_HOST: '10.0.0.1',
      WAL_CDC_SERVICE_PORT_HTTP: '8080',
      WAL_CDC_PORT: 'tcp://10.0.0.1:8080',
      WAL_CDC_PORT_8080_TCP_ADDR: '10.0.0.1',
      WAL_CDC_METRICS_SERVICE_HOST: '10.0.0.1',
    },
  });
  assert.match(
    problems({ env: { WAL_CDC_POSTGRES_PORT: '5432' } }),
    /unknown environment variable WAL_CDC_POSTGRES_PORT/,
  );
});

test('secrets are never printed, whatever else is wrong', () => {
  const secret = fc
    .string({ minLength: 4, maxLength: 12, unit: fc.constantFrom(...'abcXYZ019_-.~!*') })
    .map(text => `Qz7${text}`);
  const secretPaths = leaves.filter(leaf => leaf.info.secret).map(leaf => leaf.path);
  const others = {
    'batch.maxDelayMs': ['1', 'x'],
    mode: ['wal', 'cdc', 'x'],
    listen: ['127.0.0.1:1', '0.0.0.0:1', 'x'],
  };
  const pick = (values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
  let printed = 0;
  fc.assert(
    fc.property(
      secret,
      fc.subarray(secretPaths),
      fc.constantFrom('', ':', '/', '@', '#', '?', '%', ' ', '"', "'", '&', '<'),
      fc.boolean(),
      fc.record({
        'batch.maxDelayMs': pick(others['batch.maxDelayMs']),
        mode: pick(others.mode),
        listen: pick(others.listen),
      }),
      (hidden, paths, special, registry, rest) => {
        const given = Object.fromEntries(
          paths.map(path => [
            path,
            path.endsWith('url') ? `postgres://me:${hidden}${special}${hidden}@h/app` : hidden,
          ]),
        );
        if (given['clickhouse.url'])
          given['clickhouse.url'] = given['clickhouse.url'].replace('postgres', 'http');
        if (registry) given['kafka.registry'] = `http://me:${hidden}${special}${hidden}@h:1`;
        if (registry) given['kafka.connect'] = `http://me:${hidden}${special}${hidden}@h:2`;
        for (const flags of [{ ...given, ...rest }, given]) {
          let text: string;
          try {
            text = JSON.stringify(describeConfig(loadConfig({ flags })));
            printed++;
          } catch (error) {
            assert.ok(error instanceof CdcError, String(error));
            text = error.message + error.hint;
          }
          assert.ok(!text.includes('Qz7'), text);
        }
      },
    ),
  );
  assert.ok(printed > 0, 'no configuration was valid');
});
