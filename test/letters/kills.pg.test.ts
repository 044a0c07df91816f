import assert from 'node:assert/strict';
import { test } from 'node:test';
import { walCdc } from '../support/command-line.ts';
import { freshDatabase } from '../support/postgres.ts';
import { clickhouse, command, pipelineOf } from './commands.ts';

const largeText = `(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 400))`;

async function listed(env: Record<string, string>): Promise<{ id: string; key: string; state: string }[]> {
  return JSON.parse(await command('dead-letters list --state all --json', env)).letters;
}

async function killedAt(place: string, env: Record<string, string>): Promise<void> {
  const { code, stderr, stdout } = await walCdc(['run', '--until', 'current'], {
    env: { ...env, WAL_CDC_CRASH_AT: place },
  });
  assert.equal(code, null, `not killed at ${place}: ${stdout}${stderr}`);
}

test('a kill between letter and checkpoint leaves one letter, from stream and copy', async () => {
  await using db = await freshDatabase();
  await db.client.query(`
    CREATE TABLE t (id int PRIMARY KEY, d date, doc text);
    ALTER TABLE t ALTER COLUMN doc SET STORAGE EXTERNAL;
    INSERT INTO t SELECT g, CASE WHEN g <= 3 THEN 'infinity'::date ELSE '2024-01-01' END, ${largeText} FROM generate_series(1, 50) g`);
  const env = await pipelineOf(db);
  await killedAt('dead-letters:1', env);
  await command('run --until current', env);
  assert.equal((await listed(env)).length, 3);
  const places = ['before-insert:1', 'dead-letters:1', 'after-insert:1'];
  for (const [i, place] of places.entries()) {
    // A key that moves: in the replay its old row, and with it the large value, is gone already.
    await db.client.query(`UPDATE t SET id = ${100 + i}, d = '9999-12-31' WHERE id = ${10 + i}`);
    await killedAt(place, env);
    await command('run --until current', env);
  }
  const letters = await listed(env);
  assert.deepEqual(letters.map(letter => letter.key).sort(), [
    '{"id":"1"}',
    '{"id":"100"}',
    '{"id":"101"}',
    '{"id":"102"}',
    '{"id":"2"}',
    '{"id":"3"}',
  ]);
  const { tables } = JSON.parse(await command('verify --json', env, 4));
  assert.deepEqual([tables[0].differingCount, tables[0].inDeadLetters], [6, 6]);
  // What the letters kept is what the source has.
  await clickhouse(`ALTER TABLE ${db.name}.t MODIFY COLUMN d Nullable(String)`);
  const wide = { ...env, WAL_CDC_COLUMNS: '{ "public.t.d": { type: String } }' };
  await command('dead-letters replay --all', wide);
  await command('verify', wide);
});

test('a replay of the stream opens no letter that was settled meanwhile', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY, d date)');
  const env = await pipelineOf(db);
  await command('run --until current', env);
  await db.client.query(`INSERT INTO t VALUES (1, '9999-12-31'), (2, '9999-12-31')`);
  await killedAt('after-insert:1', env);
  const [first, second] = await listed(env);
  const clamped = { ...env, WAL_CDC_COLUMNS: '{ "public.t.d": { onInvalid: clamp } }' };
  await command(`dead-letters replay ${first!.id}`, clamped);
  await command(`dead-letters discard ${second!.id}`, env);
  await command('run --until current', env);
  assert.deepEqual(
    (await listed(env)).map(({ id, state }) => [id, state]).sort(),
    [
      [first!.id, 'replayed'],
      [second!.id, 'discarded'],
    ].sort(),
  );
});
