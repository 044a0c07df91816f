import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutateMessage, pickTopic, readCorpus } from '../../../test/support/envelope-fuzz.ts';
import { encodeRecordBatch } from '../../../test/support/record-batch.ts';
import { seed } from '../../../test/support/seed.ts';
import { type PoisonMessage, RowGroup } from '../../core/batch.ts';
import { Random } from '../../demo/random.ts';
import type { BatchBuilder } from '../batch-builder.ts';
import { AssignedPartition } from './assigned-partition.ts';
import { BatchFiller } from './batch-filler.ts';
import type { KafkaMessage } from './envelope.ts';
import { TopicReader } from './read-envelope.ts';
import { Found, RecordCursor } from './record-cursor.ts';

const placeholder = '__debezium_unavailable_value';
const maxMessageBytes = 200_000;

/** Fetched bytes, taken in by a reader that reads ahead or one message after the other, the exact way. */
function takeIn(bytes: Buffer, from: number, readsAhead: boolean) {
  const batches: object[] = [];
  const relations = new Map<string, number>();
  const filler = new BatchFiller({
    maxBatchBytes: 1 << 20,
    maxMessageBytes,
    readerOf: () => new TopicReader({ placeholder, predict: readsAhead }),
    relationOf(_topic, layout, schema, name) {
      const table = `${schema}.${name}`;
      if (!relations.has(table)) relations.set(table, relations.size + 1);
      const columns = layout.names.map((name, i) => ({ name, wire: layout.wires[i] }));
      const relation = { id: relations.get(table)!, schema, name, replicaIdentity: 'd' as const, columns };
      return { relation: relation as never, keyless: layout.key === undefined };
    },
    finish: (builder, poison) => batches.push(describe(builder, poison)),
  });
  const partition = new AssignedPartition('topic', 3);
  const cursor = new RecordCursor(1 << 24);
  cursor.open(bytes, 0, bytes.length, from);
  let ahead = 0;
  for (let found = cursor.next(); found !== Found.nothing; found = cursor.next()) {
    filler.take(found, cursor, partition);
    if (readsAhead && found === Found.record) ahead += filler.takeAhead(cursor, partition);
  }
  filler.finish();
  const { position, leaderEpoch } = cursor;
  return { batches, position, leaderEpoch, partition: partition.describe(), ahead };
}

function describe(builder: BatchBuilder, poison: PoisonMessage[]): object {
  const { groups, transactions, truncates } = builder.build(1n);
  return {
    groups: groups.map(({ relation, count, index }) => ({
      relation,
      rows: Array.from({ length: count }, (_, i) => {
        const row = index.subarray(i * RowGroup.stride, (i + 1) * RowGroup.stride);
        const start = row[RowGroup.offset]!;
        const transaction = row[RowGroup.transaction]!;
        return {
          bytes: builder.data.buf.toString('latin1', start, start + row[RowGroup.length]!),
          opAndPlace: row[RowGroup.opAndPlace],
          lsn: [row[RowGroup.lsnHi], row[RowGroup.lsnLo]],
          commit: transactions.commitLsn(transaction),
          committedAtUs: transactions.committedAtUs[transaction],
        };
      }),
    })),
    truncates,
    poison,
  };
}

test(`records that are read ahead make the same batches as one after the other, by seed ${seed} (WAL_CDC_SEED)`, t => {
  // What does not say when it was committed counts as of now.
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0, 1) });
  const random = new Random(seed);
  // Four of them that begin a stretch, as they do behind a large one, leave no room for what the tuples of the last may take.
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'];
  const row = Object.fromEntries(letters.flatMap(a => letters.map(b => [a + b, 7] as const)).slice(0, 2300));
  const wide = (lsn: number, first: unknown) => ({
    key: null,
    value: Buffer.from(JSON.stringify({ ...row, AA: first, id: 1, __op: 'c', __lsn: lsn, __table: 'w' })),
  });
  const corpus = readCorpus();
  const other = new Map([
    ['__debezium.context.taskId', Buffer.from('0')],
    ['traceparent', Buffer.alloc(0)],
  ]);
  const oldKey = new Map([['__debezium.oldkey', Buffer.from('{"id":7}')]]);
  const large = (message: KafkaMessage): KafkaMessage => ({
    ...message,
    value: Buffer.from(
      message.value!.toString().replace(/"op":"(.)"/, `"op":"$1","x":"${'y'.repeat(random.below(300_000))}"`),
    ),
  });
  let records = 0;
  let ahead = 0;
  for (let round = 0; round < 30; round++) {
    const topic = pickTopic(random, corpus);
    const batches: Buffer[] = [];
    let offset = random.below(1000);
    const first = offset;
    for (let batch = 0; batch < 6; batch++) {
      // Messages that are alike mostly follow each other.
      let message = random.pick(topic);
      const isWide = random.below(8) === 0;
      const messages = Array.from({ length: 1 + random.below(isWide ? 20 : 80) }, (_, i): KafkaMessage => {
        if (random.below(6) === 0) message = random.pick(topic);
        const { key, value } = isWide ? wide(offset + i, i % 6 === 1 ? 'y'.repeat(70_000) : 7) : message;
        const plain = {
          key,
          value,
          headers: random.pick([other, new Map(), ...(random.below(40) === 0 ? [oldKey] : [])]),
        };
        if (value !== null && random.below(150) === 0) return large(plain);
        return random.below(12) === 0 ? mutateMessage(random, plain) : plain;
      });
      // Compaction leaves gaps.
      let delta = -1;
      const offsetDeltas = messages.map(() => (delta += random.below(9) === 0 ? 3 : 1));
      batches.push(
        encodeRecordBatch(messages, { baseOffset: offset, offsetDeltas, gzip: random.below(4) === 0 }),
      );
      offset += delta + 1;
      records += messages.length;
    }
    const bytes = Buffer.concat(batches);
    const from = first + random.below(20);
    const { ahead: read, ...actual } = takeIn(bytes, from, true);
    const { ahead: none, ...expected } = takeIn(bytes, from, false);
    assert.deepEqual(actual, expected, `round ${round}`);
    assert.equal(none, 0);
    ahead += read;
  }
  assert.ok(ahead > records / 4, `only ${ahead} of ${records} records were read ahead`);
});
