import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import pg from 'pg';
import { CdcError, type ErrorCode } from '../../core/errors.ts';
import { RawSocket } from './raw-socket.ts';

/** How to reach PostgreSQL; `url` in libpq's form, with libpq's meaning of `sslmode`. */
export interface PostgresAddress {
  url: string;
  /** TLS details beyond the URL: PEM texts. */
  ssl?: { ca?: string; cert?: string; key?: string } | undefined;
}

/**
 * Settings of a role or database leak into the text that pgoutput and COPY send: every session pins them.
 * The timeouts would end a long copy; row_security=off turns a silent subset into an error.
 */
const pinnedSettings = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  lc_monetary: 'C',
  client_encoding: 'UTF8',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  row_security: 'off',
  standard_conforming_strings: 'on',
  default_transaction_read_only: 'off',
};

/** As those timeouts; servers before 17 do not have it, and would refuse it among the others. */
const withoutTransactionTimeout =
  "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'";

/** An open, authenticated session with pinned settings. Errors are `CdcError`s that name the address. */
export async function connect(
  address: PostgresAddress,
  options: { replication?: boolean; statementTimeoutMs?: number } = {},
): Promise<pg.Client> {
  const settings = Object.entries({
    ...pinnedSettings,
    ...(options.statementTimeoutMs ? { statement_timeout: String(options.statementTimeoutMs) } : {}),
  })
    .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
    .join(' ');
  const url = new URL(address.url);
  const ssl = tlsOptions(url, address.ssl);
  const client = new pg.Client({
    connectionString: withoutTlsParameters(url),
    ...(ssl ? { ssl } : {}),
    ...(options.replication ? { replication: 'database' } : {}),
    application_name: 'wal-cdc',
    options: settings,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // TLS reads from the socket in its own way.
    stream: ({ ssl }: { ssl?: unknown }) => (ssl ? new Socket() : new RawSocket()),
  } as object);
  // Without a listener a connection that breaks while idle would end the process; the next query reports it.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(withoutTransactionTimeout);
  } catch (error) {
    await client.end().catch(() => {});
    throw connectError(error, url, ssl !== undefined);
  }
  nameOutages(client);
  return client;
}

/** A connection that breaks during a query, or a server that shuts down: a `CdcError` that passes, whoever asked. */
function nameOutages(client: pg.Client): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const queryOrOutage = (...args: unknown[]) =>
    query(...args).catch(error => {
      const { code = '' } = error as { code?: string };
      throw !isSqlState(code) || /^(08|57P)/.test(code) ? queryError(error, 'asking PostgreSQL') : error;
    });
  client.query = queryOrOutage as typeof client.query;
}

const isSqlState = (code: string) => /^[0-9A-Z]{5}$/.test(code);

const tlsParameters = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'];

function withoutTlsParameters(url: URL): string {
  const copy = new URL(url);
  for (const name of tlsParameters) copy.searchParams.delete(name);
  return copy.toString();
}

/** libpq's `sslmode`s (docs: "SSL Support", table of modes) as Node has them; `undefined` is an open connection. */
function tlsOptions(url: URL, details: PostgresAddress['ssl']): TlsOptions | undefined {
  const [mode, rootCert, cert, key] = tlsParameters.map(name => url.searchParams.get(name) ?? undefined);
  if (mode === 'disable' || (mode === undefined && !details)) return undefined;
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path, 'utf8'));
  const ca = details?.ca ?? read(rootCert);
  return {
    ca,
    cert: details?.cert ?? read(cert),
    key: details?.key ?? read(key),
    // `require` with a root certificate verifies it, as `verify-ca` does.
    rejectUnauthorized: mode !== 'require' || ca !== undefined,
    ...(mode === 'verify-ca' || mode === 'require' ? { checkServerIdentity: () => undefined } : {}),
  };
}

