import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recording, readEnvelopes } from '../../../test/fixtures/envelopes.ts';
import { expectedOf } from '../../../test/support/envelope-oracle.ts';
import { readChange } from '../../../test/support/read-change.ts';
import type { KafkaMessage } from './envelope.ts';
import { TopicReader } from './read-envelope.ts';

const recordings: Recording[] = [
  'platform',
  'platform-unknown-datatypes',
  'schemas-off',
  'schemas-on',
  'schemas-off-decimal-string-isostring-txmeta',
];

for (const recording of recordings)
  test(`what Debezium wrote comes out as JSON.parse has it, at first and when it is predicted: ${recording}`, () => {
    const readers = new Map<string, TopicReader>();
    const messages = readEnvelopes(recording);
    for (const round of ['first', 'predicted'])
      for (const { topic, offset, headers, ...message } of messages) {
        const kafkaMessage: KafkaMessage = {
          ...message,
          headers: new Map(headers.flatMap(([name, value]) => (value ? [[name, value] as const] : []))),
        };
        if (!readers.has(topic))
          readers.set(topic, new TopicReader({ placeholder: '__debezium_unavailable_value' }));
        const { value } = kafkaMessage;
        const expected = value ? expectedOf({ ...kafkaMessage, value }) : { kind: 'ignored' as const };
        assert.deepEqual(
          readChange(readers.get(topic)!, kafkaMessage),
          expected,
          `${topic} ${offset}, ${round}`,
        );
        assert.notEqual(expected.kind, 'malformed');
      }
  });
