import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../../src/demo/random.ts';
import { optimizeAll } from '../chaos/compare.ts';
import { Load } from '../chaos/load.ts';
import { connectWhenUp, RestartableClickHouse, RestartablePostgres } from '../chaos/servers.ts';
import { bulkTable, createTables, keylessTable, mendDatedSql, tableOptions } from '../chaos/tables.ts';
import { startKafka } from '../support/kafka/broker.ts';
import { startCdcPipeline } from '../support/kafka/cdc-pipeline.ts';
import { startConnect } from '../support/kafka/connect.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { createMarksSql, Marks } from '../support/kafka/marks.ts';
import { seed } from '../support/seed.ts';
import { tempDir } from '../support/temp-dir.ts';

const name = 'restarts';

test(`every part is killed under load and started again, seed ${seed} (WAL_CDC_SEED)`, {
  skip: withoutKafka,
}, async () => {
  using dir = tempDir();
  const random = new Random(seed, 5000);
  await using cleanUp = new AsyncDisposableStack();
  const postgres = await RestartablePostgres.start(dir.path, {});
  cleanUp.defer(() => postgres.end('immediate'));
  const clickhouse = await RestartableClickHouse.start(dir.path);
  cleanUp.defer(() => clickhouse.kill());
  const kafka = cleanUp.use(await startKafka());
  const connect = cleanUp.use(await startConnect(kafka));

  let client = await connectWhenUp(postgres.url);
  cleanUp.defer(() => client.end().catch(() => {}));
  await createTables(client);
  // What the connector delivers twice is there twice in a table without a key.
  await client.query(`DROP TABLE ${bulkTable}; ${createMarksSql}`);
  const pipeline = cleanUp.use(
    await startCdcPipeline(
      { name, url: postgres.url, client },
      {
        servers: { kafka, connect, clickhouse },
        settings: { exclude: ['public.parted_*', `public.${keylessTable}`], tableOptions },
      },
    ),
  );
  const marks = new Marks(pipeline);
  let service = pipeline.startCommand();
  cleanUp.defer(() => service[Symbol.asyncDispose]());
  const load = new Load({ url: postgres.url, seed, connections: 2, isBehind: () => false });
  load.start();
  cleanUp.defer(() => load.stop());
  await marks.pass(client, 'all parts');

  const awayMs = () => 500 + random.below(2000);
  await kafka.kill();
  await delay(awayMs());
  await kafka.startAgain();
  await marks.pass(client, 'a broker that came back');

  await connect.kill();
  await delay(awayMs());
  await connect.startAgain();
  await connect.connectorRuns(name);
  await marks.pass(client, 'a Connect that came back');

  for (const how of ['immediate', 'kill'] as const) {
    await postgres.end(how);
    await delay(awayMs());
    await postgres.startAgain();
    client = await connectWhenUp(postgres.url);
    await marks.pass(client, 'a PostgreSQL that came back');
  }

  for (let kills = 0; kills < 2; kills++) {
    await clickhouse.kill();
    await delay(awayMs());
    await clickhouse.startAgain();
    await marks.pass(client, 'a ClickHouse that came back');
  }
  const { phase } = (await service.status())!;
  assert.equal(phase, 'streaming', 'the service rode all that out');

  // Each that was killed is missed by the group after 30 s; until then the next one gets no partitions.
  for (const crashAt of ['after-insert:7', 'truncate']) {
    await service.kill();
    service = pipeline.startCommand({ WAL_CDC_CRASH_AT: crashAt });
    const { code, stderr } = await service.ended;
    assert.equal(code, null, `it was to be killed at ${crashAt}: ${stderr}`);
  }
  service = pipeline.startCommand();
  await marks.pass(client, 'a service that came back');
  await delay(awayMs());
  await service.kill();
  service = pipeline.startCommand();
  await marks.pass(client, 'a service that came back');

  await load.stop();
  assert.ok(load.stats.committed > 500, JSON.stringify(load.stats));
  await client.query(mendDatedSql);
  await marks.pass(client, 'all parts');
  await pipeline.expectEqual();
  await optimizeAll(pipeline.config, clickhouse.url);
  await pipeline.expectEqual();
});
