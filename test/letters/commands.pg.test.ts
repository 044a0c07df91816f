import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunningCommand } from '../support/command-line.ts';
import { freshDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';
import { clickhouse, command, pipelineOf } from './commands.ts';

test('list, show and replay; status, doctor and verify say what is set aside', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int, "Key 2" text, d date, n numeric(10, 2), PRIMARY KEY (id, "Key 2"));
    INSERT INTO t SELECT g, 'a', CASE WHEN g % 50 = 0 THEN '9999-12-31'::date ELSE '2024-01-01' END, g FROM generate_series(1, 200) g;
    CREATE TABLE log (d date, line text);
    INSERT INTO log VALUES ('2024-01-01', 'good'), ('infinity', 'bad'), ('infinity', 'bad'), ('-infinity', NULL)`);
  const env = await pipelineOf(db);
  assert.match(await command('dead-letters list', env), /^no open dead letters$/m);
  const doctor = await command('doctor', env);
  assert.match(doctor, /^warn {2}public\.t: .*cannot hold 9999-12-31 .*such rows go to the dead letters/m);
  await command('run --until current', env);

  assert.match(
    await command('status', env),
    /^set aside +7 dead letters[\s\S]*^public\.t .* streaming +4 +196 +0$/m,
  );
  assert.equal(JSON.parse(await command('status --json', env)).deadLetters, 7);
  assert.match(await command('doctor --fast', env), /^warn {2}public\.log: 3 open dead letters/m);

  const verified = await command('verify', env, 4);
  assert.match(
    verified,
    /^DIFFERS +public\.t +200 rows, 4 of them different, all of these in dead letters$/m,
  );
  assert.match(verified, /^ {2}id = 50, Key 2 = a: missing in ClickHouse, in dead letter [0-9a-f]{12}$/m);
  assert.match(
    verified,
    /^DIFFERS +public\.log +4 rows, 3 of them different, all of these in dead letters$/m,
  );
  assert.match(verified, /wal-cdc dead-letters show/);
  assert.doesNotMatch(verified, /resync/);

  const list = await command('dead-letters list --table public.t', env);
  assert.match(list, /^ID +AT +TABLE +KEY +REASON$/m);
  assert.match(
    list,
    /^[0-9a-f]{12} {2}\S+Z {2}public\.t {2}id = 50, Key 2 = a +table public\.t, column "d"/m,
  );
  const { total, letters } = JSON.parse(await command('dead-letters list --limit 2 --json', env));
  assert.equal(total, 7);
  assert.equal(letters.length, 2);
  assert.match(await command('dead-letters list --limit 2', env), /^the newest 2 of 7$/m);
  const id = /^([0-9a-f]{12}) .*id = 50,/m.exec(list)![1]!;

  const shown = await command(`dead-letters show ${id}`, env);
  assert.match(shown, new RegExp(`^letter +${id}`));
  assert.match(shown, /^state +open$/m);
  assert.match(shown, /^what +copy at [0-9A-F]+\/[0-9A-F]+, copied 20/m);
  assert.match(shown, /^reason .*date 9999-12-31 is outside Date32.*\(VALUE_INVALID\)$/m);
  assert.match(shown, /^hint .*onInvalid/m);
  assert.match(shown, /^ {2}d +date +"9999-12-31"$/m);
  assert.match(shown, /^ {2}n +numeric +"50\.00"$/m);
  const json = JSON.parse(await command(`dead-letters show ${id} --json`, env));
  assert.deepEqual(json.key, { id: '50', 'Key 2': 'a' });
  assert.deepEqual(json.row[2], { name: 'd', type: 'date', value: '9999-12-31' });
  assert.equal(Buffer.from(json.change, 'base64')[0], 'N'.charCodeAt(0));

  assert.match(await command('dead-letters show ffffff', env, 2), /LETTER_UNKNOWN/);
  assert.match(
    await command('dead-letters list --table public.nothing', env, 2),
    /no table with dead letters matches/,
  );
  assert.match(await command('dead-letters replay', env, 2), /which letters is not said/);
  // Nothing has changed: the reason is the same one.
  const again = await command(`dead-letters replay ${id}`, env, 4);
  assert.match(again, /^0 replayed, 1 still open$/m);
  assert.match(again, new RegExp(`^${id} {2}public\\.t: .*Date32`, 'm'));

  // With a policy they fit.
  const clamped = await pipelineOf(db, {
    WAL_CDC_COLUMNS: '{ "public.t.d": { onInvalid: clamp }, "public.log.d": { onInvalid: clamp } }',
  });
  assert.match(await command(`dead-letters replay ${id}`, clamped), /^1 replayed$/m);
  assert.match(await command('dead-letters replay --table public.t', clamped), /^3 replayed$/m);
  const result = JSON.parse(await command('dead-letters replay --all --json', clamped));
  assert.deepEqual(result, { replayed: 3, superseded: 0, failed: [] });
  assert.match(await command('dead-letters list', clamped), /^no open dead letters$/m);
  const settled = await command('dead-letters list --state all', clamped);
  assert.equal(settled.match(/ replayed /g)!.length, 7);
  await command('verify', clamped);
  assert.doesNotMatch(await command('status', clamped), /dead letter/);
});

test('replay beside the service, after a column was made wider; a letter below a newer row is superseded', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, d date, doc text, gone int);
    ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO t SELECT g, '2024-01-01', repeat(md5(g::text), 200), g FROM generate_series(1, 9) g`);
  const env = await pipelineOf(db);
  await command('run --until current', env);
  // Another key: what the update leaves out is nowhere else once the old key is gone. Then a row, and a delete, upon letters.
  await db.client.query(`UPDATE t SET id = 10, d = '9999-12-31' WHERE id = 1`);
  await db.client.query(`UPDATE t SET d = 'infinity' WHERE id IN (2, 3, 4)`);
  await db.client.query(`UPDATE t SET d = '2024-03-03' WHERE id = 3`);
  await db.client.query('DELETE FROM t WHERE id = 4');
  await command('run --until current', env);
  const gone = await clickhouse(`SELECT id FROM ${db.name}.t FINAL WHERE id IN (1, 4, 10)`);
  assert.deepEqual(gone, []);
  const list = JSON.parse(await command('dead-letters list --json', env));
  const moved = list.letters.find((letter: { key: string }) => letter.key === '{"id":"10"}');
  const shown = await command(`dead-letters show ${moved.id}`, env);
  assert.match(shown, /^ {2}doc +text +unchanged: 6,\d\d\d bytes, kept as Nullable\(String\)$/m);
  assert.match(shown, /^ {2}id +int4 +"10" {2}\(before: "1"\)$/m);

  await clickhouse(`ALTER TABLE ${db.name}.t MODIFY COLUMN d Nullable(String)`);
  const wide = await pipelineOf(db, { WAL_CDC_COLUMNS: '{ "public.t.d": { type: String } }' });
  await using service = new RunningCommand(['run'], { env: wide });
  await service.prints(/streaming/);
  const replayed = await command('dead-letters replay --all', wide);
  assert.match(replayed, /^2 replayed, 2 superseded by something newer$/m);
  await db.client.query('UPDATE t SET gone = 0 WHERE id IN (2, 10)');
  await command('verify', wide);
  assert.equal((await service.stop()).code, 0);
});

