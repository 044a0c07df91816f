import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markForCopy } from '../../src/service/mark-for-copy.ts';
import { connect as connectAsService } from '../../src/sources/wal/connect.ts';
import { waitFor } from '../support/wait-for.ts';
import { Scene } from './scene.ts';
import { connect } from './servers.ts';

/** Hardly anything but a commit flushes the WAL. */
const lazyWal = {
  wal_writer_delay: '10s',
  wal_writer_flush_after: '1GB',
  wal_buffers: '64MB',
  bgwriter_delay: '10s',
  autovacuum: 'off',
};

/** Stored out of line, so that updates of other columns leave it out of the WAL. */
const tableWithDocs = `
  CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, doc text);
  ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL;
  CREATE FUNCTION doc(n int) RETURNS text LANGUAGE sql RETURN repeat(md5(n::text), 100);
  INSERT INTO t SELECT n, 0, doc(n) FROM generate_series(1, 20) n;`;

test('a chain of key changes that leave out a large value survives a replay (M02)', async () => {
  await using scene = await Scene.open('key_chain');
  await scene.sql(tableWithDocs);
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  await scene.service.end('SIGTERM');
  await scene.sql('UPDATE t SET v = v + 1 WHERE id = 1');
  await scene.sql('UPDATE t SET id = 101 WHERE id = 1');
  await scene.sql('UPDATE t SET id = 201 WHERE id = 101');
  await scene.crashAt('after-insert:1');
  scene.service.start();
  await scene.untilSaved();
  assert.deepEqual(await scene.problems(), []);
});

test('a key that was freed and taken again does not lend its value to the row that left it', async () => {
  await using scene = await Scene.open('key_reuse');
  await scene.sql(tableWithDocs);
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  await scene.service.end('SIGTERM');
  await scene.sql('UPDATE t SET v = v + 1 WHERE id = 1');
  await scene.sql('UPDATE t SET id = 101 WHERE id = 1');
  await scene.sql('INSERT INTO t VALUES (1, 0, doc(-1))');
  await scene.sql('UPDATE t SET id = 102 WHERE id = 2');
  await scene.sql('INSERT INTO t VALUES (2, 0, doc(-2))');
  await scene.crashAt('after-insert:1');
  scene.service.start();
  await scene.untilSaved();
  assert.deepEqual(await scene.problems(), []);
});

test('changes that come after a crash between exchange and note reach the table (S03, S12)', async () => {
  await using scene = await Scene.open('exchanged');
  await scene.sql(tableWithDocs);
  scene.service.start();
  await scene.untilCopied();
  await scene.service.end('SIGTERM');
  // As if another pipeline had filled the table: the copy goes behind it, and it takes no changes meanwhile.
  await scene.clickhouse.command(`DELETE FROM wal_cdc.tables WHERE pipeline = 'exchanged'`);
  await scene.crashAt('copy-exchanged:1');
  await scene.sql(
    'INSERT INTO t SELECT n, 0, doc(n) FROM generate_series(1000, 1100) n; DELETE FROM t WHERE id < 5',
  );
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  assert.deepEqual(await scene.problems(), []);
});

test('an EXCHANGE whose answer is lost is not carried out twice', async () => {
  await using scene = await Scene.open('lost_answer');
  await scene.sql(tableWithDocs);
  scene.service.start();
  await scene.untilCopied();
  await scene.service.end('SIGTERM');
  await scene.sql('DELETE FROM t WHERE id < 5');
  await scene.clickhouse.command(`DELETE FROM wal_cdc.tables WHERE pipeline = 'lost_answer'`);
  scene.servers.line.loseAnswer(/EXCHANGE/);
  const before = scene.servers.line.lost;
  scene.service.start();
  await scene.untilCopied();
  assert.equal(scene.servers.line.lost, before + 1);
  assert.deepEqual(await scene.problems(), []);
});

test('rows that VACUUM FULL or CLUSTER moves while both workers wait are copied once and all (S06)', async () => {
  await using scene = await Scene.open('moved');
  await scene.sql(`CREATE TABLE t (id int PRIMARY KEY, note text);
    INSERT INTO t SELECT n, repeat('x', 200) FROM generate_series(1, 20000) n; DELETE FROM t WHERE id % 3 = 0`);
  scene.service.start();
  await waitFor(
    async () => {
      const [table] = await scene.tables();
      return (table?.state.leaves?.[0]?.done.length ?? 0) > 1;
    },
    { what: 'the first chunks' },
  );
  await scene.sql('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; CLUSTER t USING t_pkey');
  const observer = await connect(scene.url);
  const workers = await waitFor(
    async () => {
      const { rows } = await observer.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'`,
      );
      return rows.length === 2 && rows;
    },
    { what: 'both workers to wait' },
  );
  await observer.end();
  // The second one notices only when the first one has begun to copy the table anew.
  const late = workers[1]!.pid;
  process.kill(late, 'SIGSTOP');
  try {
    await scene.sql('COMMIT');
    const filenode = async () => (await scene.tables())[0]?.state.leaves?.[0]?.filenode;
    const before = await filenode();
    await waitFor(async () => (await filenode()) !== before, { what: 'the first worker to notice' });
  } finally {
    process.kill(late, 'SIGCONT');
  }
  await scene.untilCopied();
  assert.deepEqual(await scene.problems(), []);
});

