import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startClickHouse } from '../../src/embedded/clickhouse.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait-for.ts';

const withoutMount = process.getuid?.() === 0 ? false : 'a small file system can be mounted only by root';

test('ClickHouse is out of disk: the service says so, waits, and goes on once there is room (C19)', {
  skip: withoutMount,
}, async () => {
  using dir = tempDir();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', dir.path]);
  try {
    const clickhouse = await startClickHouse({ dir: dir.path });
    try {
      await using db = await freshDatabase();
      await db.client.query('CREATE TABLE t (id int PRIMARY KEY, v text)');
      await using replication = await startReplication(db, { clickhouse });
      await replication.expectEqual();
      const streams = async () =>
        (
          await db.client.query(
            'SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND active',
          )
        ).rows.length > 0;
      const ballast = join(dir.path, 'ballast');
      const { bavail, bsize } = statfsSync(dir.path);
      writeFileSync(ballast, Buffer.alloc(bavail * bsize - (2 << 20)));
      await db.client.query(
        "INSERT INTO t SELECT g, (SELECT string_agg(md5(g::text || x), '') FROM generate_series(1, 100) x) FROM generate_series(1, 3000) g",
      );
      const status = await waitFor(
        () => {
          const now = replication.service.status();
          return now.phase === 'retrying' && now.problem?.code === 'SINK_FULL' && now;
        },
        { what: 'the full disk to be reported', timeoutMs: 60_000 },
      );
      assert.match(status.problem!.message, /space/i);
      assert.match(status.problem!.hint, /loses nothing/);
      const session = replication.service.session;
      await waitFor(
        async () => {
          assert.equal(replication.service.status().problem?.code, 'SINK_FULL');
          assert.match((await replication.service.ready()).reason ?? '', /^SINK_FULL: /);
          return replication.service.session !== session && (await streams());
        },
        { what: 'another session to stream' },
      );
      rmSync(ballast);
      await replication.expectEqual();
      await waitFor(async () => (await replication.service.ready()).ready, {
        what: 'the end of the problem',
      });
      assert.equal(replication.service.status().problem, undefined);
      await replication.stop();
    } finally {
      await clickhouse.stop();
    }
  } finally {
    execFileSync('umount', ['-l', dir.path]);
  }
});
