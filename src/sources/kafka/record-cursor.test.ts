import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { CdcError } from '../../core/errors.ts';
import { decodeFetchResponse } from './fetch-response.ts';
import { Found, lastBatch, RecordCursor } from './record-cursor.ts';

/** Written by Java's producer (Kafka 4.3.1) and sent by its broker. */
const recorded: { batches: Record<string, string>; fetchResponses: Record<string, string> } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/kafka-bytes.json', import.meta.url), 'utf8'),
);
const batchOf = (name: string) => Buffer.from(recorded.batches[name]!, 'base64');
const transactions = () => {
  const bytes = Buffer.from(recorded.fetchResponses['17']!, 'base64');
  return { bytes, ...decodeFetchResponse(bytes, 0, 17).partitions[0]! };
};

interface Message {
  offset: number;
  key: string | null;
  value: string | null;
}

function walk(cursor: RecordCursor): Message[] {
  const messages: Message[] = [];
  for (let found = cursor.next(); found !== Found.nothing; found = cursor.next()) {
    assert.equal(found, Found.record, cursor.reason);
    const { offset, key, value } = cursor;
    messages.push({ offset, key: key?.toString() ?? null, value: value?.toString() ?? null });
  }
  return messages;
}

function open(bytes: Buffer, offset = 0, maxBatchBytes = 1 << 20): RecordCursor {
  const cursor = new RecordCursor(maxBatchBytes);
  cursor.open(bytes, 0, bytes.length, offset);
  return cursor;
}

const messages: Message[] = [
  { offset: 0, key: 'k1', value: `v1 ${'abc'.repeat(40)}` },
  { offset: 1, key: 'k2', value: null },
  { offset: 2, key: null, value: 'no key' },
  { offset: 3, key: '', value: '' },
];

for (const name of Object.keys(recorded.batches)) {
  test(`a batch with compression ${name} gives its messages`, () => {
    const cursor = open(batchOf(name));
    assert.deepEqual(walk(cursor), messages);
    assert.equal(cursor.position, 4);
    assert.equal(cursor.leaderEpoch, 0);
  });
}

test('a walk from the middle of a batch skips what is before', () => {
  const cursor = open(batchOf('gzip'), 2);
  assert.equal(cursor.position, 2);
  assert.deepEqual(walk(cursor), messages.slice(2));
});

test('a batch before the offset is passed over, whatever its offset', () => {
  const cursor = open(batchOf('none'), 9);
  assert.deepEqual(walk(cursor), []);
  assert.equal(cursor.position, 9);
});

test('headers come as they are: twice, binary, null', () => {
  const cursor = open(batchOf('none'));
  cursor.next();
  assert.equal(cursor.headers, undefined);
  cursor.next();
  assert.deepEqual(cursor.allHeaders(), [
    ['h', Buffer.from('x')],
    ['h', Buffer.from([0xff, 0])],
    ['none', null],
  ]);
  assert.deepEqual(
    [...cursor.headers!],
    [
      ['h', Buffer.from([0xff, 0])],
      ['none', Buffer.alloc(0)],
    ],
  );
  assert.deepEqual(walk(cursor), messages.slice(2));
});

test("headers of Debezium's context are left out", () => {
  const names = ['__debezium.context.taskId', '__debezium.oldkey', '__debezium.context.', 'x'];
  const cursor = open(
    batch([{ value: 'v', headers: names.map(name => [name, name.length.toString()] as const) }]),
  );
  assert.equal(cursor.next(), Found.record);
  assert.deepEqual([...cursor.headers!.keys()], names.slice(1));
  assert.equal(cursor.allHeaders().length, 4);
  const only = open(batch([{ value: 'v', headers: [['__debezium.context.runId', '1']] }]));
  only.next();
  assert.equal(only.headers, undefined);
});

test('messages of aborted transactions and the markers are left out', () => {
  const { bytes, start, end, aborted } = transactions();
  const cursor = new RecordCursor(1 << 20);
  cursor.open(bytes, start, end, 0, aborted);
  assert.deepEqual(
    walk(cursor).map(({ offset, value }) => [offset, value]),
    [
      [1, 'committed 1'],
      [2, 'plain'],
      [4, 'committed 2'],
      [6, 'committed 3'],
    ],
  );
  assert.equal(cursor.position, 11);
});

test('a fetch may begin at every offset of transactions, their markers included', () => {
  const { bytes, start, end, aborted } = transactions();
  for (let offset = 0; offset <= 11; offset++) {
    const cursor = new RecordCursor(1 << 20);
    // A broker names those that reach behind the offset.
    cursor.open(
      bytes,
      start,
      end,
      offset,
      offset <= 5 ? aborted : aborted.filter(({ firstOffset }) => firstOffset > 5),
    );
    const rest = [1, 2, 4, 6].filter(at => at >= offset);
    assert.deepEqual(
      walk(cursor).map(message => message.offset),
      rest,
    );
    assert.equal(cursor.position, 11);
  }
});

