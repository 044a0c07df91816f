import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { quoteString, quoteTableName } from '../../src/sinks/clickhouse/names.ts';
import { optimizeAll } from '../chaos/compare.ts';
import { Load } from '../chaos/load.ts';
import { bulkTable, createTables, mendDatedSql, tableOptions } from '../chaos/tables.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { createMarksSql, Marks } from '../support/kafka/marks.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startReplication } from '../support/replication.ts';
import { seed } from '../support/seed.ts';
import { waitFor } from '../support/wait-for.ts';

/** Beside the random ones: transactions over several tables, whole tables, columns that come up, odd names. */
const changesSql = [
  `BEGIN;
   INSERT INTO accounts (id, v, note, doc) VALUES (900001, 1, 'n', long_text(1, 3000));
   UPDATE full_pk SET v = v + 1 WHERE id <= 50;
   DELETE FROM by_index WHERE a = 3;
   SAVEPOINT s; UPDATE mixed SET v = -1; DELETE FROM accounts WHERE id < 100; ROLLBACK TO s;
   UPDATE accounts SET id = 900002 WHERE id = 900001;
   UPDATE accounts SET v = 2 WHERE id = 900002;
   INSERT INTO keyless_log (who, doc) SELECT n, 'in a transaction' FROM generate_series(1, 10) n;
   COMMIT`,
  `BEGIN; TRUNCATE volatile, keyless_log; INSERT INTO volatile VALUES (1, 1, 'n', long_text(2, 3000)); UPDATE volatile SET v = 2;
   INSERT INTO keyless_log (who, doc) VALUES (1, 'after'), (1, 'after'); COMMIT`,
  `BEGIN; DELETE FROM accounts WHERE id = 900002; INSERT INTO accounts (id) VALUES (900002); COMMIT`,
  'UPDATE accounts SET id = -id WHERE id < 100',
  `UPDATE mixed SET body = '{"b": [1.10, null]}', tags = NULL, flag = true, ratio = 'NaN' WHERE v % 3 = 0`,
  `UPDATE accounts SET doc = '__debezium_unavailable_value' WHERE id = 900002`,
  `INSERT INTO "We ird.Tab""le" SELECT n, E'\\\\ \\t "' || n FROM generate_series(1, 20) n`,
  `ALTER TABLE full_pk ADD COLUMN extra text DEFAULT 'x', ADD COLUMN n numeric(10,3)`,
  'UPDATE full_pk SET n = id / 3.0 WHERE id % 2 = 0',
  'DELETE FROM full_pk WHERE id % 5 = 0',
  `SELECT pg_logical_emit_message(true, 'any', 'text')`,
];

test(`a workload gives the same tables by way of Debezium and out of the slot, seed ${seed} (WAL_CDC_SEED)`, {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await createTables(db.client);
  await db.client.query(`DROP TABLE ${bulkTable}; ${createMarksSql};
    CREATE TABLE "We ird.Tab""le" ("Größe" int PRIMARY KEY, "select" text)`);
  await using cdc = await startCdcReplication(db, { settings: { exclude: 'public.parted_*', tableOptions } });
  const database = `${db.name}_wal`;
  await using wal = await startReplication(db, {
    settings: { pipeline: database, 'clickhouse.database': database, tableOptions },
  });
  await wal.caughtUp();
  const marks = new Marks(cdc);
  await marks.pass(db.client, 'the connector');

  const { rows } = await db.client.query('SELECT clock_timestamp()::text AS now');
  const load = new Load({ url: db.url, seed, connections: 2, isBehind: () => false });
  load.start();
  await waitFor(() => load.stats.committed > 800, { what: 'the load', timeoutMs: 180_000 });
  await load.stop();
  for (const sql of changesSql) await db.client.query(sql);
  await db.client.query(mendDatedSql);
  await marks.pass(db.client, 'the connector');
  await wal.expectEqual();
  await cdc.expectEqual();

  const url = (await sharedClickHouse()).url;
  for (const { config } of [cdc, wal]) await optimizeAll(config, url);
  const { clickhouse } = cdc;
  const tables = await describeTables(clickhouse, db.name);
  assert.deepEqual(tables, await describeTables(clickhouse, database), 'tables and columns');
  for (const table of tables.keys()) {
    const read = (of: string) => readTable(clickhouse, { database: of, table }, rows[0].now);
    assert.deepEqual(differences(await read(db.name), await read(database)).slice(0, 20), [], table);
  }
});

/** Columns with types and defaults, by table. */
async function describeTables(clickhouse: ClickHouse, database: string): Promise<Map<string, string[]>> {
  const rows = await clickhouse.query<{ table: string; columns: string[] }>(
    `SELECT table, groupArray(name || ' ' || type || ' ' || default_expression) AS columns
       FROM (SELECT * FROM system.columns WHERE database = ${quoteString(database)} ORDER BY table, position)
      GROUP BY table ORDER BY table`,
  );
  return new Map(rows.map(({ table, columns }) => [table, columns]));
}

/**
 * Every row, without its version. Of deleted rows the key alone: what else they have is what the source of the change gave.
 * `_committed_at` of rows that were copied is the time of the copy, which each has its own.
 */
async function readTable(
  clickhouse: ClickHouse,
  name: { database: string; table: string },
  copiedBefore: string,
): Promise<string[]> {
  const [{ key } = { key: '' }] = await clickhouse.query<{ key: string }>(
    `SELECT sorting_key AS key FROM system.tables
      WHERE database = ${quoteString(name.database)} AND name = ${quoteString(name.table)}`,
  );
  const time = `if(_committed_at < parseDateTime64BestEffort(${quoteString(copiedBefore)}, 6, 'UTC'), 'copied', toString(_committed_at))`;
  const rows = await clickhouse.query<{ row: string }>(
    `SELECT if(_is_deleted, formatRowNoNewline('JSONCompactEachRow', 'deleted', ${key === '_version' ? "''" : key}),
        formatRowNoNewline('JSONCompactEachRow', * EXCEPT (_version, _committed_at, _is_deleted))) || ' ' || ${time} AS row
       FROM ${quoteTableName(name)} ORDER BY row`,
  );
  return rows.map(({ row }) => row);
}

/** The rows that only one has, shortened. */
function differences(ours: string[], theirs: string[]): string[] {
  const count = (rows: string[]) => {
    const counts = new Map<string, number>();
    for (const row of rows) counts.set(row, (counts.get(row) ?? 0) + 1);
    return counts;
  };
  const [a, b] = [count(ours), count(theirs)];
  return [...new Set([...ours, ...theirs])]
    .filter(row => a.get(row) !== b.get(row))
    .map(row => `${a.get(row) ?? 0} and ${b.get(row) ?? 0} times ${row.slice(0, 200)}`);
}
