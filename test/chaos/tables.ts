import type pg from 'pg';
import type { Random } from '../../src/demo/random.ts';

/**
 * A table of the load. Besides its key it has `v integer`, `note text` and `doc text`; the latter is stored out of line
 * when it is long, so that updates leave it out of the WAL.
 */
export interface LoadTable {
  name: string;
  key: readonly string[];
  /** SQL of the key's values. Keys come from a small space and some of them often: transactions meet. */
  randomKey(random: Random): string[];
  /** A key that only this connection uses, to swap two others. */
  spareKey(connection: number): string[];
}

const someId = (random: Random) => 1 + (random.below(10) < 7 ? random.below(100) : random.below(5000));
const spareId = (connection: number) => 1_000_000 + connection;

export function tableWithId(name: string): LoadTable {
  return {
    name,
    key: ['id'],
    randomKey: random => [String(someId(random))],
    spareKey: connection => [String(spareId(connection))],
  };
}

/** Its rows go in and out of the dead letters: where `v` is a multiple of 7, ClickHouse cannot hold their `due`. */
export const datedTable = 'dated';
export const tableOptions = JSON.stringify({ [`public.${datedTable}`]: { onError: 'dead-letter' } });
/** Makes all of its rows fit, and leaves out their documents. */
export const mendDatedSql = `UPDATE ${datedTable} SET v = v + 1 WHERE v % 7 = 0`;

/** Default identity, identity index, full identity with and without a primary key, partitions, a composite key. */
export const keyedTables: readonly LoadTable[] = [
  tableWithId('accounts'),
  tableWithId('full_pk'),
  tableWithId('volatile'),
  tableWithId(datedTable),
  {
    name: 'by_index',
    key: ['a', 'b'],
    randomKey: random => {
      const id = someId(random);
      return [String(id % 70), String(id)];
    },
    spareKey: connection => ['-1', String(spareId(connection))],
  },
  {
    name: 'full_unique',
    key: ['code'],
    randomKey: random => [`'Ä-${someId(random)}'`],
    spareKey: connection => [`'spare-${connection}'`],
  },
  {
    name: 'parted',
    key: ['id', 'region'],
    // The same id in another region: moves between partitions.
    randomKey: random => [String(1 + (someId(random) % 1500)), String(random.below(3))],
    spareKey: connection => [String(spareId(connection)), '0'],
  },
  {
    name: 'mixed',
    key: ['name', 'rate'],
    randomKey: random => {
      const id = someId(random);
      return [`'name ${id % 50}'`, `${id}.25`];
    },
    spareKey: connection => ["'spare'", String(spareId(connection))],
  },
];

export const keylessTable = 'keyless_log';
/** One transaction may write all of it. */
export const bulkTable = 'bulk';
export const bulkRows = 50_000;
/** Leaves and tables whose rows VACUUM FULL and CLUSTER move. */
export const movableTables: readonly string[] = [
  'accounts',
  'full_pk',
  'dated',
  'parted_1',
  'bulk',
  'keyless_log',
];

const common = 'v integer NOT NULL DEFAULT 0, note text, doc text';

const schemaSql = `
CREATE FUNCTION long_text(seed integer, bytes integer) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN left(repeat(md5(seed::text), bytes / 32 + 1), bytes);

CREATE TABLE accounts (id integer PRIMARY KEY, ${common});
CREATE TABLE full_pk (id integer PRIMARY KEY, ${common});
ALTER TABLE full_pk REPLICA IDENTITY FULL;
CREATE TABLE volatile (id integer PRIMARY KEY, ${common});
CREATE TABLE ${datedTable} (id integer PRIMARY KEY, ${common}, due date);
CREATE FUNCTION set_due() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.due := CASE WHEN NEW.v % 7 = 0 THEN 'infinity'::date ELSE '2024-01-01'::date + NEW.v % 1000 END;
  RETURN NEW;
END $$;
CREATE TRIGGER set_due BEFORE INSERT OR UPDATE ON ${datedTable} FOR EACH ROW EXECUTE FUNCTION set_due();
CREATE TABLE by_index (a integer NOT NULL, b integer NOT NULL, ${common});
CREATE UNIQUE INDEX by_index_key ON by_index (a, b);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE full_unique (code text NOT NULL UNIQUE, ${common});
ALTER TABLE full_unique REPLICA IDENTITY FULL;
CREATE TABLE parted (id integer, region integer, ${common}, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
CREATE TABLE mixed (name text, rate numeric(12,2), ${common},
  at timestamptz NOT NULL DEFAULT clock_timestamp(), ratio double precision DEFAULT random(),
  tags integer[] DEFAULT '{1,NULL,3}', body jsonb DEFAULT '{"a": 1.10}', flag boolean, PRIMARY KEY (name, rate));
CREATE TABLE ${keylessTable} (who integer NOT NULL, doc text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE ${bulkTable} (id integer PRIMARY KEY, ${common});
`;

const seedSql = `
INSERT INTO accounts SELECT n, n, 'seed', CASE WHEN n % 4 = 0 THEN long_text(n, 3000) END FROM generate_series(1, 5000) n;
INSERT INTO full_pk SELECT n, n, 'seed', CASE WHEN n % 4 = 0 THEN long_text(n, 3000) END FROM generate_series(1, 3000) n;
INSERT INTO volatile SELECT n, n, 'seed', NULL FROM generate_series(1, 3000) n;
INSERT INTO ${datedTable} SELECT n, n, 'seed', CASE WHEN n % 2 = 0 THEN long_text(n, 3000) END FROM generate_series(1, 3000) n;
INSERT INTO by_index SELECT n % 70, n, n, 'seed', CASE WHEN n % 3 = 0 THEN long_text(n, 2500) END FROM generate_series(1, 3000) n;
INSERT INTO full_unique SELECT 'Ä-' || n, n, 'seed', NULL FROM generate_series(1, 3000) n;
INSERT INTO parted SELECT n, n % 3, n, 'seed', CASE WHEN n % 4 = 0 THEN long_text(n, 3000) END FROM generate_series(1, 1500) n;
INSERT INTO mixed SELECT 'name ' || n % 50, n + 0.25, n, 'seed', NULL FROM generate_series(1, 3000) n;
INSERT INTO ${keylessTable} SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
INSERT INTO ${bulkTable} SELECT n, n, 'seed', NULL FROM generate_series(1, ${bulkRows}) n;
`;

/** Rows for COPY, which writes many of them in one WAL record. */
const copyFileSql = `DO $$ BEGIN EXECUTE format(
  'COPY (SELECT n, ''copied'' FROM generate_series(1, 400) n) TO %L', current_setting('data_directory') || '/chaos-rows');
END $$`;

export async function createTables(client: pg.Client): Promise<void> {
  await client.query(schemaSql);
  for (const { name } of keyedTables) await storeOutOfLine(client, name);
  await client.query(seedSql);
  await client.query(copyFileSql);
}

/** Uncompressed: a repeated text is then as large as it looks. */
export async function storeOutOfLine(client: pg.Client, table: string): Promise<void> {
  await client.query(`ALTER TABLE ${table} ALTER COLUMN doc SET STORAGE EXTERNAL`);
}

export function copyFromFileSql(table: string, columns: string): string {
  return `DO $$ BEGIN EXECUTE format('COPY ${table} (${columns}) FROM %L', current_setting('data_directory') || '/chaos-rows'); END $$`;
}
