import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { walCdc } from '../../test/support/command-line.ts';
import { pipelineOf, queryClickHouse, tableExists } from '../../test/support/command-pipeline.ts';
import { freshDatabase } from '../../test/support/postgres.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { marked } from '../sinks/clickhouse/shadow-mark.ts';

test('teardown drops what the pipeline made, with --data its tables too, and nothing else', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE SCHEMA s; CREATE TABLE s.u (a int)',
  );
  const env = await pipelineOf(db);
  const own = `wal_cdc_${db.name}`;
  const run = async () => assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  await run();
  const first = await walCdc(['teardown'], { env });
  assert.equal(first.code, 0, first.stderr);
  assert.deepEqual(first.stdout.trim().split('\n'), [
    `dropped  replication slot ${own}`,
    `dropped  publication ${own}`,
    `left     table ${db.name}.t: only --data drops it`,
    `left     table ${db.name}_s.u: only --data drops it`,
    `dropped  what wal_cdc has of pipeline ${db.name}`,
  ]);
  assert.equal(await tableExists(db.name, 't'), true);

  await run();
  await queryClickHouse(`CREATE TABLE ${db.name}_s.mine (a Int8) ENGINE = MergeTree ORDER BY a`);
  const second = await walCdc(['teardown', '--data', '--json'], { env });
  const { steps } = JSON.parse(second.stdout) as { steps: { object: string; outcome: string }[] };
  const outcome = (object: string) => steps.find(step => step.object === object)?.outcome;
  assert.equal(outcome(`table ${db.name}.t`), 'dropped');
  assert.equal(outcome(`database ${db.name}`), 'dropped');
  assert.equal(outcome(`table ${db.name}_s.u`), 'dropped');
  assert.equal(outcome(`database ${db.name}_s`), 'left');
  assert.equal(await tableExists(`${db.name}_s`, 'mine'), true);
  assert.equal((await queryClickHouse(`SELECT 1 FROM system.databases WHERE name = '${db.name}'`)).length, 0);

  const third = await walCdc(['teardown'], { env });
  assert.equal(third.code, 0);
  assert.doesNotMatch(third.stdout, /dropped/);
});

test('what docs/deploy.md says of leaving drops the slot: the configuration of a pod names no mode', async () => {
  await using db = await freshDatabase();
  using dir = tempDir();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const env = await pipelineOf(db);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  const config = {
    listen: '0.0.0.0:8080',
    pipeline: db.name,
    postgres: { url: db.url },
    clickhouse: { url: env.WAL_CDC_CLICKHOUSE_URL },
  };
  // JSON is YAML.
  writeFileSync(join(dir.path, 'wal-cdc.yaml'), JSON.stringify(config));
  const page = readFileSync(join(import.meta.dirname, '../../docs/deploy.md'), 'utf8');
  const [, words] = /^npx wal-cdc (teardown .+)$/m.exec(page)!;

  const synthetic = await walCdc(words!.replace('=wal', '=synthetic').split(' '), { cwd: dir.path });
  assert.equal(synthetic.code, 2, synthetic.stdout);
  assert.match(synthetic.stderr, /was run in mode wal, not synthetic\nhint: Tear it down with --mode wal/);

  const { code, stdout, stderr } = await walCdc(words!.split(' '), { cwd: dir.path });
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`^dropped +replication slot wal_cdc_${db.name}$`, 'm'));
  assert.match(stdout, /^dropped +what wal_cdc has of/m);
});

