import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControlTables } from '../../src/sinks/clickhouse/control-tables.ts';
import { freshDatabase } from '../support/postgres.ts';
import { type Replication, startReplication } from '../support/replication.ts';
import { waitFor } from '../support/wait-for.ts';

test('added columns arrive: without a default, and with one that older rows read (D01, D02)', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)');
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query('ALTER TABLE t ADD COLUMN note text; INSERT INTO t VALUES (101, $$n$$)');
  await replication.expectEqual();
  await db.client.query(`
    ALTER TABLE t ADD COLUMN level int NOT NULL DEFAULT 7, ADD COLUMN label text DEFAULT 'it''s', ADD COLUMN ok bool DEFAULT true,
      ADD COLUMN at timestamptz DEFAULT '2024-05-06 07:08:09.5+02', ADD COLUMN price numeric(8, 2) DEFAULT 1.5;
    ALTER TABLE t ALTER COLUMN level SET DEFAULT 8;
    INSERT INTO t (id) VALUES (102); UPDATE t SET note = 'x' WHERE id = 5;`);
  await replication.expectEqual();
});

test('a column whose older values are not in the stream stops the table; resync brings it back (D03, D05)', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY, gone text); INSERT INTO t SELECT g, g::text FROM generate_series(1, 100) g',
  );
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query(
    'ALTER TABLE t DROP COLUMN gone, ADD COLUMN r float8 DEFAULT random(); INSERT INTO t (id) VALUES (101)',
  );
  const table = () => replication.service.status().tables[0]!;
  await waitFor(() => table().state === 'stopped', { what: 'the table to stop' });
  assert.equal(table().reason!.code, 'SCHEMA_CHANGED');
  assert.match(table().reason!.message, /public\.t.*"r"/);
  assert.match(table().reason!.hint, /resync/);
  await resync(replication, 'public.t');
  await replication.expectEqual();
  await db.client.query('UPDATE t SET r = 1 WHERE id < 10; DELETE FROM t WHERE id = 50');
  await replication.expectEqual();
});

test('a default that is gone again, of a partitioned table or of a domain stops the table if older rows have values', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE DOMAIN pos AS int DEFAULT 7 CHECK (VALUE > 0)');
  const plain = ['volatile', 'domained', 'nullable', 'empty', 'constant'];
  for (const name of plain) await db.client.query(`CREATE TABLE ${name} (id int PRIMARY KEY)`);
  for (const name of ['parted', 'parted_nullable', 'parted_plain'])
    await db.client.query(`CREATE TABLE ${name} (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM (0) TO (100)`);
  const filled = [
    'volatile',
    'domained',
    'nullable',
    'constant',
    'parted',
    'parted_nullable',
    'parted_plain',
  ];
  for (const name of filled) await db.client.query(`INSERT INTO ${name} SELECT generate_series(1, 5)`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  const add = (table: string, column: string) =>
    `ALTER TABLE ${table} ADD COLUMN u ${column}; ALTER TABLE ${table} ALTER u DROP DEFAULT;`;
  await db.client.query(`BEGIN;
    ${add('volatile', 'uuid NOT NULL DEFAULT gen_random_uuid()')}
    ALTER TABLE domained ADD COLUMN u pos;
    ALTER TABLE nullable ADD COLUMN u text;
    ${add('empty', 'uuid NOT NULL DEFAULT gen_random_uuid()')}
    ${add('constant', 'int NOT NULL DEFAULT 5')}
    ${add('parted', 'int NOT NULL DEFAULT 5')}
    ${add('parted_nullable', 'int DEFAULT 5')}
    ALTER TABLE parted_plain ADD COLUMN u int;
    COMMIT`);
  const stopped = () => replication.service.status().tables.filter(table => table.state === 'stopped');
  const hasColumn = async (table: string) =>
    (
      await replication.clickhouse.query(
        `SELECT 1 FROM system.columns WHERE database = '${db.name}' AND table = '${table}' AND name = 'u'`,
      )
    ).length > 0;
  await waitFor(() => stopped().length === 4, { what: 'four tables to stop' });
  for (const name of ['nullable', 'empty', 'constant', 'parted_plain'])
    await waitFor(() => hasColumn(name), { what: `the column of ${name}` });
  assert.deepEqual(
    stopped()
      .map(table => `${table.name} ${table.reason!.code}`)
      .sort(),
    ['domained', 'parted', 'parted_nullable', 'volatile'].map(name => `public.${name} SCHEMA_CHANGED`),
  );
  await db.client.query(`INSERT INTO empty VALUES (1, gen_random_uuid()); INSERT INTO parted_plain VALUES (6, 6);
    INSERT INTO nullable VALUES (6, 'x'); INSERT INTO constant VALUES (6, 6)`);
  await replication.expectEqual();
  await resync(replication, 'public.volatile', 'public.domained', 'public.parted', 'public.parted_nullable');
  await replication.expectEqual();
  assert.deepEqual(stopped(), []);
});

