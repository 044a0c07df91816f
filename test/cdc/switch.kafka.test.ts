import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { RunningCommand, walCdc } from '../support/command-line.ts';
import { pipelineOf, queryClickHouse } from '../support/command-pipeline.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { platformProfile } from '../support/kafka/platform-profile.ts';
import { sharedConnect, sharedKafka } from '../support/kafka/shared-kafka.ts';
import { freshDatabase, type TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

/** The log of mode \`wal\` says the same while it reads up to the marker. */
const streamsInNewMode = /goes on in its new mode[\s\S]*"streaming"/;

const schemaSql = `
  CREATE TABLE docs (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, doc text);
  ALTER TABLE docs ALTER COLUMN doc SET STORAGE EXTERNAL;
  CREATE TABLE pairs (a int, b text, v int, PRIMARY KEY (a, b));
  CREATE TABLE log_lines (line text);
  INSERT INTO docs SELECT n, 0, repeat(md5(n::text), 100) FROM generate_series(1, 500) n;
  INSERT INTO pairs SELECT n, 'k' || n, 0 FROM generate_series(1, 100) n;
  INSERT INTO log_lines SELECT 'before ' || n FROM generate_series(1, 20) n;`;

test('a pipeline goes from cdc to wal and back while rows change, and is killed in between', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query(schemaSql);
  await using pipeline = await startPipeline(db);
  await using writer = startWriter(db);
  await using cdc = pipeline.run('cdc');
  await cdc.prints(/"streaming"/);
  await waitFor(async () => (await pipeline.verify('cdc')) === 0, { what: 'cdc to have the snapshot' });
  assert.equal((await cdc.stop()).code, 0);

  // Its first change is in no stream that begins now.
  const open = new pg.Client({ connectionString: db.url });
  await open.connect();
  await open.query(`BEGIN; UPDATE docs SET v = 1000 WHERE id = 1; INSERT INTO pairs VALUES (-1, 'open', 0)`);
  await using killed = pipeline.run('wal');
  await killed.prints(/switching the mode/);
  await killed[Symbol.asyncDispose]();
  await using wal = pipeline.run('wal');
  await wal.prints(/switching the mode/);
  await open.query(`UPDATE pairs SET v = 1 WHERE a = -1; COMMIT`);
  await open.end();
  await wal.prints(streamsInNewMode);
  await writer.writes(20);
  await using late = pipeline.run('cdc');
  const refused = await late.ended;
  assert.equal(refused.code, 3);
  assert.match(refused.stderr + refused.stdout, /SLOT_IN_USE/);
  assert.equal(await pipeline.verify('wal'), 0);
  assert.equal((await wal.stop()).code, 0);

  await writer.writes(20);
  await using again = pipeline.run('cdc');
  await again.prints(streamsInNewMode);
  const { rows } = await db.client.query(
    'SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()',
    [`wal_cdc_${db.name}`],
  );
  assert.equal(rows.length, 0, 'the slot of mode wal keeps no log any more');
  await writer.writes(20);
  await db.client.query('TRUNCATE pairs');
  await writer.writes(5);
  // Without its key log_lines cannot go on where the slot ended.
  assert.equal(await pipeline.verify('cdc'), 4);
  assert.equal(await pipeline.verify('cdc', 'public.docs', 'public.pairs'), 0);
  assert.match(again.stderr + again.stdout, /MODE_SWITCH/);

  await using other = pipeline.run('wal');
  await other.prints(streamsInNewMode);
  // Whoever was left behind in the other mode ends.
  const left = await again.ended;
  assert.equal(left.code, 3, left.stderr + left.stdout);
  await writer.writes(20);
  await writer[Symbol.asyncDispose]();
  await waitFor(async () => (await pipeline.verify('wal')) === 0, { what: 'log_lines to be copied afresh' });
  for (const table of ['docs', 'pairs']) await queryClickHouse(`OPTIMIZE TABLE ${db.name}.${table} FINAL`);
  assert.equal(await pipeline.verify('wal'), 0);
  assert.equal((await other.stop()).code, 0);
});

