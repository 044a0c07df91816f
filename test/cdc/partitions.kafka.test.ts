import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import type { PartitionStatus } from '../../src/observe/status.ts';
import { CdcService } from '../../src/service/cdc-service.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { queryClickHouse } from '../support/command-pipeline.ts';
import { envelope } from '../support/debezium.ts';
import { startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { createMarksSql, Marks } from '../support/kafka/marks.ts';
import { platformProfile } from '../support/kafka/platform-profile.ts';
import { sharedKafka } from '../support/kafka/shared-kafka.ts';
import { createTopic, produce } from '../support/kafka/topics.ts';
import { freshDatabase, type TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

/** Far behind what the test's PostgreSQL has written, so that its rows count as those of the past. */
const farLsn = 2 ** 40;
const unchanged = '__debezium_unavailable_value';
/** Updates leave out large values alone. */
const large = (text: string) => text.padEnd(5000, '.');

/** One table in a topic of two partitions that the test writes to itself: only so their messages come in an order of its choice. */
class TwoPartitions implements AsyncDisposable {
  readonly #db: TestDatabase;
  readonly #keyed: boolean;
  readonly #ends = [0, 0];
  #service: CdcService | undefined;
  #ended: Promise<unknown> | undefined;

  constructor(db: TestDatabase, { keyed = true } = {}) {
    this.#db = db;
    this.#keyed = keyed;
  }

  get #topic(): string {
    return `${this.#db.name}.public.docs`;
  }

  async create(): Promise<void> {
    await createTopic(await sharedKafka(), this.#topic, { partitions: 2 });
  }

  /** `maxDelayMs`: how long a batch waits for more. */
  async start({ maxDelayMs = 10 } = {}): Promise<void> {
    const [kafka, { url }] = await Promise.all([sharedKafka(), sharedClickHouse()]);
    const { name } = this.#db;
    const config = loadConfig({
      flags: {
        mode: 'cdc',
        pipeline: name,
        'kafka.brokers': kafka.address(),
        'kafka.topics': `${name}\\..*`,
        'postgres.url': this.#db.url,
        'clickhouse.url': url,
        'clickhouse.database': name,
        'batch.maxDelayMs': String(maxDelayMs),
      },
    });
    this.#service = new CdcService({
      config,
      clickhouse: splitAddress(url),
      metrics: new Metrics(),
      log: createLog({ level: 'silent', format: 'json' }),
      keepRows: false,
      until: undefined,
    });
    this.#ended = this.#service.run();
    this.#ended.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#service?.stop();
    await this.#ended;
  }

  /** Resolves when the change is queryable. */
  async send(...change: Parameters<TwoPartitions['add']>): Promise<void> {
    const [partition] = change;
    const offset = await this.add(...change);
    const isWritten = () => (this.#status(partition)?.offset ?? 0) > offset;
    await waitFor(isWritten, { what: `offset ${offset} of partition ${partition} to be queryable` });
  }

  /**
   * Resolves with the offset of the change when the service has fetched it. `oldKey`: what an update made another key of. `lastCommit`: LSN behind the commit of
   * the transaction before.
   */
  async add(
    partition: 0 | 1,
    op: string,
    lsn: number,
    row: { id: number; doc: string } | null,
    { oldKey, lastCommit = lsn - 8 }: { oldKey?: { id: number }; lastCommit?: number } = {},
  ): Promise<number> {
    const source = {
      table: 'docs',
      lsn: farLsn + lsn,
      sequence: JSON.stringify([op === 'r' ? null : String(farLsn + lastCommit), String(farLsn + lsn)]),
      snapshot: String(op === 'r'),
    };
    const message = {
      partition,
      key: row && this.#keyed ? JSON.stringify({ id: row.id }) : null,
      value: JSON.stringify(envelope(op, null, row, source)),
      headers: oldKey ? ([['__debezium.oldkey', JSON.stringify(oldKey)]] as const) : [],
    };
    await produce(await sharedKafka(), this.#topic, [message]);
    const offset = this.#ends[partition]++;
    const hasCome = () => {
      const { offset: written = 0, lag = 0 } = this.#status(partition) ?? {};
      return written + lag > offset;
    };
    await waitFor(hasCome, { what: `offset ${offset} of partition ${partition} to be fetched` });
    return offset;
  }

  #status(partition: number): PartitionStatus | undefined {
    return this.#service!.status().partitions?.find(other => other.partition === partition);
  }

  rows(): Promise<unknown[]> {
    return queryClickHouse(`SELECT id, doc FROM ${this.#db.name}.docs FINAL ORDER BY id`);
  }

  /** LSN of the change that wrote the row last. */
  async lastLsn(id: number): Promise<number> {
    const [row] = await queryClickHouse(
      `SELECT toUInt64(bitAnd(_version, toUInt128('${2n ** 56n - 1n}'))) AS lsn FROM ${this.#db.name}.docs FINAL WHERE id = ${id}`,
    );
    return Number((row as { lsn: string }).lsn) - farLsn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {});
  }
}

