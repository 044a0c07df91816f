import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, startTestPostgres } from '../../support/postgres.ts';
import { cluster, connector, publishedTables, secrets } from './parts.ts';
import { preparePlatformDatabase, rolePassword } from './platform-database.ts';

test('the SQL of the cluster runs; its owner writes, its readers read, and nobody else either', async () => {
  const { postgresql, bootstrap } = cluster.spec;
  await using server = await startTestPostgres({ settings: postgresql.parameters });
  const admin = await connect(server.url);
  try {
    await preparePlatformDatabase(admin, 'postgres');
    const { owner } = bootstrap.initdb;
    const owned = await admin.query(
      `SELECT relnamespace::regnamespace || '.' || relname AS name FROM pg_class WHERE relowner = $1::regrole AND relkind IN ('r', 'p') AND NOT relispartition`,
      [owner],
    );
    assert.deepEqual(owned.rows.map(({ name }) => name).sort(), publishedTables.toSorted());
    // Also of tables that are made later.
    await admin.query(`SET ROLE ${owner}; CREATE TABLE public.later (id int PRIMARY KEY); RESET ROLE`);
    for (const { username } of secrets.filter(({ name }) => /^postgres-(?!app)/.test(name))) {
      const reader = await connect(server.url.replace(/\/\/[^@]*@/, `//${username}:${rolePassword}@`));
      try {
        for (const table of [...publishedTables, 'public.later']) {
          await reader.query(`SELECT * FROM ${table}`);
          await assert.rejects(reader.query(`DELETE FROM ${table}`), { code: '42501' });
        }
        await reader.query(connector['heartbeat.action.query']!);
      } finally {
        await reader.end();
      }
    }
  } finally {
    await admin.end();
  }
});