test('the base of a copy is not beyond what PostgreSQL keeps when it crashes', async () => {
  await using scene = await Scene.open('base', { settings: lazyWal });
  await scene.sql(`CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
    INSERT INTO t SELECT n, 0 FROM generate_series(1, 1000) n;
    CREATE TABLE other (id int)`);
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  await scene.service.end('SIGTERM');
  await scene.clickhouse.command(`DELETE FROM wal_cdc.tables WHERE pipeline = 'base'`);
  // A transaction that is open leaves much in the buffers.
  await scene.sql('BEGIN; INSERT INTO other SELECT generate_series(1, 100000)');
  scene.service.start();
  await untilBased(scene);
  await crashPostgres(scene);
  if (!scene.service.isRunning) scene.service.start();
  await scene.untilCopied();
  await scene.sql('UPDATE t SET v = 1; DELETE FROM t WHERE id < 100');
  assert.deepEqual(await scene.problems(), []);
});

test('a table without a key has no row twice when the checkpoint is older than its copy (M11)', async () => {
  await using scene = await Scene.open('keyless');
  await scene.sql('CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 100)');
  await scene.sql('CREATE TABLE other (id int PRIMARY KEY)');
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  await scene.service.end('SIGTERM');
  await scene.sql('INSERT INTO t SELECT generate_series(101, 200)');
  await markForCopy(scene.control, ['public.t']);
  scene.servers.line.stick(/INSERT INTO wal_cdc.checkpoints/);
  scene.service.start();
  await waitFor(async () => (await scene.tables()).every(({ state }) => state.phase === 'streaming'), {
    what: 'the copy to end',
  });
  await scene.service.end('SIGKILL');
  scene.servers.line.stick(undefined);
  scene.service.start();
  await scene.untilSaved();
  assert.deepEqual(await scene.problems(), []);
});

test('a query that an end of PostgreSQL interrupts is an outage, and nothing else', async () => {
  await using scene = await Scene.open('interrupted', {});
  for (const how of ['pg_terminate_backend', 'SIGKILL'] as const) {
    const client = await connectAsService({ url: scene.url });
    const { processID: pid } = client as typeof client & { processID: number };
    const asked = client.query('SELECT pg_sleep(60)');
    const refused = assert.rejects(asked, { code: 'SOURCE_UNREACHABLE' });
    if (how === 'SIGKILL') process.kill(pid, 'SIGKILL');
    else await scene.sql(`SELECT pg_terminate_backend(${pid})`);
    await refused;
    await client.end();
  }
});

test('rows that swap their keys and move on keep their own large values, also in a replay (M02)', async () => {
  await using scene = await Scene.open('key_swap');
  await scene.sql(tableWithDocs);
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  const move = (from: number, to: number) => `UPDATE t SET id = ${to} WHERE id = ${from}`;
  const swap = (a: number, b: number) => [move(a, 999), move(b, a), move(999, b)].join('; ');
  for (const crash of [undefined, 'after-insert:1']) {
    await scene.service.end('SIGTERM');
    await scene.sql(swap(1, 2));
    await scene.sql(move(2, 50));
    await scene.sql(swap(1, 3));
    await scene.sql('UPDATE t SET v = v + 1 WHERE id IN (3, 50)');
    await scene.sql(swap(3, 50));
    await scene.sql(move(50, 2));
    await scene.sql('INSERT INTO t VALUES (50, 0, doc(-50)); UPDATE t SET v = v + 1');
    await scene.sql(swap(50, 4));
    await scene.sql('DELETE FROM t WHERE id = 50');
    if (crash) await scene.crashAt(crash);
    scene.service.start();
    await scene.untilSaved();
    assert.deepEqual(await scene.problems(), []);
  }
});

test('rows whose commit was not waited for are copied only once they outlive a crash of PostgreSQL', async () => {
  await using scene = await Scene.open('async_commit', { settings: lazyWal });
  await scene.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)');
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  await scene.service.end('SIGTERM');
  await markForCopy(scene.control, ['public.t']);
  await scene.sql('SET synchronous_commit = off; INSERT INTO t SELECT generate_series(1001, 2000)');
  scene.service.start();
  await untilBased(scene);
  await new Promise(resolve => setTimeout(resolve, 500));
  await crashPostgres(scene);
  if (!scene.service.isRunning) scene.service.start();
  await scene.untilCopied();
  assert.deepEqual(await scene.problems(), []);
});

/** A crash, and from then on a WAL writer that keeps up. */
async function crashPostgres(scene: Scene): Promise<void> {
  await scene.servers.postgres.end('immediate');
  await scene.servers.postgres.startAgain();
  scene.client = await connect(scene.url);
  await scene.sql(`ALTER SYSTEM SET wal_writer_delay = '20ms'`);
  await scene.sql('SELECT pg_reload_conf()');
}

async function untilBased(scene: Scene): Promise<void> {
  await waitFor(
    async () => (await scene.tables()).some(({ name, state }) => name === 't' && state.base !== undefined),
    { what: 'the base of the copy' },
  );
}