test('a row whose key changes takes its own large value along, whichever partition is read first', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE docs (id int PRIMARY KEY, doc text)');
  await db.client.query('INSERT INTO docs VALUES (2, $1), (3, $2)', [large('second'), large('other')]);
  await using topic = new TwoPartitions(db);
  await topic.create();
  await topic.start();
  await topic.send(0, 'r', 0, { id: 1, doc: large('first') });
  await topic.send(1, 'r', 0, { id: 3, doc: large('other') });
  // From here on what ClickHouse has is taken for the past.
  await topic.send(1, 'u', 80, { id: 3, doc: unchanged });
  // In PostgreSQL the value changed first, and then the key: 1 became 2.
  await topic.send(1, 'c', 240, { id: 2, doc: unchanged }, { oldKey: { id: 1 } });
  await topic.send(0, 'u', 160, { id: 1, doc: large('second') });
  assert.deepEqual(await topic.rows(), [
    { id: 2, doc: large('second') },
    { id: 3, doc: large('other') },
  ]);
});

test('a row whose key was taken over from one that moved away is known by what it is itself', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE docs (id int PRIMARY KEY, doc text)');
  await db.client.query('INSERT INTO docs VALUES (1, $1), (2, $2)', [large('new'), large('old')]);
  await using topic = new TwoPartitions(db);
  await topic.create();
  await topic.start({ maxDelayMs: 1000 });
  await topic.send(0, 'r', 0, { id: 1, doc: large('old') });
  await topic.send(0, 'u', 80, { id: 1, doc: unchanged });
  // One batch: in PostgreSQL 1 became 2, and then there was another 1.
  await topic.add(0, 'c', 240, { id: 1, doc: large('new') });
  await topic.add(1, 'c', 160, { id: 2, doc: unchanged }, { oldKey: { id: 1 } });
  await topic.send(0, 'u', 320, { id: 1, doc: unchanged });
  assert.deepEqual(await topic.rows(), [
    { id: 1, doc: large('new') },
    { id: 2, doc: large('old') },
  ]);
  // A change has two places.
  assert.equal(await topic.lastLsn(1), 321);
});

test('a large value that another instance wrote meanwhile is not taken for the one that was known before', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE docs (id int PRIMARY KEY, n int, doc text STORAGE EXTERNAL)');
  await db.client.query(createMarksSql);
  await using replication = await startCdcReplication(db, {
    connector: source => ({
      ...platformProfile(source),
      'topic.creation.default.partitions': '2',
      'topic.creation.default.replication.factor': '1',
    }),
  });
  const { service } = replication;
  const marks = new Marks(replication);
  await marks.pass(db.client, 'the service');
  const change = async (sql: string, what: string) => {
    await db.client.query(sql);
    await marks.pass(db.client, what);
    await replication.expectEqual();
  };
  const countPartitions = () =>
    service.status().partitions?.filter(({ topic }) => topic.endsWith('.docs')).length;
  const own = (count: number) =>
    waitFor(() => countPartitions() === count, { what: `${count} partitions`, timeoutMs: 60_000 });

  await change(
    `INSERT INTO docs SELECT n, 0, repeat('first ', 900) FROM generate_series(1, 20) n`,
    'the service',
  );
  await own(2);
  // What it has looked up at first may be of later; from then on it knows.
  await change('UPDATE docs SET n = n + 1', 'the service');
  await change('UPDATE docs SET n = n + 1', 'the service');
  await using other = replication.startCommand();
  await own(1);
  await change(`UPDATE docs SET doc = repeat('second ', 900)`, 'two instances');
  await other.stop();
  await own(2);
  await change('UPDATE docs SET n = n + 1', 'the service alone again');
});

test('rows of before a truncate go, also those that an instance wrote which died before it heard of it', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE docs (id int PRIMARY KEY, doc text)');
  await using topic = new TwoPartitions(db);
  await topic.create();
  await topic.start();
  await topic.send(0, 'c', 80, { id: 1, doc: 'before' });
  await topic.send(1, 't', 160, null);
  await topic.send(0, 'c', 240, { id: 2, doc: 'after' });
  await topic.stop();
  await queryClickHouse(
    `INSERT INTO ${db.name}.docs (id, doc, _version) SELECT 3, 'late', bitShiftLeft(toUInt128(1), 112)`,
  );
  await topic.start();
  const areGone = async () => (await topic.rows()).length === 1;
  await waitFor(areGone, { what: 'the rows of before the truncate to go' });
  assert.deepEqual(await topic.rows(), [{ id: 2, doc: 'after' }]);
});

test('without a key, too, a truncate parts the rows of its own transaction, whatever partitions they are in', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE docs (id int, doc text)');
  await using topic = new TwoPartitions(db, { keyed: false });
  await topic.create();
  await topic.start();
  await topic.send(0, 'c', 80, { id: 1, doc: 'before' });
  const transaction = { lastCommit: 120 };
  await topic.send(1, 'c', 160, { id: 2, doc: 'before' }, transaction);
  await topic.send(1, 't', 240, null, transaction);
  await topic.send(0, 'c', 200, { id: 3, doc: 'before' }, transaction);
  await topic.send(0, 'c', 320, { id: 4, doc: 'after' }, transaction);
  await topic.send(1, 'c', 400, { id: 5, doc: 'after' }, transaction);
  assert.deepEqual(await topic.rows(), [
    { id: 4, doc: 'after' },
    { id: 5, doc: 'after' },
  ]);
});