test('a switch without what it needs says so and changes nothing', { skip: withoutKafka }, async () => {
  await using db = await freshDatabase();
  await db.client.query(schemaSql);
  await using pipeline = await startPipeline(db);
  await using cdc = pipeline.run('cdc');
  await cdc.prints(/"streaming"/);
  await cdc.stop();
  const { WAL_CDC_KAFKA_BROKERS: _, ...withoutBrokers } = pipeline.env;
  const noBrokers = await walCdc(['run', '--mode', 'wal'], { env: withoutBrokers });
  assert.equal(noBrokers.code, 3);
  assert.match(noBrokers.stderr + noBrokers.stdout, /needs kafka\.brokers too[\s\S]*MODE_SWITCH/);
  const doctor = async (env: Record<string, string>) =>
    (await walCdc(['doctor', '--mode', 'wal'], { env })).stdout
      .split('\n')
      .filter(line => / (checkpoint|slot|publication)\b/.test(line));
  const [noSwitch, ...rest] = await doctor(withoutBrokers);
  assert.match(noSwitch!, /^FAIL +checkpoint: .*needs kafka\.brokers too.*\[MODE_SWITCH\]$/);
  assert.deepEqual(
    rest.filter(line => !line.startsWith('ok')),
    [],
  );
  const [switches] = await doctor(pipeline.env);
  assert.match(switches!, /^ok +checkpoint: of mode cdc: run switches the pipeline to mode wal$/);
  await pipeline.stopConnector();
  const noConnector = await walCdc(['run', '--mode', 'wal'], { env: pipeline.env });
  assert.equal(noConnector.code, 3);
  assert.match(noConnector.stderr + noConnector.stdout, /no connector streams[\s\S]*MODE_SWITCH/);
  const rows = await queryClickHouse(
    `SELECT mode FROM wal_cdc.checkpoints FINAL WHERE pipeline = '${db.name}'`,
  );
  assert.deepEqual(rows, [{ mode: 'cdc' }]);
});

/** Debezium on the database, and the service as a command in either mode with one configuration. */
async function startPipeline(db: TestDatabase) {
  const [kafka, connect] = await Promise.all([sharedKafka(), sharedConnect()]);
  await db.client.query(`CREATE PUBLICATION ${db.name} FOR ALL TABLES`);
  const source = { postgresUrl: db.url, topicPrefix: db.name, slot: db.name, publication: db.name };
  await connect.putConnector(db.name, platformProfile(source));
  const env: Record<string, string> = {
    ...(await pipelineOf(db)),
    WAL_CDC_KAFKA_BROKERS: kafka.address(),
    WAL_CDC_KAFKA_TOPICS: `${db.name}\\..*`,
  };
  let isThere = true;
  const stopConnector = async () => {
    if (isThere) await connect.deleteConnector(db.name);
    isThere = false;
  };
  return {
    env,
    run: (mode: string) => new RunningCommand(['run', '--mode', mode], { env }),
    /** Its exit code. */
    async verify(mode: string, ...tables: string[]): Promise<number | null> {
      const chosen = tables.flatMap(table => ['--table', table]);
      return (await walCdc(['verify', '--mode', mode, ...chosen], { env })).code;
    },
    stopConnector,
    [Symbol.asyncDispose]: stopConnector,
  };
}

/** Writes all the time, every kind of change. */
function startWriter(db: TestDatabase) {
  let written = 0;
  let stopped = false;
  const run = async () => {
    const client = new pg.Client({ connectionString: db.url });
    await client.connect();
    try {
      for (let n = 1; !stopped; n++) {
        const id = 500 + n;
        await client.query(`
          INSERT INTO docs VALUES (${id}, 0, repeat(md5('${n}'), 100));
          UPDATE docs SET v = v + 1 WHERE id % 50 = ${n % 50};
          UPDATE docs SET id = -id WHERE id = ${id - 20};
          DELETE FROM docs WHERE id = ${20 - id + 20};
          INSERT INTO pairs VALUES (${n}, 'new', 0) ON CONFLICT (a, b) DO UPDATE SET v = pairs.v + 1;
          UPDATE pairs SET b = b || '-', v = v + 1 WHERE a = ${n % 100};
          INSERT INTO log_lines VALUES ('line ${n}')`);
        written = n;
        await sleep(20);
      }
    } finally {
      await client.end();
    }
  };
  const running = run();
  return {
    /** Resolves when it has written so much more. */
    async writes(transactions: number): Promise<void> {
      const until = written + transactions;
      await waitFor(() => written >= until, { what: 'the writer' });
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      await running;
    },
  };
}
