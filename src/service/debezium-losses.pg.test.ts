import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  freshDatabase,
  type PostgresVersion,
  sharedPostgres,
  withoutPostgres15,
} from '../../test/support/postgres.ts';
import { describeTables } from '../sources/wal/catalog.ts';
import { TypeCatalog } from '../sources/wal/types.ts';
import { findLosses } from './debezium-losses.ts';

const advised = { decimals: 'string', times: 'isostring', intervals: 'string' } as const;
const defaults = { decimals: 'precise', times: 'adaptive', intervals: 'numeric' } as const;
const worst = { decimals: 'double', times: 'nanoseconds', intervals: 'numeric' } as const;

for (const version of [18, 15] as const satisfies PostgresVersion[])
  test(`values that Debezium changes, on PostgreSQL ${version}`, {
    skip: version === 15 && withoutPostgres15,
  }, async () => {
    await using db = await freshDatabase(await sharedPostgres(version));
    await db.client.query(`
      CREATE DOMAIN day AS date;
      CREATE TABLE t (id int PRIMARY KEY, d day, ts timestamp, tm time, tz timetz, n numeric, i interval, vb varbit,
        ia int[], da date[], tma time[], plain text);
      INSERT INTO t VALUES
        (1, '2024-02-29', '2024-02-29 12:34:56.123', '12:00', '12:00+00', 1.5, '2 hours', '101', '{1,NULL}', '{infinity}', '{12:00}', 'x'),
        (2, 'infinity', 'infinity', NULL, NULL, 0, NULL, '', '{}', NULL, NULL, NULL),
        (3, '0044-03-15 BC', '9999-12-31', '24:00', '12:00+02', 'NaN', '1 month', '0101', '{{1,2}}', '{0044-03-15 BC}', '{12:00:00.000001}', NULL),
        (4, '1582-10-10', '1600-01-01', '12:00:00.000001', '24:00+00', 12345678901234567890.1, '1 day', '1', '[0:1]={1,2}', NULL, NULL, NULL),
        (5, NULL, NULL, NULL, NULL, '1e-400', NULL, NULL, NULL, NULL, NULL, NULL)`);
    const found = async (modes: Parameters<typeof findLosses>[2]) => {
      const published = [{ schema: 'public', name: 't', columns: undefined, rowFilter: undefined }];
      const [table] = await describeTables(db.client, new TypeCatalog(), published, true);
      const losses = await findLosses(db.client, table!, modes);
      return losses.map(({ column, rows, what }) => `${column} ${rows} ${what.split(/[ ,]/)[0]}`);
    };
    const always = ['d 1 BC', 'd 1 of'];
    const arrays = ['vb 1 with', 'ia 1 arrays', 'ia 1 arrays', 'da 1 with', 'tma 1 with'];
    assert.deepEqual(await found(advised), [...always, 'tm 1 24:00:00', 'tz 2 not', ...arrays]);
    assert.deepEqual(await found(defaults), [...always, 'tz 2 not', 'n 1 NaN', 'i 2 with', ...arrays]);
    assert.deepEqual(await found(worst), [
      ...always,
      'ts 2 outside',
      'tz 2 not',
      'n 2 of',
      'i 2 with',
      ...arrays,
    ]);
    assert.deepEqual(await found({ ...advised, times: 'connect' }), [
      ...always,
      'tm 1 with',
      'tz 2 not',
      ...arrays,
    ]);
    if (version === 18) {
      await db.client.query(`INSERT INTO t (id, i) VALUES (6, 'infinity')`);
      assert.ok((await found(advised)).includes('i 1 infinity'));
    }
  });