test('verify knows the rows of letters whatever they are told apart by', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TYPE mood AS ENUM ('sad', 'so-so');
    CREATE TABLE t (
      n numeric(10, 3), at timestamptz, c char(4), "b""\`yte" bytea, m mood, f float8, u uuid, i interval, d date,
      PRIMARY KEY (n, at, c, "b""\`yte", m, f, u, i));
    INSERT INTO t SELECT g, '2024-01-01 12:00:00.5+02'::timestamptz + g * interval '1 s', 'a', '\\xff00'::bytea, 'so-so', 0.1 * g,
      '00000000-0000-0000-0000-00000000000a', interval '1 day 02:00', CASE WHEN g % 2 = 0 THEN 'infinity' ELSE '2024-01-01' END::date
      FROM generate_series(1, 20) g;
    CREATE TABLE log (d date, list int[], long text, j jsonb);
    INSERT INTO log VALUES ('infinity', NULL, repeat('x', 10000), '{"a": 1}'), ('infinity', '{1,NULL}', NULL, NULL), ('2024-01-01', '{}', 'good', '1')`);
  const env = { ...(await pipelineOf(db)), WAL_CDC_ARRAYS_NULLFLAG: 'true' };
  await command('run --until current', env);
  const { tables } = JSON.parse(await command('verify --json', env, 4));
  assert.deepEqual(
    tables.map((table: Record<string, unknown>) => [
      table.name,
      table.differingCount,
      table.inDeadLetters,
      table.error,
    ]),
    [
      ['log', 2, 2, undefined],
      ['t', 10, 10, undefined],
    ],
  );
  // A row that is missing for another reason is told first.
  await clickhouse(`DELETE FROM ${db.name}.t WHERE n = 3`);
  const text = await command('verify --table public.t', env, 4);
  assert.match(
    text,
    /^DIFFERS .* 11 of them different, 10 of these in dead letters\n {2}n = 3(?:\.000)?, .*: missing in ClickHouse$/m,
  );
});

test('a letter whose row became good is settled by the service', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, d date);
    INSERT INTO t SELECT g, 'infinity' FROM generate_series(1, 3) g`);
  const env = { ...(await pipelineOf(db)), WAL_CDC_TEST_LETTER_INTERVAL_MS: '100' };
  await using service = new RunningCommand(['run'], { env });
  await service.prints(/"copied"/);
  await db.client.query(`UPDATE t SET d = '2024-01-01' WHERE id = 1; DELETE FROM t WHERE id = 2`);
  const states = async () => {
    const { letters } = JSON.parse(await command('dead-letters list --state all --json', env));
    return letters.map(({ key, state }: { key: string; state: string }) => `${key} ${state}`).sort();
  };
  const expected = ['{"id":"1"} superseded', '{"id":"2"} superseded', '{"id":"3"} open'];
  await waitFor(async () => (await states()).join() === expected.join(), {
    what: 'two letters to be settled',
  });
});

