import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { normalizePostgresUrl } from './config/postgres-url.ts';
import { redacted, redactText } from './config/redact.ts';
import { mostChanged, type Settings, schema } from './config/schema.ts';
import {
  type GatheredSettings,
  gatherSettings,
  reasonOf,
  type SettingInput,
} from './config/setting-sources.ts';
import { leafAt, leaves, nearestSetting } from './config/setting-tree.ts';
import { parseDottedName } from './config/table-patterns.ts';
import { CdcError } from './core/errors.ts';
import type { Sasl } from './sources/kafka/sasl.ts';
import type { PostgresAddress } from './sources/wal/connect.ts';

export type Mode = Settings['mode'];
export type TableOptions = Settings['tableOptions'][string];
export type ColumnOptions = Settings['columns'][string];
/** PEM texts. */
export interface TlsDetails {
  ca?: string;
  cert?: string;
  key?: string;
}

/** Checked, with defaults filled in; a given file, environment and flags always make the same one. */
export interface Config
  extends Pick<
    Settings,
    | 'mode'
    | 'tables'
    | 'exclude'
    | 'snapshot'
    | 'metaColumns'
    | 'arrays'
    | 'batch'
    | 'synthetic'
    | 'token'
    | 'freshnessObjectiveMs'
    | 'log'
  > {
  pipeline: string;
  /** Whether the settings say which pipeline is meant, by its name or by its mode. */
  pipelineGiven: boolean;
  /** By name with every part quoted: look up with `tableOptions`. */
  tableOptions: Readonly<Record<string, TableOptions>>;
  /** By name with every part quoted: look up with `columnOptions`. */
  columns: Readonly<Record<string, ColumnOptions>>;
  postgres: {
    /** Present when postgres.url is given; always in mode `wal`. */
    address?: PostgresAddress;
    slot: string;
    /** Whether the user named the slot, rather than the pipeline. */
    slotGiven: boolean;
    publication: string;
    publicationGiven: boolean;
  };
  kafka: Pick<Settings['kafka'], 'brokers' | 'topics' | 'registry' | 'connect' | 'connector'> & {
    group: string;
    /** Whether the user named the group, rather than the pipeline. */
    groupGiven: boolean;
    tls?: TlsDetails;
    sasl?: Sasl;
  };
  clickhouse: {
    /** `http://host:port`, without user and password; undefined stands for the embedded one in `./.wal-cdc`. */
    url?: string;
    user: string;
    password: string;
    database: string;
    cluster?: string;
  };
  listen: { host: string; port: number };
}

/** Settings of file < environment < flags. Throws `CdcError` CONFIG_INVALID that names everything that is wrong. */
export function loadConfig(input: SettingInput): Config {
  const file = input.file ?? (input.env?.WAL_CDC_CONFIG || undefined);
  const given = gatherSettings({ ...input, file });
  const parsed = schema.safeParse(given.values);
  const problems = [...given.problems];
  let config: Config | undefined;
  if (parsed.success) config = resolve(parsed.data, given, problems);
  else problems.push(...parsed.error.issues.flatMap(issue => explain(issue, given)));
  const distinct = [...new Set(problems)];
  if (distinct.length > 0 || !config)
    throw new CdcError(
      'CONFIG_INVALID',
      distinct.length === 1
        ? distinct[0]!
        : `${distinct.length} settings are wrong:\n${distinct.map(problem => `  ${problem}`).join('\n')}`,
    );
  return config;
}

function explain(issue: z.core.$ZodIssue, given: GatheredSettings): string[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(key => {
      const path = [...issue.path, key];
      return `${given.place(path)}unknown setting ${path.join('.')}; the nearest is ${nearestSetting(issue.path, key)}`;
    });
  const found = leafAt(issue.path);
  if (!found) return [`${given.describe(issue.path) || 'the configuration'} is not a map of settings`];
  const { leaf, depth } = found;
  if (issue.code === 'invalid_key')
    return [`${given.describe(issue.path)}: expected ${leaf.info.expects}, names with dots in double quotes`];
  const path = issue.path.slice(0, depth);
  const value = valueAt(given.values, issue.path) ?? valueAt(given.values, path);
  const origin = given.describe(path);
  if (value === undefined || value === null) return [`${origin} has no value, expected ${leaf.info.expects}`];
  const unquoted = issue.code === 'invalid_type' && issue.expected === 'string' ? ' (in quotes)' : '';
  const shown = showValue(value, leaf.info.secret && mayHold(leaf.path, value));
  return [`${origin} is ${shown}, expected ${leaf.info.expects}${unquoted}`];
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let at = root;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}

