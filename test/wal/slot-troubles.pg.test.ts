import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CdcError, type ErrorCode } from '../../src/core/errors.ts';
import { freshDatabase, slotReleased, startTestPostgres, type TestDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { waitFor } from '../support/wait-for.ts';

const withCode = (code: ErrorCode, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CdcError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, pattern);
  return true;
};

/** A pipeline that ran and was stopped. */
async function stoppedPipeline(db: TestDatabase): Promise<string> {
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)');
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await replication.stop();
  const { slot } = replication.config.postgres;
  await slotReleased(db.client, slot);
  return slot;
}

test('a slot that is gone, or was moved, is told apart and not guessed over (R07, R22)', async () => {
  await using db = await freshDatabase();
  const slot = await stoppedPipeline(db);
  await db.client.query('INSERT INTO t VALUES (11)');
  await db.client.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [slot]);
  await assert.rejects(
    startReplication(db),
    withCode('SLOT_MOVED', new RegExp(`"${slot}".*ahead of the checkpoint`)),
  );
  await slotReleased(db.client, slot);
  await db.client.query('SELECT pg_drop_replication_slot($1)', [slot]);
  await assert.rejects(
    startReplication(db),
    withCode('SLOT_MISSING', new RegExp(`"${slot}" does not exist`)),
  );
});

test('an invalidated slot is terminal and says so (R15)', async () => {
  await using postgres = await startTestPostgres({
    settings: {
      max_slot_wal_keep_size: '1MB',
      max_wal_size: '32MB',
      min_wal_size: '32MB',
      wal_keep_size: '0',
    },
  });
  await using db = await freshDatabase(postgres);
  const slot = await stoppedPipeline(db);
  await db.client.query('CREATE TABLE filler (x text)');
  await waitFor(
    async () => {
      await db.client.query("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
      await db.client.query('SELECT pg_switch_wal()');
      await db.client.query('CHECKPOINT');
      const { rows } = await db.client.query(
        'SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1',
        [slot],
      );
      return rows[0].wal_status === 'lost';
    },
    { what: 'the slot to be lost' },
  );
  await assert.rejects(startReplication(db), withCode('SLOT_LOST', new RegExp(`"${slot}" was invalidated`)));
});

test('a dropped publication stops the service, also on PostgreSQL 18, which skips it silently (R18)', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  await using replication = await startReplication(db);
  const { publication } = replication.config.postgres;
  await db.client.query(`DROP PUBLICATION ${publication}`);
  await waitFor(() => replication.stopped, { what: 'the service to end' });
  await assert.rejects(
    replication.stop(),
    withCode('PUBLICATION_MISSING', new RegExp(`"${publication}" was dropped`)),
  );
  await assert.rejects(startReplication(db), withCode('PUBLICATION_MISSING', /dropped/));
  await db.client.query(`CREATE PUBLICATION ${publication} FOR TABLE t`);
  await assert.rejects(
    startReplication(db),
    withCode('PUBLICATION_MISSING', /not the one of the checkpoint/),
  );
});

test('a slot that the user named is used as it is; one of ours without a checkpoint is made anew', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  await db.client.query(`SELECT pg_create_logical_replication_slot('mine_${db.name}', 'pgoutput')`);
  await db.client.query(`SELECT pg_create_logical_replication_slot('wal_cdc_${db.name}', 'pgoutput')`);
  await db.client.query('INSERT INTO t SELECT generate_series(1, 10); DELETE FROM t WHERE id = 3');
  {
    await using replication = await startReplication(db, {
      settings: { 'postgres.slot': `mine_${db.name}` },
    });
    await replication.expectEqual();
  }
  await using other = await startReplication(db, {
    settings: {
      pipeline: `${db.name}_b`,
      'clickhouse.database': `${db.name}_b`,
      'postgres.slot': `mine2_${db.name}`,
    },
  });
  await other.expectEqual();
});
