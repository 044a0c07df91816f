import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Op, type PoisonMessage, RowGroup } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { Relation } from '../../core/relation.ts';
import type { BatchBuilder } from '../batch-builder.ts';
import { AssignedPartition } from './assigned-partition.ts';
import { BatchFiller, noLayout } from './batch-filler.ts';
import { EnvelopeKind, type EnvelopeReader, type KafkaMessage, type Layout } from './envelope.ts';
import { Found, type RecordCursor } from './record-cursor.ts';

interface Message {
  table?: string;
  layout?: Layout;
  /** The bytes of the change. */
  bytes?: string;
  kind?: number;
  op?: number;
  lsn?: number;
  lastCommit?: number;
  committedAtUs?: number;
  snapshot?: boolean;
}

const layoutOf = (...names: string[]): Layout => ({ names, wires: names.map(() => ({})), key: ['id'] });
const plain = layoutOf('id');

/** Gives what the test says of each message, in order. */
class ScriptReader implements EnvelopeReader {
  op: number = Op.insert;
  isSnapshot = false;
  isFlattened = false;
  lsnHi = 0;
  lsnLo = 0;
  lastCommitHi = 0;
  lastCommitLo = 0;
  committedAtUs = 0;
  schema = 'public';
  table = '';
  layout = plain;
  readonly #messages: Message[];

  constructor(messages: Message[]) {
    this.#messages = messages;
  }

  prepare(): undefined {}

  read(_message: KafkaMessage, out: ByteWriter): number {
    const message = this.#messages.shift()!;
    this.table = message.table ?? 't';
    this.layout = message.layout ?? plain;
    this.op = message.op ?? Op.insert;
    this.lsnLo = message.lsn ?? 100;
    this.lastCommitLo = message.lastCommit ?? 90;
    this.committedAtUs = message.committedAtUs ?? 0;
    this.isSnapshot = message.snapshot ?? false;
    const kind = message.kind ?? EnvelopeKind.change;
    if (kind === EnvelopeKind.change) {
      const bytes = Buffer.from(message.bytes ?? 'row');
      out.writeBytes(bytes, 0, bytes.length);
    }
    return kind;
  }
}

function fill(messages: Message[], { keyless = false, partitions = [0] } = {}) {
  const batches: { builder: BatchBuilder; poison: PoisonMessage[] }[] = [];
  const asked: string[] = [];
  let tables = 0;
  const ids = new Map<string, number>();
  const filler = new BatchFiller({
    maxBatchBytes: 1 << 20,
    maxMessageBytes: 1000,
    readerOf: () => new ScriptReader([...messages]),
    relationOf(topic, layout, schema, table) {
      asked.push([topic, schema, table, ...layout.names].join(' '));
      if (!ids.has(table)) ids.set(table, ++tables);
      const relation: Relation = {
        id: ids.get(table)!,
        schema,
        name: table,
        replicaIdentity: 'd',
        columns: [],
      };
      return { relation, keyless };
    },
    finish: (builder, poison) => batches.push({ builder, poison }),
  });
  const assigned = new Map(partitions.map(index => [index, new AssignedPartition('topic', index)]));
  for (let i = 0; i < messages.length; i++) {
    const cursor = { offset: i, size: 10 } as RecordCursor;
    filler.take(Found.record, cursor, assigned.get(partitions[i % partitions.length]!)!);
  }
  filler.finish();
  return { batches, asked, filler };
}

const rowsOf = (builder: BatchBuilder) =>
  builder.build(1n).groups.map(({ relation, count, index }) => ({
    table: relation.name,
    rows: Array.from({ length: count }, (_, i) => {
      const [start, opAndPlace, hi, lo, transaction, length] = index.subarray(i * RowGroup.stride);
      return {
        text: builder.data.buf.toString('utf8', start, start! + length!),
        op: opAndPlace! & 0xff,
        place: opAndPlace! >>> 8,
        lsn: hi! * 2 ** 32 + lo!,
        commit: Number(builder.transactions.commitLsn(transaction!)),
      };
    }),
  }));

test('rows go to the group of their table, with what orders them', () => {
  const { batches, asked } = fill([
    { bytes: 'a1', lsn: 100, lastCommit: 90 },
    { table: 'u', bytes: 'b1', lsn: 108, lastCommit: 90, op: Op.delete },
    { bytes: 'a2', lsn: 116, lastCommit: 90, op: Op.update },
    { bytes: 'a3', lsn: 300, lastCommit: 120 },
  ]);
  assert.equal(batches.length, 1);
  const { builder } = batches[0]!;
  assert.deepEqual(rowsOf(builder), [
    {
      table: 't',
      rows: [
        { text: 'a1', op: Op.insert, place: 0, lsn: 100, commit: 91 },
        { text: 'a2', op: Op.update, place: 0, lsn: 116, commit: 91 },
        { text: 'a3', op: Op.insert, place: 0, lsn: 300, commit: 121 },
      ],
    },
    { table: 'u', rows: [{ text: 'b1', op: Op.delete, place: 0, lsn: 108, commit: 91 }] },
  ]);
  assert.equal(builder.rows, 4);
  assert.deepEqual(asked, ['topic public t id', 'topic public u id']);
});

