import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resync } from '../../src/cli/resync.ts';
import type { Config } from '../../src/config.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { CdcService } from '../../src/service/cdc-service.ts';
import { type CdcReplication, startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { freshDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const schemaSql = `
  CREATE TABLE docs (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, due date, note text);
  ALTER TABLE docs ALTER COLUMN note SET STORAGE EXTERNAL;
  CREATE TABLE log_lines (line text);
  INSERT INTO docs SELECT n, n, '2026-01-01', repeat(md5(n::text), 100) FROM generate_series(1, 300) n;
  INSERT INTO log_lines VALUES ('first');`;

test('resync copies a table afresh from the source, beside two instances, and brings a stopped one back', {
  skip: withoutKafka,
}, async t => {
  await using db = await freshDatabase();
  await db.client.query(schemaSql);
  await using replication = await startCdcReplication(db);
  await using _other = startInstance(replication);
  await replication.expectEqual();
  const { clickhouse, config } = replication;
  // Either instance may have the partition.
  const isStopped = async () =>
    (
      await clickhouse.query(
        `SELECT 1 FROM wal_cdc.tables FINAL WHERE pipeline = '${config.pipeline}' AND phase = 'stopped'`,
      )
    ).length > 0;

  await t.test('rows that somebody changed in ClickHouse are put right', async () => {
    const table = `${db.name}.docs`;
    await clickhouse.command(`DELETE FROM ${table} WHERE id IN (5, 6)`);
    await clickhouse.command(
      `INSERT INTO ${table} SELECT 9999, v, due, note, _version, 0, _committed_at FROM ${table} WHERE id = 7`,
    );
    assert.equal(await resyncQuietly(config, 'public.docs'), 0);
    // Nothing has been written since the marker of the copy: the next change must go before it all the same.
    await db.client.query('UPDATE docs SET v = -1 WHERE id BETWEEN 1 AND 20');
    await db.client.query('DELETE FROM docs WHERE id = 21');
    await replication.expectEqual();
  });

  await t.test('a table that a value stopped goes on, with what was left out meanwhile', async () => {
    await db.client.query(`UPDATE docs SET due = '9999-12-31' WHERE id = 30`);
    await waitFor(isStopped, { what: 'the table to stop' });
    await db.client.query(`UPDATE docs SET v = v + 1 WHERE id > 100`);
    await db.client.query(`UPDATE docs SET id = id + 1000 WHERE id > 250`);
    await assert.rejects(resyncQuietly(config, 'public.docs'), { code: 'VALUE_INVALID' });
    await db.client.query(`UPDATE docs SET due = NULL WHERE id = 30`);
    assert.equal(await resyncQuietly(config, 'public.docs'), 0);
    assert.ok(!(await isStopped()));
    await db.client.query('UPDATE docs SET v = v + 1 WHERE id > 200');
    await replication.expectEqual();
  });

  await t.test('a table of other types is made anew', async () => {
    await db.client.query(`ALTER TABLE docs ALTER COLUMN v TYPE text USING 'v' || v`);
    await db.client.query(`UPDATE docs SET v = v || '!' WHERE id = 1`);
    await waitFor(isStopped, { what: 'the table to stop' });
    assert.equal(await resyncQuietly(config, 'public.docs'), 0);
    await db.client.query(`UPDATE docs SET v = v || '?' WHERE id < 50`);
    await replication.expectEqual();
    const [column] = await clickhouse.query(
      `SELECT type FROM system.columns WHERE database = '${db.name}' AND table = 'docs' AND name = 'v'`,
    );
    assert.deepEqual(column, { type: 'String' });
  });

  await t.test('changes that go on meanwhile are neither lost nor overwritten', async () => {
    let stopped = false;
    const writing = (async () => {
      for (let n = 0; !stopped; n++) {
        await db.client.query(`UPDATE docs SET v = 'n${n}' WHERE id % 10 = ${n % 10}`);
        await db.client.query(`INSERT INTO docs (id, v) VALUES (${5000 + n}, 'new')`);
        await db.client.query(`DELETE FROM docs WHERE id = ${5000 + n - 5}`);
      }
    })();
    for (let i = 0; i < 3; i++) assert.equal(await resyncQuietly(config, 'public.docs'), 0);
    stopped = true;
    await writing;
    await replication.expectEqual();
    await clickhouse.command(`OPTIMIZE TABLE ${db.name}.docs FINAL`);
    await replication.expectEqual();
  });

  await t.test('what cannot be copied says why', async () => {
    await assert.rejects(resyncQuietly(config, 'public.log_lines'), { code: 'TABLE_UNSUPPORTED' });
    await assert.rejects(resyncQuietly(config, 'public.none'), { code: 'NO_TABLES' });
    const { postgres: _, ...rest } = config;
    const withoutSource = { ...rest, postgres: { ...config.postgres, address: undefined } } as Config;
    await assert.rejects(resyncQuietly(withoutSource, 'public.docs'), /postgres\.url is not set/);
  });
});

/** Another member of the group. */
function startInstance({ config, log }: CdcReplication): AsyncDisposable {
  const { url, user, password } = config.clickhouse;
  const clickhouse = { url: url!, user, password };
  const metrics = new Metrics();
  const service = new CdcService({ config, clickhouse, metrics, log, keepRows: false, until: undefined });
  const ended = service.run();
  return {
    async [Symbol.asyncDispose]() {
      service.stop();
      await ended;
    },
  };
}

async function resyncQuietly(config: CdcReplication['config'], table: string): Promise<number> {
  const silent = { ...config, log: { ...config.log, level: 'silent' as const } };
  return resync(silent, { tables: [table] }, new AbortController().signal);
}