test('a new column that ClickHouse has already is taken if older rows read the same in it, or stops the table', async () => {
  await using db = await freshDatabase();
  // What ClickHouse has, what PostgreSQL adds, and what comes of it.
  const columns: Record<string, [string, string, string]> = {
    fits: ['Nullable(Int32)', 'int', 'streaming'],
    own: ['Nullable(Int64)', 'int', 'streaming'],
    list: ['Array(Nullable(Int32))', 'int[]', 'streaming'],
    made: ["Int32 DEFAULT CAST('7', 'Int32')", 'int NOT NULL DEFAULT 7', 'streaming'],
    quoted: ["Nullable(String) DEFAULT 'it\\'s'", "text DEFAULT 'it''s'", 'streaming'],
    strict: ['Int32', 'int', 'TABLE_MISMATCH'],
    dates: ['Nullable(Date32)', 'int', 'TYPE_MISMATCH'],
    defaulted: ["Nullable(String) DEFAULT 'x'", 'text', 'TABLE_MISMATCH'],
    computed: ["Nullable(String) MATERIALIZED 'x'", 'text', 'TABLE_MISMATCH'],
    bare: ['Nullable(Int32)', 'int DEFAULT 7', 'TABLE_MISMATCH'],
    other: ['Int32 DEFAULT 8', 'int NOT NULL DEFAULT 7', 'TABLE_MISMATCH'],
    again: ['Nullable(Int32)', 'int', 'TABLE_MISMATCH'],
  };
  const names = Object.keys(columns);
  for (const name of names)
    await db.client.query(
      `CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} SELECT generate_series(1, 5)`,
    );
  await db.client.query('ALTER TABLE again ADD COLUMN c int; UPDATE again SET c = id');
  const states = ({ service }: Replication) =>
    Object.fromEntries(
      service.status().tables.map(table => [table.name, table.reason ? table.reason.code : table.state]),
    );
  const expected = Object.fromEntries(names.map(name => [`public.${name}`, columns[name]![2]]));
  {
    await using replication = await startReplication(db);
    await replication.expectEqual();
    for (const name of names.filter(other => other !== 'again'))
      await replication.clickhouse.command(
        `ALTER TABLE ${db.name}.${name} ADD COLUMN c ${columns[name]![0]}`,
      );
    await db.client.query('ALTER TABLE again DROP COLUMN c');
    const control = new ControlTables(replication.clickhouse, replication.config.pipeline);
    await waitFor(
      async () =>
        (await control.loadTables()).find(table => table.name === 'again')!.state.columns.length === 1,
      { what: 'the column to be gone' },
    );
    for (const name of names) await db.client.query(`ALTER TABLE ${name} ADD COLUMN c ${columns[name]![1]}`);
    const stopped = () => Object.values(states(replication)).filter(state => /MISMATCH/.test(state)).length;
    await waitFor(() => stopped() === 7, { what: 'seven tables to stop' });
    await db.client.query('INSERT INTO fits VALUES (6, 6); INSERT INTO list VALUES (6, $${6}$$)');
    await db.client.query('INSERT INTO made VALUES (6, 6); UPDATE own SET c = 1 WHERE id = 1');
    await replication.expectEqual();
    assert.deepEqual(states(replication), expected);
    for (const name of ['computed', 'dates', 'strict'])
      await replication.clickhouse.command(`ALTER TABLE ${db.name}.${name} DROP COLUMN c`);
    await resync(replication, ...names.map(name => `public.${name}`));
    await replication.expectEqual();
    assert.deepEqual(new Set(Object.values(states(replication))), new Set(['streaming']));
  }
});

test('another primary key stops the table rather than hit other rows; resync orders it anew (D12)', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL); INSERT INTO t SELECT g, -g FROM generate_series(1, 100) g',
  );
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query(
    'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); DELETE FROM t WHERE b = -5',
  );
  const table = () => replication.service.status().tables[0]!;
  await waitFor(() => table().state === 'stopped', { what: 'the table to stop' });
  assert.equal(table().reason!.code, 'SCHEMA_CHANGED');
  await resync(replication, 'public.t');
  await replication.expectEqual();
  await db.client.query('UPDATE t SET b = 500 WHERE b = -7; DELETE FROM t WHERE b = -8');
  await replication.expectEqual();
});