test('teardown --data drops what an earlier teardown left, shadows of broken copies too', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE gone (id int PRIMARY KEY)',
  );
  const env = await pipelineOf(db);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  assert.equal((await walCdc(['teardown'], { env })).code, 0);
  // Nobody takes what is only noted for a table that is replicated.
  const status = JSON.parse((await walCdc(['status', '--json'], { env })).stdout);
  assert.deepEqual([status.checkpoint, status.tables], [undefined, []]);
  assert.match(
    (await walCdc(['plan'], { env })).stdout,
    /public\.t: fits; its 1 rows are replaced by a copy/,
  );
  assert.match((await walCdc(['doctor'], { env })).stdout, /^ok +public\.t: (?!.*replicated already)/m);

  // A new life copies everything afresh, behind the live tables, and changes are replicated.
  await db.client.query(`DELETE FROM t; INSERT INTO t VALUES (2); DROP TABLE gone`);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  assert.deepEqual(await queryClickHouse(`SELECT id FROM ${db.name}.t FINAL`), [{ id: 2 }]);
  await db.client.query('INSERT INTO t VALUES (3)');
  assert.match((await walCdc(['verify'], { env })).stdout, /^equal +public\.t +2 rows$/m);

  assert.equal((await walCdc(['teardown'], { env })).code, 0);
  await queryClickHouse(
    `CREATE TABLE ${db.name}.t__wal_cdc_copy AS ${db.name}.t COMMENT '${marked('made by wal-cdc')}'`,
  );
  const { code, stdout } = await walCdc(['teardown', '--data'], { env });
  assert.equal(code, 0);
  for (const table of ['t', 't__wal_cdc_copy', 'gone'])
    assert.match(stdout, new RegExp(`^dropped +table ${db.name}\\.${table}$`, 'm'));
  assert.match(stdout, new RegExp(`^dropped +database ${db.name}$`, 'm'));
  assert.deepEqual(await queryClickHouse(`SELECT 1 FROM system.databases WHERE name = '${db.name}'`), []);
  assert.doesNotMatch((await walCdc(['teardown', '--data'], { env })).stdout, /^dropped.*pipeline/m);
});

test('teardown drops slot and publication when ClickHouse does not answer', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const env = await pipelineOf(db);
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  const away = { ...env, WAL_CDC_CLICKHOUSE_URL: 'http://127.0.0.1:1' };
  const { code, stdout, stderr } = await walCdc(['teardown'], { env: away });
  assert.equal(code, 3);
  const own = `wal_cdc_${db.name}`;
  assert.match(
    stdout,
    new RegExp(`^dropped +replication slot ${own}\ndropped +publication ${own}\nleft `, 'm'),
  );
  assert.match(stderr, /still has what wal_cdc has of pipeline [\s\S]*teardown again[\s\S]*SINK_UNREACHABLE/);
  const { rowCount } = await db.client.query(
    'SELECT 1 FROM pg_publication UNION ALL SELECT 1 FROM pg_replication_slots WHERE database = current_database()',
  );
  assert.equal(rowCount, 0);
  assert.match((await walCdc(['teardown'], { env })).stdout, /^dropped +what wal_cdc has of/m);
});

test('teardown leaves a slot and a publication that the user names', async () => {
  await using db = await freshDatabase();
  await db.client.query(`CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE t`);
  await db.client.query(`SELECT pg_create_logical_replication_slot('mine_${db.name}', 'pgoutput')`);
  const env = await pipelineOf(db, {
    WAL_CDC_POSTGRES_SLOT: `mine_${db.name}`,
    WAL_CDC_POSTGRES_PUBLICATION: 'mine',
  });
  assert.equal((await walCdc(['run', '--until', 'current'], { env })).code, 0);
  const { code, stdout } = await walCdc(['teardown', '--data'], { env });
  assert.equal(code, 0);
  assert.match(stdout, /^left +replication slot mine_\w+: postgres\.slot names it/m);
  assert.match(stdout, /^left +publication mine: /m);
  assert.match(stdout, /^dropped +table \w+\.t$/m);
  const { rowCount } = await db.client.query(
    'SELECT 1 FROM pg_publication UNION ALL SELECT 1 FROM pg_replication_slots WHERE database = current_database()',
  );
  assert.equal(rowCount, 2);
});
