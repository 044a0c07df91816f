import { nearest } from './nearest.ts';

const parameters = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
];
const sslModes = ['disable', 'require', 'verify-ca', 'verify-full'];

/**
 * A URL in libpq's form (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS) in the one
 * spelling that URL parsers agree on: user, password and database percent-encoded, a socket's folder as `host=`.
 * `password` and `sslMode` replace what the URL says. Throws `SyntaxError`; messages quote no part that could be a
 * password.
 */
export function normalizePostgresUrl(
  text: string,
  replace: { password?: string | undefined; sslMode?: string | undefined } = {},
): string {
  const match = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^@/?#]*)(?:\/([^@/?#]*))?(?:\?([^@#]*))?$/.exec(text);
  if (!match)
    throw new SyntaxError(
      'is not a URL such as postgres://user:password@host:5432/database (in user and password write @ as %40, / as %2F, ? as %3F, # as %23)',
    );
  const query = parseQuery(match[4] ?? '');
  const colon = match[1]?.indexOf(':') ?? -1;
  const user = query.user ?? decode(colon < 0 ? (match[1] ?? '') : match[1]!.slice(0, colon));
  const password =
    replace.password ?? query.password ?? (colon < 0 ? '' : decode(match[1]!.slice(colon + 1)));
  if (password !== '' && user === '') throw new SyntaxError('has a password but no user');
  const { host, port } = parseHost(match[2]!, query);
  const database = query.dbname ?? decode(match[3] ?? '');

  const out = new URLSearchParams();
  if (host.startsWith('/')) out.set('host', host);
  const sslMode =
    replace.sslMode ?? query.sslmode ?? (query.sslrootcert === 'system' ? 'verify-full' : undefined);
  if (sslMode !== undefined) {
    if (!sslModes.includes(sslMode))
      throw new SyntaxError(
        `has an sslmode other than ${sslModes.join(', ')}${/^(allow|prefer)$/.test(sslMode) ? ` (${sslMode} would leave open whether the connection is encrypted)` : ''}`,
      );
    out.set('sslmode', sslMode);
  }
  if (query.sslrootcert !== undefined && query.sslrootcert !== 'system')
    out.set('sslrootcert', query.sslrootcert);
  if (query.sslcert !== undefined) out.set('sslcert', query.sslcert);
  if (query.sslkey !== undefined) out.set('sslkey', query.sslkey);

  const credentials =
    encodeURIComponent(user) +
    (password === '' ? '' : `:${encodeURIComponent(password)}`) +
    (user === '' ? '' : '@');
  // URL parsers want a host behind a user; `host=` wins over it.
  const authority = (host.startsWith('/') ? 'localhost' : host) + (port && `:${port}`);
  const search = out.toString().replaceAll('+', '%20');
  const url = `postgres://${credentials}${authority}/${encodeURI(database)}${search && `?${search}`}`;
  // `pg` decodes a database name as a whole URL, in which some characters cannot be escaped.
  if (decodeURI(new URL(url).pathname.slice(1)) !== database)
    throw new SyntaxError(
      'names a database with characters that the client library cannot ask for, such as ? or #',
    );
  return url;
}

function parseHost(authority: string, query: Record<string, string>): { host: string; port: string } {
  if (authority.includes(',') || query.host?.includes(','))
    throw new SyntaxError('names several hosts; name the primary, or an address that leads to it');
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]*)(?::(\d*))?$/.exec(authority);
  const port = query.port ?? match?.[2] ?? '';
  if (!match || !/^\d{0,5}$/.test(port) || Number(port) > 65535)
    throw new SyntaxError('needs host:port behind the "@", with an IPv6 address in brackets');
  let host = query.host ?? (match[1]!.startsWith('[') ? match[1]! : decode(match[1]!));
  if (host.includes(':') && !host.startsWith('[') && !host.startsWith('/')) host = `[${host}]`;
  if (!host.startsWith('/') && !/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)$/.test(host))
    throw new SyntaxError('has a host with characters that no host name has');
  return { host: host === '' ? 'localhost' : host, port };
}

function parseQuery(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (equals < 0 || !parameters.includes(name))
      throw new SyntaxError(
        /^[a-z_]+$/.test(name) && equals >= 0
          ? `has the parameter ${name}, which is not supported (nearest: ${nearest(name, parameters)}); leave it out`
          : 'has something other than name=value behind the "?"',
      );
    values[name] = decode(pair.slice(equals + 1));
  }
  return values;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new SyntaxError('has a "%" that does not begin a percent-encoded character; write it as %25');
  }
}