test('another key stops the table also when no change brings it up, while the service runs and while it is away', async () => {
  await using db = await freshDatabase();
  const keys: Record<string, string> = {
    replaced: 'DROP CONSTRAINT replaced_pkey, ADD PRIMARY KEY (b)',
    identity: 'REPLICA IDENTITY USING INDEX identity_b_key',
    dropped: 'DROP CONSTRAINT dropped_pkey, REPLICA IDENTITY FULL',
    same: 'REPLICA IDENTITY FULL',
    later: 'REPLICA IDENTITY USING INDEX later_b_key',
  };
  for (const name of Object.keys(keys))
    await db.client.query(`CREATE TABLE ${name} (a int PRIMARY KEY, b int NOT NULL UNIQUE, v text);
      INSERT INTO ${name} SELECT g, -g, 'x' FROM generate_series(1, 10) g`);
  await db.client.query('ALTER TABLE dropped DROP CONSTRAINT dropped_b_key');
  const stopped = ({ service }: Replication) =>
    service
      .status()
      .tables.filter(table => table.state === 'stopped')
      .map(table => `${table.name} ${table.reason!.code}`);
  const errors = ['dropped', 'identity', 'replaced'].map(name => `public.${name} SCHEMA_CHANGED`);
  {
    await using replication = await startReplication(db);
    await replication.expectEqual();
    for (const name of ['replaced', 'identity', 'dropped', 'same'])
      await db.client.query(`ALTER TABLE ${name} ${keys[name]}; INSERT INTO ${name} VALUES (11, -11, 'y')`);
    await waitFor(() => stopped(replication).length === 3, { what: 'three tables to stop' });
    assert.deepEqual(stopped(replication).sort(), errors);
    await db.client.query("UPDATE same SET v = 'z'; DELETE FROM same WHERE a = 3");
    await replication.expectEqual();
    await replication.stop();
  }
  await db.client.query(`ALTER TABLE later ${keys.later}; UPDATE later SET a = a + 100 WHERE a <= 3`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  assert.deepEqual(stopped(replication).sort(), [...errors, 'public.later SCHEMA_CHANGED'].sort());
  await resync(replication, ...['dropped', 'identity', 'replaced', 'later'].map(name => `public.${name}`));
  await replication.expectEqual();
  await db.client.query('UPDATE later SET a = a + 200 WHERE a <= 5; DELETE FROM replaced WHERE b = -4');
  await replication.expectEqual();
});

test('a type that the ClickHouse column cannot take stops the table (D08, D09)', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO t VALUES (1, 1)',
  );
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query(
    'ALTER TABLE t ALTER n TYPE bigint USING n * 100; INSERT INTO t VALUES (2, 1 << 40); INSERT INTO other VALUES (1)',
  );
  await replication.expectEqual();
  const stopped = replication.service.status().tables.filter(table => table.state === 'stopped');
  assert.deepEqual(
    stopped.map(table => [table.name, table.reason!.code]),
    [['public.t', 'TYPE_MISMATCH']],
  );
  await resync(replication, 'public.t');
  await replication.expectEqual();
});

test('a new column that is named like one that wal-cdc adds stops the table alone', async () => {
  await using db = await freshDatabase();
  await db.client.query(
    'CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO t VALUES (1)',
  );
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query(
    'ALTER TABLE t ADD COLUMN _version int; INSERT INTO t VALUES (2, 2); INSERT INTO other VALUES (1)',
  );
  await replication.expectEqual();
  const { tables } = replication.service.status();
  assert.deepEqual(
    tables.map(table => [table.name, table.state]),
    [
      ['public.other', 'streaming'],
      ['public.t', 'stopped'],
    ],
  );
  const { reason } = tables.find(table => table.name === 'public.t')!;
  assert.equal(reason!.code, 'TABLE_UNSUPPORTED');
  assert.match(reason!.message, /has a column "_version", the name of a column that wal-cdc adds/);
  assert.match(reason!.hint, /metaColumns/);
});

