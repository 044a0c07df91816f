import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { normalizePostgresUrl } from './postgres-url.ts';

function client(text: string, replace?: Parameters<typeof normalizePostgresUrl>[1]) {
  const { host, port, user, password, database } = new pg.Client({
    connectionString: normalizePostgresUrl(text, replace),
  });
  return { host, port, user, password, database };
}

test('the forms of libpq reach the client as they are meant', () => {
  const me = { host: 'h', port: 5432, user: 'me', password: 'pw', database: 'app' };
  for (const [text, expected] of [
    ['postgres://me:pw@h/app', me],
    ['postgresql://me:pw@h:6432/app', { ...me, port: 6432 }],
    ['postgres://me:pw@[::1]:5433/app', { ...me, host: '::1', port: 5433 }],
    ['postgres://me:pw@/app?host=/var/run/postgresql', { ...me, host: '/var/run/postgresql' }],
    ['postgres://me:pw@%2Fvar%2Frun%2Fpostgresql/app', { ...me, host: '/var/run/postgresql' }],
    ['postgres:///app?host=/tmp&port=5433&user=me&password=pw', { ...me, host: '/tmp', port: 5433 }],
    ['postgres://me:pw@ignored/other?host=h&dbname=app', me],
    ['postgres://me:p%40w%2F%25@h/my%20app', { ...me, password: 'p@w/%', database: 'my app' }],
    ['postgres://me:p@w@h/app', { ...me, password: 'p@w' }],
  ] as const)
    assert.deepEqual(client(text), expected, text);
  assert.deepEqual(client('postgres://me:old@h/app', { password: 'pw' }), me);
});

test('any user and password survive, any database does or is refused', () => {
  const part = fc.string({ unit: 'grapheme', minLength: 1 });
  fc.assert(
    fc.property(part, part, part, (user, password, database) => {
      const [u, p, d] = [user, password, database].map(encodeURIComponent);
      const rest = { host: 'h', port: 5432, user, password };
      assert.deepEqual(client(`postgres://${u}:${p}@h/app`), { ...rest, database: 'app' });
      try {
        assert.deepEqual(client(`postgres://${u}:${p}@h/${d}`), { ...rest, database });
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        assert.match(database, /[?#\\./]/);
      }
    }),
  );
});

test('sslmode stays, sslrootcert=system asks for full verification, undecided modes are refused', () => {
  assert.match(normalizePostgresUrl('postgres://h/app?sslmode=require'), /\?sslmode=require$/);
  assert.match(normalizePostgresUrl('postgres://h/app?sslrootcert=system'), /\?sslmode=verify-full$/);
  assert.match(
    normalizePostgresUrl('postgres://h?sslmode=disable', { sslMode: 'verify-ca' }),
    /\?sslmode=verify-ca$/,
  );
  assert.throws(() => normalizePostgresUrl('postgres://h/app?sslmode=prefer'), /prefer would leave open/);
});

test('what is not a URL is refused without showing what may be a password', () => {
  for (const text of [
    'h:5432/app',
    'mysql://me:s3cret@h/app',
    'postgres://me:s3/cret@h/app',
    'postgres://me:1/s3cret@h/app',
    'postgres://me:s3cret?x@h/app',
    'postgres://me:1?s3cret=x@h/app',
    'postgres://me:s3#cret@h/app',
    'postgres://me:s3%cret@h/app',
    'postgres://me:s3cret@h:70000/app',
    'postgres://me:s3cret@a,b/app',
    'postgres://:s3cret@h/app',
    'postgres://me:s3cret@h/app?channel_binding=require',
    'postgres://me:s3cret@h/app?sslmod=require',
    'postgres://me:s3cret@::1/app',
  ])
    assert.throws(
      () => normalizePostgresUrl(text),
      (error: Error) => error instanceof SyntaxError && !/s3|cret/.test(error.message),
      text,
    );
});