/** Whether a secret setting has a secret in it: a URL only behind a user, or in its query. */
function mayHold(path: string, value: unknown): boolean {
  return !path.endsWith('url') || /[@?]/.test(String(value));
}

function showValue(value: unknown, secret = false): string {
  if (secret) return redacted;
  const text = redactText(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** Derives names and checks what settings say together. */
function resolve(settings: Settings, given: GatheredSettings, problems: string[]): Config {
  const problem = (path: string, text: string) => problems.push(`${given.describe(path.split('.'))} ${text}`);
  const { mode, postgres, clickhouse, kafka, synthetic } = settings;
  // Generated rows go by a name of their own: with the same settings, the pipeline that they stand in for comes later.
  const pipeline = settings.pipeline ?? (mode === 'synthetic' ? 'synthetic' : 'default');
  const ownName = `wal_cdc_${pipeline}`;

  if (mode === 'wal' && postgres.url === undefined) problems.push('mode wal needs postgres.url (--postgres)');
  if (mode === 'cdc' && kafka.brokers.length === 0) problems.push('mode cdc needs kafka.brokers (--kafka)');
  const writesPostgres = mode === 'synthetic' && synthetic.into === 'postgres';
  if (writesPostgres && postgres.url === undefined)
    problem('synthetic.into', 'is postgres, which needs postgres.url (--postgres)');
  if (synthetic.updates + 2 * synthetic.deletes > mostChanged)
    problem('synthetic.updates', `and twice synthetic.deletes come to more than ${mostChanged}`);
  if (given.values.mode === undefined && !writesPostgres) {
    // Otherwise generated rows would arrive where those of the source are expected.
    if (postgres.url !== undefined)
      problem('postgres.url', 'is given, but mode is synthetic by default: add mode wal or cdc');
    else if (kafka.brokers.length > 0)
      problem('kafka.brokers', 'is given, but mode is synthetic by default: add mode cdc');
  }
  const listen = parseListen(settings.listen);
  if (!isLoopback(listen.host) && settings.token === undefined)
    problem(
      'listen',
      `is reachable from outside (${listen.host}): set token (WAL_CDC_TOKEN or WAL_CDC_TOKEN_FILE)`,
    );
  const metaNames = Object.values(settings.metaColumns);
  if (new Set(metaNames).size < metaNames.length) problems.push('metaColumns: the three names must differ');

  return {
    ...settings,
    pipeline,
    pipelineGiven: settings.pipeline !== undefined || given.values.mode !== undefined,
    tableOptions: quoteKeys(settings.tableOptions, 2),
    columns: quoteKeys(settings.columns, 3),
    postgres: {
      address: resolvePostgres(postgres, problem),
      slot: postgres.slot ?? ownName,
      slotGiven: postgres.slot !== undefined,
      publication: postgres.publication ?? ownName,
      publicationGiven: postgres.publication !== undefined,
    },
    kafka: resolveKafka(kafka, ownName, problem),
    clickhouse: resolveClickHouse(clickhouse, problem),
    listen,
  };
}

type Problem = (path: string, text: string) => void;

function resolvePostgres(postgres: Settings['postgres'], problem: Problem): PostgresAddress | undefined {
  const { mode, rootCert, cert, key } = postgres.ssl;
  const details = readTls('postgres.ssl', { rootCert, cert, key }, problem);
  if (postgres.url === undefined) return undefined;
  try {
    const url = normalizePostgresUrl(postgres.url, {
      password: postgres.password,
      sslMode: mode ?? (details && !/[?&]sslmode=/.test(postgres.url) ? 'verify-full' : undefined),
    });
    if (details && url.includes('sslmode=disable'))
      problem('postgres.ssl', 'has certificates, but sslmode is disable');
    return { url, ...(details && { ssl: details }) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    problem('postgres.url', error.message);
    return undefined;
  }
}

function resolveClickHouse(clickhouse: Settings['clickhouse'], problem: Problem): Config['clickhouse'] {
  const { database, cluster } = clickhouse;
  if (clickhouse.url === undefined) {
    if (clickhouse.password !== undefined) problem('clickhouse.password', 'needs clickhouse.url');
    return { user: 'default', password: '', database, cluster };
  }
  const url = new URL(clickhouse.url);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    problem('clickhouse.url', 'has more behind host and port; the database goes into clickhouse.database');
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      problem('clickhouse.url', 'has a "%" in user or password that must be written as %25');
      return part;
    }
  };
  return {
    url: url.origin,
    user: decode(url.username) || 'default',
    password: clickhouse.password ?? decode(url.password),
    database,
    cluster,
  };
}

function resolveKafka(kafka: Settings['kafka'], ownName: string, problem: Problem): Config['kafka'] {
  const { enabled, ...files } = kafka.tls;
  const details = readTls('kafka.tls', files, problem);
  if (details && !enabled) problem('kafka.tls', 'has certificates, but kafka.tls.enabled is false');
  const sasl = resolveSasl(kafka.sasl, problem);
  return {
    brokers: kafka.brokers,
    topics: kafka.topics,
    registry: kafka.registry && new URL(kafka.registry).href,
    connect: kafka.connect && new URL(kafka.connect).href,
    group: kafka.group ?? ownName,
    groupGiven: kafka.group !== undefined,
    connector: kafka.connector,
    ...(enabled && { tls: details ?? {} }),
    ...(sasl && { sasl }),
  };
}

function resolveSasl(sasl: Settings['kafka']['sasl'], problem: Problem): Sasl | undefined {
  const { mechanism, username, password, token, tokenUrl, clientId, clientSecret, scope } = sasl;
  const wrong = (text: string) => {
    problem('kafka.sasl', text);
    return undefined;
  };
  const hasUser = username !== undefined || password !== undefined;
  const hasToken = [token, tokenUrl, clientId, clientSecret, scope].some(value => value !== undefined);
  if (!mechanism) return hasUser || hasToken ? wrong('needs mechanism') : undefined;
  if (mechanism !== 'oauthbearer') {
    if (hasToken) return wrong(`has settings of oauthbearer, but mechanism is ${mechanism}`);
    if (username === undefined || password === undefined) return wrong('needs username and password');
    return { mechanism, username, password };
  }
  if (hasUser) return wrong('has username or password, which oauthbearer does not use');
  if (token !== undefined) {
    const others = [tokenUrl, clientId, clientSecret, scope].some(value => value !== undefined);
    return others ? wrong('needs either token or tokenUrl, not both') : { mechanism, token };
  }
  if (tokenUrl === undefined || clientId === undefined || clientSecret === undefined)
    return wrong('needs token, or tokenUrl with clientId and clientSecret');
  return { mechanism, tokenUrl, clientId, clientSecret, ...(scope !== undefined && { scope }) };
}

/** Certificates given as paths become texts; undefined when none is given. */
function readTls(
  path: string,
  files: { rootCert?: string; cert?: string; key?: string },
  problem: Problem,
): TlsDetails | undefined {
  const read = (name: 'rootCert' | 'cert' | 'key') => {
    const value = files[name];
    if (value === undefined || value.startsWith('-----BEGIN')) return value;
    try {
      const pem = readFileSync(value, 'utf8');
      if (pem.includes('-----BEGIN')) return pem;
      problem(`${path}.${name}`, 'names a file that is not PEM');
    } catch (error) {
      problem(`${path}.${name}`, `names a file that cannot be read: ${reasonOf(error)}`);
    }
    return undefined;
  };
  const details: TlsDetails = { ca: read('rootCert'), cert: read('cert'), key: read('key') };
  if ((details.cert === undefined) !== (details.key === undefined))
    problem(path, 'needs cert and key together');
  return Object.values(details).some(value => value !== undefined) ? details : undefined;
}

function parseListen(text: string): Config['listen'] {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function quoteKeys<T>(map: Record<string, T>, parts: number): Record<string, T> {
  return Object.fromEntries(
    Object.entries(map).map(([name, value]) => [quoteName(parseDottedName(name, parts)), value]),
  );
}

function quoteName(parts: string[]): string {
  return parts.map(part => `"${part.replaceAll('"', '""')}"`).join('.');
}

export function tableOptions(config: Config, schema: string, table: string): TableOptions {
  return config.tableOptions[quoteName([schema, table])] ?? { onError: 'stop' };
}

export function columnOptions(config: Config, schema: string, table: string, column: string): ColumnOptions {
  return config.columns[quoteName([schema, table, column])] ?? { onInvalid: 'fail' };
}

/** The configuration for logs and `doctor`: secrets replaced. */
export function describeConfig(config: Config): Record<string, unknown> {
  return redactSecrets(config, '') as Record<string, unknown>;
}

const secretNames = new Set([
  'password',
  'key',
  ...leaves
    .filter(leaf => leaf.info.secret && !leaf.path.endsWith('url'))
    .map(leaf => leaf.path.split('.').at(-1)!),
]);

function redactSecrets(value: unknown, name: string): unknown {
  if (typeof value === 'string') return secretNames.has(name) && value !== '' ? redacted : redactText(value);
  if (Array.isArray(value)) return value.map(item => redactSecrets(item, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [key, redactSecrets(inner, key)]),
  );
}
