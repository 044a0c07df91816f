import assert from 'node:assert/strict';
import { chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CdcError } from '../../src/core/errors.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { ControlTables } from '../../src/sinks/clickhouse/control-tables.ts';
import { connect, startTestPostgres } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';

test('after a promotion versions go on in a new epoch; a source that lost transactions is refused (R20)', async () => {
  await using first = await startTestPostgres({ settings: { fsync: 'on' } });
  const client = await connect(first.url);
  await client.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'a' FROM generate_series(1, 100) g;
    CREATE TABLE log (v text); INSERT INTO log SELECT 'x' FROM generate_series(1, 100);`);
  {
    await using replication = await startReplication({ name: 'postgres', url: first.url, client });
    await replication.expectEqual();
    await client.query('TRUNCATE log; INSERT INTO log VALUES ($$one$$)');
    await replication.expectEqual();
    assert.equal(replication.service.session!.epoch, 1);
  }
  await client.end();
  await first.stop('fast');

  const data = join(first.dir, 'data');
  const signal = join(data, 'standby.signal');
  writeFileSync(signal, '');
  const { uid, gid } = statSync(data);
  chownSync(signal, uid, gid);
  const promoted = await startPostgres({ dir: first.dir, port: first.port });
  try {
    const again = await connect(promoted.url);
    await again.query('SELECT pg_promote(true)');
    await again.query(
      "UPDATE t SET v = 'b' WHERE id < 50; DELETE FROM t WHERE id = 60; INSERT INTO log VALUES ('two')",
    );
    const database = { name: 'postgres', url: promoted.url, client: again };
    {
      await using replication = await startReplication(database);
      await replication.expectEqual();
      assert.equal(replication.service.session!.epoch, 2);
      const control = new ControlTables(replication.clickhouse, replication.config.pipeline);
      await replication.stop();
      const checkpoint = (await control.loadCheckpoint())!;
      await control.saveCheckpoint({ ...checkpoint, timeline: 1, position: 'F/0' });
    }
    await assert.rejects(startReplication(database), (error: unknown) => {
      assert.ok(error instanceof CdcError);
      assert.equal(error.code, 'SOURCE_CHANGED');
      assert.match(error.message, /promoted at .* lost transactions up to F\/0/);
      return true;
    });
    await again.end();
  } finally {
    await promoted.stop('immediate');
  }
});
