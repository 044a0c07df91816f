import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCdcReplication } from '../../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../../support/kafka/java.ts';
import { freshDatabase } from '../../support/postgres.ts';
import { waitFor } from '../../support/wait-for.ts';
import { config, connector } from './parts.ts';
import { otherTables, preparePlatformDatabase, rolePassword } from './platform-database.ts';

/** As what an application does to each of the tables. */
const changesSql = `
  INSERT INTO user_events (user_id, event_type, payload, amount)
    SELECT gen_random_uuid(), 'page_view', jsonb_build_object('n', n), n / 7.0 FROM generate_series(1, 500) n;
  INSERT INTO customers (email, name) SELECT 'c' || n || '@example.com', 'Zoë ' || n FROM generate_series(1, 50) n;
  INSERT INTO products (sku, name, description, tags, price, stock)
    SELECT 'S' || n, 'P' || n, repeat(md5(n::text), 200), '{new}', n, 10 FROM generate_series(1, 20) n;
  INSERT INTO orders (created_at, customer_id, total)
    SELECT now() - make_interval(days => n), 1 + n % 50, n FROM generate_series(1, 100) n;
  INSERT INTO order_items SELECT id, created_at, 1, 1 + id % 20, 2, 9.95 FROM orders;
  INSERT INTO audit_log (actor, action) SELECT 'somebody', 'order ' || n FROM generate_series(1, 30) n;
  UPDATE products SET stock = stock - 1 WHERE id % 2 = 0;
  UPDATE orders SET status = 'paid', created_at = created_at - interval '40 days' WHERE id % 3 = 0;
  DELETE FROM user_events WHERE id % 5 = 0;`;

test('the connector of the platform, with its roles, tables and publication: rows come as they are, from an empty start on', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await preparePlatformDatabase(db.client, db.name);
  const own = new URL(db.url);
  const as = (user: string) => {
    const url = new URL(own);
    url.username = user;
    url.password = rolePassword;
    return url.href;
  };
  const { name: _, ...settings } = connector;
  const { username } = new URL(config.postgres.address!.url);
  await using replication = await startCdcReplication(
    { ...db, url: as(username) },
    {
      connector: () => ({
        ...settings,
        // What differs is where things are.
        'database.hostname': own.hostname,
        'database.port': own.port,
        'database.dbname': db.name,
        'database.password': rolePassword,
        'database.sslmode': 'disable',
        'topic.prefix': db.name,
        'slot.name': db.name,
      }),
      settings: {
        tables: config.tables,
        'kafka.topics': config.kafka.topics.map(pattern =>
          pattern.replace(connector['topic.prefix']!, db.name),
        ),
        'postgres.publication': config.postgres.publication!,
      },
    },
  );
  // No topic is there yet.
  assert.deepEqual(await replication.service.ready(), { ready: true });
  await db.client.query(changesSql);
  for (const table of otherTables) await db.client.query(`INSERT INTO ${table} VALUES (1)`);
  // A topic that has just been made has no leader for a moment.
  const { length } = connector['table.include.list']!.split(',');
  await waitFor(() => replication.service.status().tables.length === length, {
    what: 'every topic to be read',
  });
  await replication.expectEqual();
  await db.client.query(`TRUNCATE user_events; ${changesSql.split(';')[0]}`);
  await replication.expectEqual();

  // The slot moves on without any change of a table, by the heartbeat.
  const { rows } = await db.client.query('SELECT pg_switch_wal(), pg_current_wal_insert_lsn() AS end');
  const hasMoved = async () => {
    const slot = await db.client.query(
      'SELECT confirmed_flush_lsn > $2 AS moved FROM pg_replication_slots WHERE slot_name = $1',
      [db.name, rows[0].end],
    );
    return slot.rows[0].moved;
  };
  await waitFor(hasMoved, { what: 'the slot to move on' });
});