test('resync of a live table, with writes meanwhile, and of one without a key (S12)', async () => {
  await using db = await freshDatabase();
  await db.client.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 5000) g;
    CREATE TABLE log (line text); INSERT INTO log SELECT 'x' FROM generate_series(1, 500);`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await replication.clickhouse.command(`INSERT INTO ${db.name}.t (id, v, _version) VALUES (-1, 'stray', 1)`);
  let writing = true;
  const writes = (async () => {
    for (let i = 0; writing; i++) {
      await db.client.query(
        `UPDATE t SET v = 'w${i}' WHERE id = ${1 + (i % 5000)}; DELETE FROM t WHERE id = ${5000 - i}; INSERT INTO log VALUES ('y${i}')`,
      );
    }
  })();
  await resync(replication, 'public.t', 'public.log');
  writing = false;
  await writes;
  await replication.expectEqual();
});

test('new tables are taken in while the service runs, with the rows they have (D23, D24)', async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  await using replication = await startReplication(db);
  await db.client.query(`
    CREATE TABLE later (id int PRIMARY KEY, v text); INSERT INTO later SELECT g, 'old' FROM generate_series(1, 500) g;
    CREATE TABLE later_log (v text); INSERT INTO later_log SELECT 'old' FROM generate_series(1, 50) g;`);
  await waitFor(() => replication.service.status().tables.length === 3, {
    what: 'the new tables to be taken in',
  });
  await db.client.query(`UPDATE later SET v = 'new' WHERE id < 10; INSERT INTO later_log VALUES ('new')`);
  await replication.expectEqual();
});

test('changes that the stream does not carry stop the table, with a name; resync brings it back (D05, D08)', async () => {
  await using db = await freshDatabase();
  for (const name of ['renamed', 'replaced', 'retyped', 'fine']) {
    await db.client.query(
      `CREATE TABLE ${name} (id int PRIMARY KEY, a text, n numeric(8, 2)); INSERT INTO ${name} SELECT g, g::text, g FROM generate_series(1, 50) g`,
    );
  }
  await using replication = await startReplication(db);
  await replication.expectEqual();
  await db.client.query(`
    ALTER TABLE renamed RENAME a TO b;
    ALTER TABLE replaced DROP a, ADD a text;
    ALTER TABLE retyped ALTER n TYPE numeric(8, 1);
    ALTER TABLE fine ALTER a TYPE varchar(100), ALTER n TYPE numeric(12, 2), ADD COLUMN m int;`);
  const stopped = () => replication.service.status().tables.filter(table => table.state === 'stopped');
  await waitFor(() => stopped().length === 3, { what: 'three tables to stop' });
  assert.deepEqual(
    stopped().map(table => [table.name, table.reason!.code]),
    [
      ['public.renamed', 'SCHEMA_CHANGED'],
      ['public.replaced', 'SCHEMA_CHANGED'],
      ['public.retyped', 'SCHEMA_CHANGED'],
    ],
  );
  await replication.expectEqual();
  await resync(replication, 'public.renamed', 'public.replaced', 'public.retyped');
  await db.client.query('INSERT INTO renamed VALUES (100, $$x$$); UPDATE fine SET m = 1');
  await replication.expectEqual();
  assert.deepEqual(stopped(), []);
});

test('what happened to columns while the service was away is noticed at its start', async () => {
  await using db = await freshDatabase();
  await db.client.query(`CREATE TABLE added (id int PRIMARY KEY); INSERT INTO added VALUES (1);
    CREATE TABLE renamed (id int PRIMARY KEY, a text); INSERT INTO renamed VALUES (1, 'x')`);
  {
    await using replication = await startReplication(db);
    await replication.expectEqual();
  }
  await db.client.query(`ALTER TABLE added ADD COLUMN v int DEFAULT 5; INSERT INTO added VALUES (2, 6);
    ALTER TABLE renamed RENAME a TO b; UPDATE renamed SET b = 'y'`);
  await using replication = await startReplication(db);
  await replication.expectEqual();
  const states = replication.service.status().tables.map(table => [table.name, table.state]);
  assert.deepEqual(states, [
    ['public.added', 'streaming'],
    ['public.renamed', 'stopped'],
  ]);
});

async function resync(
  replication: Awaited<ReturnType<typeof startReplication>>,
  ...names: string[]
): Promise<void> {
  const control = new ControlTables(replication.clickhouse, replication.config.pipeline);
  const bases = async () => (await control.loadTables()).map(table => table.state.base);
  const before = await bases();
  await control.request('resync', JSON.stringify(names));
  await waitFor(
    async () =>
      (await control.loadTables()).every(
        (table, i) =>
          !names.includes(`${table.schema}.${table.name}`) ||
          (table.state.phase === 'streaming' &&
            table.state.base !== undefined &&
            table.state.base !== before[i]),
      ),
    { what: `a fresh copy of ${names.join(', ')}` },
  );
}
