import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog } from '../../src/observe/log.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait-for.ts';

test('kinds of change that the publication leaves out are warned of, at the start and when that changes', async () => {
  await using db = await freshDatabase();
  using dir = tempDir();
  const path = join(dir.path, 'log');
  const fd = openSync(path, 'a');
  try {
    const warnings = () =>
      readFileSync(path, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line))
        .filter(line => line.leavesOut)
        .map(line => line.leavesOut.join());
    await db.client.query(`CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
      CREATE PUBLICATION p FOR TABLE t WITH (publish = 'insert, update, delete')`);
    await using replication = await startReplication(db, {
      settings: { 'postgres.publication': 'p' },
      log: createLog({ level: 'warn', format: 'json' }, { fd }),
    });
    assert.deepEqual(warnings(), ['truncate']);
    await db.client.query("ALTER PUBLICATION p SET (publish = 'insert')");
    await waitFor(() => warnings().length === 2, { what: 'a second warning' });
    assert.deepEqual(warnings(), ['truncate', 'update,delete,truncate']);
    assert.match(readFileSync(path, 'utf8'), /the publication leaves out update, delete, truncate/);
    await db.client.query('INSERT INTO t VALUES (2)');
    await replication.expectEqual();
  } finally {
    closeSync(fd);
  }
});
