import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEnvelopes } from '../../test/fixtures/envelopes.ts';
import { withoutKafka } from '../../test/support/kafka/java.ts';
import { sharedKafka } from '../../test/support/kafka/shared-kafka.ts';
import { readTopic } from '../../test/support/kafka/topics.ts';
import { discardTopic, fillTopic } from './topic-load.ts';

test('a filled topic has what Debezium writes, and all of it is read', { skip: withoutKafka }, async () => {
  const broker = await sharedKafka();
  await fillTopic(broker, { topic: 'events', messages: 12_000, rowsPerTransaction: 3 });
  const filled = await readTopic(broker, 'events');
  assert.equal(filled.length, 12_000);
  const recorded = readEnvelopes('platform').filter(
    ({ topic, value }) => topic === 'platform.public.user_events' && opOf(value!) === 'c',
  );
  assert.equal(recorded.length, 6);
  // Rows 3 to 8 were recorded.
  for (const [i, { key, value }] of recorded.entries()) {
    assert.equal(`${filled[i + 2]!.key}`, `${key}`);
    assert.equal(withoutPositions(filled[i + 2]!.value!), withoutPositions(value!));
  }
  const lsns = filled.map(({ value }) => JSON.parse(`${value}`).source.lsn);
  assert.deepEqual(
    lsns,
    lsns.toSorted((a, b) => a - b),
  );

  const bytes = filled.reduce((sum, { key, value }) => sum + key!.length + value!.length, 0);
  const run = await discardTopic(broker, 'events', 'tuned');
  assert.deepEqual([run.messages, run.bytes], [12_000, bytes]);
  assert.ok(run.seconds > 0 && run.cpuSeconds > 0);
});

test('messages with schemas have what those without have', { skip: withoutKafka }, async () => {
  const broker = await sharedKafka();
  const [recorded] = readEnvelopes('schemas-on').filter(({ topic }) => topic.endsWith('t_basic'));
  await fillTopic(broker, { topic: 'plain', messages: 3, rowsPerTransaction: 1 });
  await fillTopic(broker, { topic: 'with_schemas', messages: 3, rowsPerTransaction: 1, withSchemas: true });
  const plain = await readTopic(broker, 'plain');
  for (const [i, { key, value }] of (await readTopic(broker, 'with_schemas')).entries()) {
    const message = JSON.parse(`${value}`);
    // As text: there are numbers beyond 2^53.
    assert.ok(`${value}`.endsWith(`,"payload":${plain[i]!.value}}`));
    assert.deepEqual(Object.keys(message), Object.keys(JSON.parse(`${recorded!.value}`)));
    assert.deepEqual(
      message.schema.fields.map(({ field }: { field: string }) => field),
      Object.keys(message.payload),
    );
    const [, after] = message.schema.fields;
    assert.deepEqual(
      after.fields.map(({ field }: { field: string }) => field),
      Object.keys(message.payload.after),
    );
    assert.equal(JSON.stringify(JSON.parse(`${key}`).payload), `${plain[i]!.key}`);
  }
});

function opOf(value: Buffer): string {
  return JSON.parse(`${value}`).op;
}

/** What differs from one run of Debezium to the next. */
function withoutPositions(value: Buffer): string {
  return `${value}`
    .replace(/("name":)"\w+"/, '$1"?"')
    .replace(/"sequence":"\[.*?\]"/, '"sequence":"?"')
    .replace(/("(?:ts_\ws|txId|lsn)":)\d+/g, '$1?');
}
