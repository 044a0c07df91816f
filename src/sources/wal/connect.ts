import pg from 'pg';
import { CdcError, type ErrorCode } from '../../core/errors.ts';

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
};

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
  const tlsWanted = wantsTls(url);
  if (tlsWanted && !url.searchParams.has('uselibpqcompat')) url.searchParams.set('uselibpqcompat', 'true');
  const client = new pg.Client({
    connectionString: url.toString(),
    ...(address.ssl ? { ssl: { ...address.ssl, rejectUnauthorized: true } } : {}),
    ...(options.replication ? { replication: 'database' } : {}),
    application_name: 'wal-cdc',
    options: settings,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  } as pg.ClientConfig);
  // Without a listener a connection that breaks while idle would end the process; the next query reports it.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    await client.end().catch(() => {});
    throw connectError(error, url, tlsWanted || address.ssl !== undefined);
  }
  return client;
}

function wantsTls(url: URL): boolean {
  return /^(require|verify-ca|verify-full)$/.test(url.searchParams.get('sslmode') ?? '');
}

/** `host:port/database as user`, without the password. */
export function describeAddress(address: string | URL): string {
  const url = new URL(address);
  const host = url.hostname || url.searchParams.get('host') || 'localhost';
  return `${host}:${url.port || 5432}${url.pathname} as ${decodeURIComponent(url.username) || 'the current user'}`;
}

function connectError(error: unknown, url: URL, tlsWanted: boolean): CdcError {
  const { code = '' } = error as { code?: string };
  const message = error instanceof Error ? error.message || code : String(error);
  const where = `PostgreSQL at ${describeAddress(url)}`;
  if (code === '3D000')
    return new CdcError('SOURCE_AUTH', `${where}: ${message}`, {
      cause: error,
      hint: 'Check the database name at the end of postgres.url.',
    });
  if (code.startsWith('28')) return new CdcError('SOURCE_AUTH', `${where}: ${message}`, { cause: error });
  if (code === '42501') return new CdcError('SOURCE_PRIVILEGE', `${where}: ${message}`, { cause: error });
  // `pg` gives no code when the server answers that it has no TLS.
  if (tlsWanted && (code === '' || /^(ERR_TLS|ERR_SSL|CERT|DEPTH|SELF_SIGNED|UNABLE_TO)/.test(code)))
    return new CdcError('SOURCE_TLS', `${where}: ${message}`, { cause: error });
  return new CdcError('SOURCE_UNREACHABLE', `${where}: ${message}`, { cause: error });
}

/** A failed query as a `CdcError`: by SQLSTATE, or as a broken connection when there is none. */
export function queryError(error: unknown, doing: string): CdcError {
  if (error instanceof CdcError) return error;
  const { code = '' } = error as { code?: string };
  const message = `${doing}: ${error instanceof Error ? error.message : String(error)}`;
  return new CdcError(queryErrorCode(code), message, { cause: error });
}

function queryErrorCode(sqlState: string): ErrorCode {
  if (sqlState === '42501') return 'SOURCE_PRIVILEGE';
  if (sqlState === '55006') return 'SLOT_IN_USE';
  // Not a SQLSTATE (a socket error, or none), connection exceptions, shutdowns, lack of resources, deadlocks.
  if (!/^[0-9A-Z]{5}$/.test(sqlState) || /^(08|53|57P|40)/.test(sqlState)) return 'SOURCE_UNREACHABLE';
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
