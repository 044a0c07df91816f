import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Config, loadConfig } from '../../src/config.ts';
import { type Batch, type PoisonMessage, Transactions } from '../../src/core/batch.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { CdcError } from '../../src/core/errors.ts';
import type { Source } from '../../src/core/source.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { connectClickHouse, splitAddress } from '../../src/service/clickhouse-address.ts';
import { replayLetters } from '../../src/service/replay-letters.ts';
import type { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { ControlTables } from '../../src/sinks/clickhouse/control-tables.ts';
import { messageOfLetter } from '../../src/sinks/clickhouse/dead-letter.ts';
import { DeadLetters } from '../../src/sinks/clickhouse/dead-letters.ts';
import { ClickHouseSink } from '../../src/sinks/clickhouse/sink.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { walCdc } from '../support/command-line.ts';

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const messages: PoisonMessage[] = [
  {
    topic: 'cdc.public.orders',
    partition: 3,
    offset: 2 ** 53 - 2,
    lastOffset: 2 ** 53 - 2,
    key: Buffer.from('{"id": 7}'),
    value: Buffer.from('{"before": null, "after": {"id": 7'),
    headers: [
      ['trace', Buffer.from('a')],
      ['trace', everyByte],
      ['none', null],
    ],
    reason: 'the JSON ends within an object',
  },
  {
    topic: 'cdc.public.orders',
    partition: 0,
    offset: 0,
    lastOffset: 0,
    key: everyByte,
    value: everyByte,
    headers: [],
    reason: 'no JSON',
  },
  {
    topic: 'other',
    partition: 0,
    offset: 5,
    lastOffset: 5,
    key: null,
    value: null,
    headers: [],
    reason: 'neither key nor value',
  },
];

/** A pipeline of mode cdc with nothing but a sink. */
async function sinkOf(pipeline: string): Promise<{
  config: Config;
  clickhouse: ClickHouse;
  metrics: Metrics;
  sink: ClickHouseSink;
  letters: DeadLetters;
  env: Record<string, string>;
}> {
  const { url } = await sharedClickHouse();
  const config = loadConfig({
    flags: { mode: 'cdc', pipeline, 'kafka.brokers': 'localhost:9092', 'clickhouse.url': url },
  });
  const { clickhouse } = await connectClickHouse(splitAddress(url));
  const control = new ControlTables(clickhouse, pipeline);
  await control.create();
  const letters = new DeadLetters(clickhouse, pipeline);
  const metrics = new Metrics();
  const sink = new ClickHouseSink({
    clickhouse,
    control,
    mode: 'cdc',
    letters,
    epoch: 1,
    metaColumns: config.metaColumns,
    metrics,
    log: createLog({ level: 'silent', format: 'json' }),
    patienceMs: 1000,
    fetchSourceRow: async () => undefined,
    settleSource: async () => 0n,
    adopt: async () => undefined,
    addColumns: async () => {},
    abandonCopy: async () => {},
  });
  const env = { WAL_CDC_PIPELINE: pipeline, WAL_CDC_CLICKHOUSE_URL: url };
  return { config, clickhouse, metrics, sink, letters, env };
}

function batchOf(poison: PoisonMessage[]): Batch {
  return {
    data: new ByteWriter(16),
    groups: [],
    transactions: new Transactions(),
    truncates: [],
    rows: 0,
    poison,
    position: 1n,
  };
}

test('messages that cannot be read are kept with all of their bytes, once (K12, K28, K31)', async () => {
  const { clickhouse, metrics, sink, letters, env } = await sinkOf('messages');
  await sink.write(batchOf(messages));
  // As after a crash before the checkpoint.
  await sink.write(batchOf(messages));
  const found = await letters.read({});
  assert.equal(found.length, 3);
  const sorted = (list: PoisonMessage[]) => list.toSorted((a, b) => Number(a.offset - b.offset));
  assert.deepEqual(
    sorted(found.map(messageOfLetter)),
    sorted(messages).map(message => ({ ...message, headers: [...(message.headers ?? [])] })),
  );
  assert.deepEqual(
    [...(await letters.countOpen())],
    [
      ['cdc.public.orders', 2],
      ['other', 1],
    ],
  );
  assert.match(await metrics.registry.metrics(), /wal_cdc_dead_letters_total\{table="other"\} 2\n/);

  const list = await walCdc(['dead-letters', 'list'], { env });
  assert.match(
    list.stdout,
    /cdc\.public\.orders\[3\]@9007199254740990 .*the JSON ends within an object \(MESSAGE_INVALID\)/,
  );
  const { id } = found.find(letter => letter.partition === 3)!;
  const { stdout } = await walCdc(['dead-letters', 'show', id], { env });
  assert.match(stdout, /^what +message at cdc\.public\.orders\[3\]@9007199254740990$/m);
  assert.match(stdout, /^header +trace: a\nheader +trace: \\x000102.*ff\nheader +none: none$/m);
  assert.match(stdout, /^key +\{"id": 7\}\nvalue\n\{"before": null, "after": \{"id": 7$/m);
  const json = JSON.parse((await walCdc(['dead-letters', 'show', id, '--json'], { env })).stdout);
  assert.equal(json.offset, '9007199254740990');
  assert.deepEqual(Buffer.from(json.headers[1].value, 'base64'), everyByte);

  // Only the mode that wrote them can read them.
  const replay = await walCdc(['dead-letters', 'replay', id.slice(0, 10)], { env });
  assert.equal(replay.code, 4);
  assert.match(replay.stdout, /mode synthetic reads no messages.*\n.*mode cdc/);
  assert.equal(await letters.count({ states: ['open'] }), 3);
  await clickhouse.close();
});

test('the mode replays messages: in the order of the topic, what fails stays open', async () => {
  const { config, clickhouse, sink, letters } = await sinkOf('replayed');
  await sink.write(batchOf(messages));
  const seen: string[] = [];
  const result = await replayLetters({
    config,
    clickhouse,
    filter: { states: ['open'] },
    signal: new AbortController().signal,
    async replayMessage({ topic, offset }) {
      seen.push(`${topic} ${offset}`);
      if (topic === 'other') throw new CdcError('MESSAGE_INVALID', 'still neither');
    },
  });
  assert.deepEqual(seen, ['cdc.public.orders 0', 'cdc.public.orders 9007199254740990', 'other 5']);
  assert.equal(result.replayed, 2);
  assert.deepEqual(
    result.failed.map(({ table, reason }) => [table, reason]),
    [['other', 'still neither']],
  );
  const states = (await letters.read({})).map(({ topic, state, reason }) => [topic, state, reason]).sort();
  assert.deepEqual(states, [
    ['cdc.public.orders', 'replayed', 'no JSON'],
    ['cdc.public.orders', 'replayed', 'the JSON ends within an object'],
    ['other', 'open', 'still neither'],
  ]);
  await clickhouse.close();
});

test('a batch of nothing but such messages is written before its position is saved', async () => {
  const { clickhouse, metrics, sink, letters } = await sinkOf('alone');
  const batches = [batchOf(messages)];
  const saved: bigint[] = [];
  const source: Source = {
    read: async () => batches.shift() ?? { ...batchOf([]), position: 2n },
    wake: () => {},
    expect: () => {},
    ack: () => {},
    delayMs: 0,
    backlogDelayMs: 0,
    oldestPendingMs: undefined,
    close: async () => {},
  };
  const pipeline = new Pipeline({
    source,
    sink,
    metrics,
    position: 0n,
    maxDelayMs: 0,
    async saveCheckpoint(position) {
      saved.push(position);
      assert.equal(await letters.count({ states: ['open'] }), 3);
    },
  });
  await pipeline.run(written => written >= 2n);
  assert.equal(saved.at(-1), 2n);
  await clickhouse.close();
});

test('messages that can be read by now are written at the versions that they had', async () => {
  const { clickhouse, sink, letters, env } = await sinkOf('readable');
  await clickhouse.command('CREATE DATABASE IF NOT EXISTS readable');
  await clickhouse.command(
    `CREATE TABLE readable.orders
       (id Int32, v Nullable(String), _version UInt128, _is_deleted UInt8, _committed_at DateTime64(6, 'UTC'))
     ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id`,
  );
  const envelope = (op: string, after: object, lsn: number) =>
    Buffer.from(
      JSON.stringify({
        before: null,
        after,
        source: {
          connector: 'postgresql',
          snapshot: 'false',
          sequence: JSON.stringify([String(lsn - 8), String(lsn)]),
          schema: 'public',
          table: 'orders',
          lsn,
          ts_us: 1795355199957693,
        },
        op,
      }),
    );
  const unread = {
    topic: 'p.public.orders',
    partition: 0,
    key: Buffer.from('{"id":7}'),
    headers: [],
    reason: '?',
  };
  await sink.write(
    batchOf([
      { ...unread, offset: 6, lastOffset: 6, value: envelope('u', { id: 7, v: 'newer' }, 2000) },
      { ...unread, offset: 5, lastOffset: 5, value: envelope('c', { id: 7, v: 'older' }, 1000) },
      { ...unread, offset: 8, lastOffset: 9, key: null, value: null, reason: 'a message of 2 GB' },
    ]),
  );
  const all = ['dead-letters', 'replay', '--all'];
  const cdc = {
    ...env,
    WAL_CDC_MODE: 'cdc',
    WAL_CDC_KAFKA_BROKERS: 'localhost:1',
    WAL_CDC_CLICKHOUSE_DATABASE: 'readable',
  };
  const replay = await walCdc(all, { env: cdc });
  assert.equal(replay.code, 4, replay.stderr);
  assert.match(
    replay.stdout,
    /the bytes of message p\.public\.orders\/0\/8 were not kept: a message of 2 GB/,
  );
  assert.match(replay.stdout, /2 replayed, 1 still open/);
  const rows = await clickhouse.query(
    'SELECT id, v, toString(_version) AS version FROM readable.orders FINAL',
  );
  const version = (1n << 112n) | (1993n << 56n) | 2001n; // the row of an update has place 1
  assert.deepEqual(rows, [{ id: 7, v: 'newer', version: String(version) }]);
  assert.equal(await letters.count({ states: ['open'] }), 1);
  await clickhouse.close();
});
