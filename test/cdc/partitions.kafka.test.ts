import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { CdcService } from '../../src/service/cdc-service.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { queryClickHouse } from '../support/command-pipeline.ts';
import { envelope } from '../support/debezium.ts';
import { withoutKafka } from '../support/kafka/java.ts';
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

  async start(): Promise<void> {
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

  /**
   * Resolves when the change is queryable. `oldKey`: what an update made another key of. `lastCommit`: LSN behind the commit of
   * the transaction before.
   */
  async send(
    partition: 0 | 1,
    op: string,
    lsn: number,
    row: { id: number; doc: string } | null,
    { oldKey, lastCommit = lsn - 8 }: { oldKey?: { id: number }; lastCommit?: number } = {},
  ): Promise<void> {
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
    const position = `${this.#topic}/${partition}/${this.#ends[partition]++}`;
    assert.ok(await this.#service!.waitFor(position, 60_000), `${position} to be queryable`);
  }

  rows(): Promise<unknown[]> {
    return queryClickHouse(`SELECT id, doc FROM ${this.#db.name}.docs FINAL ORDER BY id`);
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