test('changes of a transaction share its entry, also when partitions take turns', () => {
  const { batches } = fill(
    [
      { lastCommit: 90, committedAtUs: 5 },
      { lastCommit: 200, committedAtUs: 9 },
      { lastCommit: 90, committedAtUs: 5 },
      { lastCommit: 200, committedAtUs: 9 },
      { lastCommit: 91, committedAtUs: 6 },
    ],
    { partitions: [0, 1] },
  );
  const { transactions } = batches[0]!.builder;
  assert.equal(transactions.count, 3);
  assert.deepEqual([...transactions.committedAtUs.subarray(0, 3)], [5, 9, 6]);
});

test('snapshot rows have ordinal 0, and lift the changes behind them', () => {
  const { batches } = fill([
    { lsn: 500, snapshot: true },
    { lsn: 400, lastCommit: 300 },
    { lsn: 0, lastCommit: 0 },
  ]);
  assert.deepEqual(
    rowsOf(batches[0]!.builder)[0]!.rows.map(({ commit, lsn, place }) => [commit, lsn, place]),
    [
      [500, 0, 0],
      [501, 400, 0],
      [501, 400, 0],
    ],
  );
});

test('rows without a key have their place in the topic', () => {
  const { batches } = fill([{}, {}], { keyless: true, partitions: [3] });
  assert.deepEqual(
    rowsOf(batches[0]!.builder)[0]!.rows.map(({ lsn }) => lsn),
    [3 * 2 ** 44, 3 * 2 ** 44 + 1],
  );
});

test('another layout of a table begins a batch, which has the bytes of the row', () => {
  const wider = layoutOf('id', 'x');
  const { batches, asked } = fill([
    { bytes: 'one' },
    { table: 'u', bytes: 'other' },
    { bytes: 'two', layout: wider },
    { bytes: 'three', layout: wider },
    { table: 'u', bytes: 'other' },
  ]);
  const shapes = batches.map(({ builder }) =>
    rowsOf(builder).map(({ table, rows }) => [table, ...rows.map(({ text }) => text)]),
  );
  assert.deepEqual(shapes, [
    [
      ['t', 'one'],
      ['u', 'other'],
    ],
    [
      ['t', 'two', 'three'],
      ['u', 'other'],
    ],
  ]);
  assert.deepEqual(asked, ['topic public t id', 'topic public u id', 'topic public t id x']);
});

test('a truncate begins a batch, with the relation that is known', () => {
  const truncate = { kind: EnvelopeKind.truncate, lsn: 100, lastCommit: 90 };
  const { batches, asked } = fill([
    truncate,
    { bytes: 'one' },
    { ...truncate, lsn: 200, lastCommit: 150 },
    { ...truncate, table: 'new' },
    { kind: EnvelopeKind.ignored },
    { bytes: 'two' },
  ]);
  assert.deepEqual(
    batches.map(({ builder }) => [
      builder.truncates.map(({ relation, commitLsn, changeLsn }) => [relation.name, commitLsn, changeLsn]),
      builder.rows,
    ]),
    [
      [[['t', 91n, 100n]], 1],
      [
        [
          ['t', 151n, 200n],
          ['new', 91n, 100n],
        ],
        1,
      ],
    ],
  );
  assert.equal(batches[1]!.builder.truncates[0]!.relation, batches[0]!.builder.build(1n).groups[0]!.relation);
  assert.deepEqual(asked, ['topic public t', 'topic public t id', 'topic public new']);
  assert.deepEqual(noLayout.names, []);
});

test('what is thrown away leaves nothing', () => {
  const { filler, batches } = fill([{ bytes: 'one' }]);
  filler.take(
    Found.unreadable,
    { offset: 5, position: 9, reason: 'broken' } as RecordCursor,
    new AssignedPartition('topic', 0),
  );
  assert.equal(filler.empty, false);
  assert.ok(filler.bytes > 0);
  filler.discard();
  assert.equal(filler.empty, true);
  assert.equal(filler.bytes, 0);
  assert.equal(batches.length, 1);
});

test('records that cannot be read are named with their range', () => {
  const { filler, batches } = fill([]);
  filler.take(
    Found.unreadable,
    { offset: 5, position: 9, reason: 'broken' } as RecordCursor,
    new AssignedPartition('topic', 2),
  );
  filler.finish();
  assert.deepEqual(batches[1]!.poison, [
    {
      topic: 'topic',
      partition: 2,
      offset: 5,
      lastOffset: 8,
      key: null,
      value: null,
      headers: [],
      reason: 'broken',
    },
  ]);
});