test('what is cut off at the end is left', () => {
  const whole = batchOf('none');
  for (const cut of [0, 5, 30, 61, whole.length - 1]) {
    const cursor = open(Buffer.concat([whole, whole.subarray(0, cut)]));
    assert.equal(walk(cursor).length, 4);
    assert.equal(cursor.next(), Found.nothing);
  }
});

test('one wrong bit is an error', () => {
  const bytes = batchOf('none');
  for (const at of [17, 21, 25, 57, 70, bytes.length - 1]) {
    const broken = Buffer.from(bytes);
    broken[at]! ^= 1;
    assert.throws(
      () => walk(open(broken)),
      (error: CdcError) => error.code === 'BROKER_PROTOCOL' && /checksum/.test(error.message),
    );
  }
});

test('an older message format is an error', () => {
  const bytes = batchOf('none');
  bytes[16] = 1;
  assert.throws(
    () => walk(open(bytes)),
    (error: CdcError) => /format 1, not 2/.test(error.message),
  );
});

for (const name of ['gzip', 'snappy', 'lz4', 'zstd']) {
  test(`a batch with compression ${name} that becomes too large is skipped, and named`, () => {
    const bytes = Buffer.concat([batchOf(name), batch([{ value: 'next' }], 4)]);
    const cursor = open(bytes, 1, 100);
    assert.equal(cursor.next(), Found.unreadable);
    assert.match(cursor.reason, /more than 100 bytes/);
    assert.deepEqual([cursor.offset, cursor.position], [1, 4]);
    assert.equal(cursor.next(), Found.record);
    assert.equal(cursor.value!.toString(), 'next');
    assert.equal(cursor.next(), Found.nothing);
  });
}

test('a record that reaches behind its batch is skipped with what follows in the batch', () => {
  const bytes = batch([{ value: 'one' }, { value: 'two' }, { value: 'three' }]);
  const second = bytes.indexOf('two') - 6;
  bytes[second] = 120;
  checksum(bytes);
  const cursor = open(bytes);
  assert.equal(cursor.next(), Found.record);
  assert.equal(cursor.next(), Found.unreadable);
  assert.deepEqual([cursor.offset, cursor.position], [1, 3]);
  assert.equal(cursor.next(), Found.nothing);
});

test('the last whole batch says where to go on', () => {
  const { bytes, start, end } = transactions();
  assert.deepEqual(lastBatch(bytes, start, end), { nextOffset: 11, leaderEpoch: 0 });
  assert.deepEqual(lastBatch(bytes, start, end - 1), { nextOffset: 10, leaderEpoch: 0 });
  assert.equal(lastBatch(bytes, start, start + 60), undefined);
});

interface NewRecord {
  key?: string;
  value: string | null;
  headers?: (readonly [string, string])[];
}

/** A batch of magic 2, not compressed. */
function batch(records: NewRecord[], baseOffset = 0): Buffer {
  const varint = (value: number) => {
    const bytes: number[] = [];
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
    return Buffer.from([...bytes, rest]);
  };
  const sized = (text: string | null | undefined) =>
    text === null || text === undefined
      ? varint(-1)
      : Buffer.concat([varint(Buffer.byteLength(text)), Buffer.from(text)]);
  const body = records.map(({ key, value, headers = [] }, i) => {
    const record = Buffer.concat([
      Buffer.from([0]),
      varint(0),
      varint(i),
      sized(key),
      sized(value),
      varint(headers.length),
      ...headers.flatMap(([name, content]) => [sized(name), sized(content)]),
    ]);
    return Buffer.concat([varint(record.length), record]);
  });
  const head = Buffer.alloc(61, 0xff);
  head.writeBigInt64BE(BigInt(baseOffset));
  head.writeInt32BE(0, 12);
  head[16] = 2;
  head.writeInt16BE(0, 21);
  head.writeInt32BE(records.length - 1, 23);
  head.writeInt32BE(records.length, 57);
  const bytes = Buffer.concat([head, ...body]);
  bytes.writeInt32BE(bytes.length - 12, 8);
  checksum(bytes);
  return bytes;
}

function checksum(bytes: Buffer): void {
  bytes.writeUInt32BE(crc32cByBit(bytes.subarray(21)), 17);
}

/** By the definition (RFC 3720, B.4). */
function crc32cByBit(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
