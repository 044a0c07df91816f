/** The crash test is worth something only if it notices what it is there for: each case also runs with the fault built in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { waitFor } from '../support/wait-for.ts';
import { AckWatch } from './ack-watch.ts';
import { Scene } from './scene.ts';
import { connect } from './servers.ts';

const fault = (name: string) => ({ WAL_CDC_TEST_FAULT: name });

test('an ack before the rows are saved is noticed (R04)', async () => {
  for (const env of [{}, fault('ack-before-write')]) {
    await using scene = await stoppedAfterInsert(`ack_${Object.keys(env).length}`);
    await scene.crashAt('before-insert:1', env);
    const watch = new AckWatch({
      postgresUrl: scene.url,
      clickhouse: splitAddress(scene.servers.clickhouse.url),
      pipeline: scene.config.pipeline,
      slot: scene.config.postgres.slot,
    });
    // The slot takes up the ack when the walsender is done with what was sent to it.
    await scene.untilSlotIsFree();
    assert.equal(await watch.check(), true);
    await watch.stop();
    if (Object.keys(env).length === 0) assert.deepEqual(watch.violations, []);
    else {
      assert.match(watch.violations.join(), /the slot has confirmed .* the saved checkpoint is at/);
      scene.service.start();
      assert.equal((await scene.service.exited).errorCode, 'SLOT_MOVED');
    }
  }
});

test('rows that are not written before their position is saved are missed (R04)', async () => {
  for (const env of [{}, fault('save-before-write')]) {
    await using scene = await stoppedAfterInsert(`save_${Object.keys(env).length}`);
    await scene.crashAt('before-insert:1', env);
    scene.service.start();
    await scene.untilSaved();
    const problems = await scene.problems();
    if (Object.keys(env).length === 0) assert.deepEqual(problems, []);
    else assert.match(problems.join(), /^public\.t: 50 rows differ.*missing in ClickHouse/);
  }
});

test('rows of a transaction that is open when its table is published come by the copy (D24, D25)', async () => {
  for (const env of [{}, fault('copy-without-wait')]) {
    const isRight = Object.keys(env).length === 0;
    await using scene = await Scene.open(`open_${Object.keys(env).length}`);
    await scene.sql('CREATE TABLE first (id int PRIMARY KEY)');
    scene.service.start(env);
    await scene.untilCopied();
    await scene.service.end('SIGTERM');
    await scene.sql('CREATE TABLE late (id int PRIMARY KEY, note text); INSERT INTO late VALUES (1), (2)');
    const open = await connect(scene.url);
    await open.query(`BEGIN; INSERT INTO late SELECT n, 'before' FROM generate_series(100, 149) n`);
    scene.service.start(env);
    await untilBased(scene, 'late');
    if (isRight) await staysCopying(scene, 'late');
    else await scene.untilCopied();
    await open.query(
      `INSERT INTO late VALUES (200, 'after'); UPDATE late SET note = 'changed' WHERE id = 100; COMMIT`,
    );
    await open.end();
    await scene.untilCopied();
    const problems = await scene.problems();
    if (isRight) assert.deepEqual(problems, []);
    else assert.match(problems.join(), /^public\.late: 49 rows differ.*missing in ClickHouse/);
  }
});

test('rows of a transaction that waits for a synchronous standby while the slot is made come by the copy', async () => {
  for (const env of [{}, fault('copy-without-wait')]) {
    const isRight = Object.keys(env).length === 0;
    await using scene = await Scene.open('lagging', {});
    const { client } = scene;
    await scene.sql(`CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1), (2);
      CREATE TABLE other (id int PRIMARY KEY)`);
    await scene.sql(
      'CREATE PUBLICATION wal_cdc_lagging FOR TABLE t, other WITH (publish_via_partition_root = true)',
    );
    await scene.sql(`ALTER SYSTEM SET synchronous_standby_names = 'absent'`);
    await scene.sql('SELECT pg_reload_conf()');
    const sessions = await Promise.all([1, 2, 3].map(() => connect(scene.url)));
    const [first, second, third] = sessions as [pg.Client, pg.Client, pg.Client];
    // Making a slot waits twice for the transactions that are open.
    await first.query('BEGIN; INSERT INTO other VALUES (1)');
    scene.service.start(env);
    await slotWaitsFor(client, first);
    await second.query('BEGIN; INSERT INTO other VALUES (2)');
    await first.query('ROLLBACK');
    await slotWaitsFor(client, second);
    // This one commits in the WAL before the slot begins, and nobody sees it yet.
    const committed = third.query(`INSERT INTO t SELECT n, 'lagging' FROM generate_series(100, 149) n`);
    await waitFor(
      async () => {
        const { rowCount } = await client.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`);
        return rowCount === 1;
      },
      { what: 'the transaction to wait for the standby' },
    );
    await second.query('ROLLBACK');
    await untilBased(scene, 't');
    if (isRight) await staysCopying(scene, 't');
    else await scene.untilCopied();
    await scene.sql('ALTER SYSTEM RESET synchronous_standby_names');
    await scene.sql('SELECT pg_reload_conf()');
    await committed;
    for (const session of sessions) await session.end();
    await scene.untilCopied();
    const problems = await scene.problems();
    if (isRight) assert.deepEqual(problems, []);
    else assert.match(problems.join(), /^public\.t: 50 rows differ.*missing in ClickHouse/);
  }
});

/** Table `t` is copied, the service is stopped, and fifty rows came since. */
async function stoppedAfterInsert(name: string): Promise<Scene> {
  const scene = await Scene.open(name);
  await scene.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)');
  scene.service.start();
  await scene.untilCopied();
  await scene.untilSaved();
  await scene.service.end('SIGTERM');
  await scene.sql('INSERT INTO t SELECT generate_series(101, 150)');
  return scene;
}

async function untilBased(scene: Scene, table: string): Promise<void> {
  await waitFor(
    async () => (await scene.tables()).some(({ name, state }) => name === table && state.base !== undefined),
    { what: `the base of the copy of ${table}` },
  );
}

/** The copy of a few rows takes some milliseconds, if it does not wait. */
async function staysCopying(scene: Scene, table: string): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 500));
  const found = (await scene.tables()).find(({ name }) => name === table);
  assert.equal(found?.state.phase, 'copying');
}

/** Resolves when the backend that makes the slot waits for the transaction of `session`. */
async function slotWaitsFor(client: pg.Client, session: pg.Client): Promise<void> {
  const { processID: pid } = session as pg.Client & { processID: number };
  await waitFor(
    async () => {
      const { rowCount } = await client.query(
        `SELECT FROM pg_stat_activity
          WHERE query LIKE '%pg_create_logical_replication_slot(%' AND $1 = ANY (pg_blocking_pids(pid))`,
        [pid],
      );
      return rowCount === 1;
    },
    { what: 'the slot to wait for an open transaction' },
  );
}
