import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CdcError } from '../../src/core/errors.ts';
import { freshDatabase, startTestPostgres } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));

test('copy and stream go over TLS, with the server verified; what cannot be verified is refused', async () => {
  await using postgres = await startTestPostgres();
  // The server reads its key as its own account and insists that nobody else can.
  const data = join(postgres.dir, 'data');
  const { uid, gid } = statSync(data);
  for (const name of ['server.crt', 'server.key']) {
    copyFileSync(fixture(name), join(data, name));
    chownSync(join(data, name), uid, gid);
    chmodSync(join(data, name), 0o600);
  }
  await using db = await freshDatabase(postgres);
  await db.client.query('ALTER SYSTEM SET ssl = on');
  await db.client.query('SELECT pg_reload_conf()');
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat($$x$$, 1000) FROM generate_series(1, 20000) g',
  );

  const settings = { 'postgres.ssl.mode': 'verify-full', 'postgres.ssl.rootCert': fixture('ca.crt') };
  await using replication = await startReplication(db, { settings });
  await db.client.query("UPDATE t SET v = 'changed' WHERE id % 7 = 0");
  await replication.expectEqual();
  const { rows } = await db.client.query(
    "SELECT count(*)::int AS n, bool_and(ssl) AS ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'wal-cdc'",
  );
  assert.ok(rows[0].n >= 2 && rows[0].ssl, 'every session of the service is encrypted');
  await replication.stop();

  await assert.rejects(
    startReplication(db, { settings: { 'postgres.ssl.mode': 'verify-full' } }),
    (error: unknown) => error instanceof CdcError && error.code === 'SOURCE_TLS',
  );
});