/** `host:port/database as user`, without the password. */
export function describeAddress(address: string | URL): string {
  const url = new URL(address);
  const host = url.hostname || url.searchParams.get('host') || 'localhost';
  return `${host}:${url.port || 5432}${url.pathname} as ${decodeURIComponent(url.username) || 'the current user'}`;
}

function connectError(error: unknown, url: URL, tlsWanted: boolean): CdcError {
  const { code = '' } = error as { code?: string };
  // Node adds advice about itself to what is wrong with a certificate.
  const message = (error instanceof Error ? error.message || code : String(error)).replace(
    /; if the root CA.*/,
    '',
  );
  const fail = (kind: ErrorCode, hint?: string) =>
    new CdcError(kind, `PostgreSQL at ${describeAddress(url)}: ${message}`, { cause: error, hint });
  if (code === '3D000') return fail('SOURCE_AUTH', 'Check the database name at the end of postgres.url.');
  if (code.startsWith('28')) return fail('SOURCE_AUTH');
  if (code === '42501') return fail('SOURCE_PRIVILEGE');
  if (code === '53300')
    return fail(
      'SOURCE_UNREACHABLE',
      'Raise max_connections or max_wal_senders (and restart PostgreSQL), or end connections that nobody needs.',
    );
  // Of a pooler: a server takes every parameter that is sent.
  if (code === '08P01')
    return fail(
      'SOURCE_UNREACHABLE',
      'Connect to PostgreSQL itself: a pooler such as PgBouncer does not pass replication on.',
    );
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return fail('SOURCE_TLS', 'Connect by a name that the certificate has, or use sslmode=verify-ca.');
  if (/^(CERT|DEPTH|SELF_SIGNED|UNABLE_TO)/.test(code))
    return fail(
      'SOURCE_TLS',
      'Give the certificate of the authority that signed it: postgres.ssl.rootCert, or sslrootcert in postgres.url.',
    );
  // `pg` gives no code when the server answers that it has no TLS.
  if (tlsWanted && (code === '' || /^ERR_(TLS|SSL)/.test(code))) return fail('SOURCE_TLS');
  return fail('SOURCE_UNREACHABLE');
}

/** A failed query as a `CdcError`: by SQLSTATE, or as a broken connection when there is none. */
export function queryError(error: unknown, doing: string): CdcError {
  if (error instanceof CdcError) return error;
  const { code = '' } = error as { code?: string };
  const message = `${doing}: ${error instanceof Error ? error.message : String(error)}`;
  const hint = encodingErrors.includes(code)
    ? 'The database has an encoding without meaning (SQL_ASCII): correct the bytes that are not UTF-8, or exclude their table.'
    : undefined;
  return new CdcError(queryErrorCode(code), message, { cause: error, hint });
}

/** Bytes that are not text in the encoding that the database has, or in ours. */
const encodingErrors = ['22021', '22P05'];

function queryErrorCode(sqlState: string): ErrorCode {
  if (encodingErrors.includes(sqlState)) return 'VALUE_INVALID';
  if (sqlState === '42501') return 'SOURCE_PRIVILEGE';
  if (sqlState === '55006') return 'SLOT_IN_USE';
  // A table or column that is not there any more.
  if (sqlState === '42P01' || sqlState === '42703') return 'SCHEMA_CHANGED';
  // Not a SQLSTATE (a socket error, or none), connection exceptions, shutdowns, lack of resources, deadlocks.
  if (!isSqlState(sqlState) || /^(08|53|57P|40)/.test(sqlState)) return 'SOURCE_UNREACHABLE';
  return 'UNEXPECTED';
}

export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  const escaped = text.replaceAll("'", "''");
  return text.includes('\\') ? ` E'${escaped.replaceAll('\\', '\\\\')}'` : `'${escaped}'`;
}

export function quoteTable(table: { schema: string; name: string }): string {
  return `${quoteIdent(table.schema)}.${quoteIdent(table.name)}`;
}