test('discard, and what teardown leaves', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, d date);
    INSERT INTO t VALUES (1, '2024-01-01'), (2, 'infinity'), (3, 'infinity'), (4, 'infinity')`);
  const env = await pipelineOf(db);
  await command('run --until current', env);
  const { letters } = JSON.parse(await command('dead-letters list --json', env));
  assert.match(await command(`dead-letters discard ${letters[0].id}`, env), /^1 discarded$/m);
  assert.match(await command('dead-letters list', env), /(?:^[0-9a-f]{12} .*\n){2}/m);
  // A discarded row is missing for no other reason than that.
  const verified = await command('verify', env, 4);
  assert.match(verified, /3 of them different, 2 of these in dead letters/);
  assert.match(verified, /resync/);
  assert.match(
    await command('dead-letters list --state discarded', env),
    new RegExp(letters[0].id.slice(0, 12)),
  );

  assert.match(await command('teardown', env), /^left +3 dead letters of pipeline test_\d+: only --data/m);
  // A new copy makes letters of its own, and settles those of before.
  await command('run --until current', env);
  const count = async (state: string) =>
    JSON.parse(await command(`dead-letters list --json --state ${state}`, env)).total;
  assert.deepEqual([await count('open'), await count('superseded'), await count('all')], [3, 3, 6]);
  await db.client.query('TRUNCATE t');
  await command('run --until current', env);
  assert.deepEqual([await count('open'), await count('superseded')], [0, 6]);
  await command('verify', env);
  assert.match(await command('teardown --data', env), /^dropped +6 dead letters/m);
});
