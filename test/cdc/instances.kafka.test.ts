import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusSnapshot } from '../../src/observe/status.ts';
import { optimizeAll } from '../chaos/compare.ts';
import { Load } from '../chaos/load.ts';
import { bulkTable, createTables, keyedTables, mendDatedSql, tableOptions } from '../chaos/tables.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { createMarksSql, Marks } from '../support/kafka/marks.ts';
import { platformProfile } from '../support/kafka/platform-profile.ts';
import { freshDatabase } from '../support/postgres.ts';
import { seed } from '../support/seed.ts';
import { waitFor } from '../support/wait-for.ts';

const partitionsPerTopic = 6;
/** Messages of one instance that are not queryable yet; then the load waits. */
const backlogLimit = 20_000;

/** An instance of the group, in this process or in another. */
interface Member {
  status(): StatusSnapshot | undefined | Promise<StatusSnapshot | undefined>;
}

/** Resolves when these have all partitions of the tables among them, each of them some, and no two the same. */
async function shareEverything(members: readonly Member[], what: string): Promise<void> {
  const isShared = async () => {
    const statuses = await Promise.all(members.map(member => member.status()));
    const owned = statuses.map(status => status?.partitions ?? []);
    const names = new Set(owned.flat().map(({ topic, partition }) => `${topic}/${partition}`));
    return (
      names.size >= keyedTables.length * partitionsPerTopic &&
      owned.every(partitions => partitions.length > 0) &&
      names.size === owned.flat().length
    );
  };
  await waitFor(isShared, { what: `the partitions to be shared ${what}`, timeoutMs: 180_000 });
}

/** So that every partition has rows of before the truncate, which come to other instances than the truncate does. */
const truncateSql = [
  `INSERT INTO volatile SELECT n, 1, 'gone', NULL FROM generate_series(300000, 301000) n ON CONFLICT DO NOTHING`,
  'TRUNCATE volatile',
  `INSERT INTO volatile SELECT n, 2, 'stays', long_text(n, 3000) FROM generate_series(300500, 300600) n`,
];

test(`instances of a group are killed, stopped and added under load, seed ${seed} (WAL_CDC_SEED)`, {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await createTables(db.client);
  await db.client.query(`DROP TABLE ${bulkTable}; ${createMarksSql}`);
  await using replication = await startCdcReplication(db, {
    connector: source => ({
      ...platformProfile(source),
      'topic.creation.default.partitions': String(partitionsPerTopic),
      'topic.creation.default.replication.factor': '1',
    }),
    settings: { exclude: 'public.parted_*', tableOptions },
  });
  const marks = new Marks(replication);
  const { service } = replication;
  await using first = replication.startCommand();
  await using second = replication.startCommand();
  await shareEverything([service, first, second], 'by three');

  const isBehind = () => (service.status().lagMessages ?? 0) > backlogLimit;
  const load = new Load({ url: db.url, seed, connections: 3, isBehind });
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => load.stop());
  load.start();
  await marks.pass(db.client, 'three instances');
  for (const sql of truncateSql) await db.client.query(sql);
  await marks.pass(db.client, 'three instances');

  await first.kill();
  await shareEverything([service, second], 'by two after one was killed');
  for (const sql of truncateSql) await db.client.query(sql);
  await marks.pass(db.client, 'two instances');

  await using again = replication.startCommand();
  await shareEverything([service, second, again], 'with one that came back');
  await marks.pass(db.client, 'three instances');

  const { code, stderr } = await second.stop();
  assert.equal(code, 0, stderr);
  await using added = replication.startCommand();
  await shareEverything([service, again, added], 'with one that was added');
  for (const sql of truncateSql) await db.client.query(sql);
  await marks.pass(db.client, 'three instances');

  await waitFor(() => load.stats.committed > 500, { what: 'the load to do something', timeoutMs: 180_000 });
  await load.stop();
  await db.client.query(mendDatedSql);
  await marks.pass(db.client, 'three instances');
  await replication.expectEqual();
  await optimizeAll(replication.config, (await sharedClickHouse()).url);
  await replication.expectEqual();
  for (const member of [service, again, added]) {
    const status = await member.status();
    assert.ok(status!.rowsTotal > 0, 'each has written rows');
  }
});
