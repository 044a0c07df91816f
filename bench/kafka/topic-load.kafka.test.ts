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
  const run = await discardTopic(broker, 'events');
  assert.deepEqual([run.messages, run.bytes], [12_000, bytes]);
  assert.ok(run.seconds > 0 && run.cpuSeconds > 0);
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
