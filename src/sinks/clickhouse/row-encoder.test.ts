import assert from 'node:assert/strict';
import { test } from 'node:test';
import { envelopeValue, writeTuple } from '../../../test/support/envelope-values.ts';
import { Op, RowGroup, Transactions } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import type { Column, Relation } from '../../core/relation.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { walVersions } from '../../core/version.ts';
import { RowEncoder } from './row-encoder.ts';
import { connectColumn } from './types/debezium/assumed-columns.ts';
import { codecFor, defaultType } from './types/registry.ts';

const micros = { type: 'int64', name: 'io.debezium.time.MicroTimestamp', optional: false };
const decimal = {
  type: 'bytes',
  name: 'org.apache.kafka.connect.data.Decimal',
  parameters: { scale: '2', 'connect.decimal.precision': '12' },
  optional: true,
};

function encoderOf(columns: Column[], key: string[], nullIfInvalid: string[] = []): RowEncoder {
  const relation: Relation = { id: 1, schema: 'public', name: 't', replicaIdentity: 'd', columns };
  return new RowEncoder(
    relation,
    columns.map(column => {
      const codec = codecFor(column, defaultType(column, { time64: true }), 'fail');
      return {
        name: column.name,
        codec,
        nullable: !column.notNull && codec.canBeNullable,
        key: key.includes(column.name),
        nullIfInvalid: nullIfInvalid.includes(column.name),
        nullFlag: column.name === 'tags',
      };
    }),
    {
      epoch: 0,
      versions: walVersions,
      remedy: '',
      metaColumns: ['_version', '_is_deleted', '_committed_at'],
      key,
    },
  );
}

/** The row in hexadecimal, without version, `_is_deleted` and `_committed_at`. */
function encode(encoder: RowEncoder, op: number, ...tuples: [marker: number, values: unknown[]][]): string[] {
  const data = new ByteWriter();
  for (const [marker, values] of tuples) writeTuple(data, marker, values.map(envelopeValue));
  const group = new RowGroup(encoder.relation);
  group.add(0, data.pos, op, 0, 0, 8, 0);
  const transactions = new Transactions();
  transactions.add(0, 16, 0);
  const out = new ByteWriter();
  encoder.encodeChange(data.buf, group, 0, transactions, out);
  const rows: string[] = [];
  const hex = out.written().toString('hex');
  const metaDigits = (16 + 1 + 8) * 2;
  for (let pos = 0; pos < hex.length; ) {
    let end = pos / 2;
    for (const { nullable, codec } of encoder.columns) {
      if (nullable && out.buf[end++] === 1) continue;
      end = codec.skip(out.buf, end);
    }
    end += encoder.columns.filter(({ nullFlag }) => nullFlag).length;
    rows.push(hex.slice(pos, end * 2));
    pos = end * 2 + metaDigits;
  }
  return rows;
}

const columns = [
  connectColumn(micros, 'at'),
  connectColumn(decimal, 'price'),
  connectColumn({ type: 'array', items: { type: 'string' } }, 'tags'),
];

test('strings, other JSON and nulls of an envelope', () => {
  const encoder = encoderOf(columns, ['at']);
  assert.deepEqual(encode(encoder, Op.insert, [Marker.new, [1, 'BBo=', ['a']]]), [
    '0100000000000000' + '00' + '1a04000000000000' + '01' + '000161' + '00',
  ]);
  assert.deepEqual(encode(encoder, Op.insert, [Marker.new, [-1, null, null]]), [
    'ffffffffffffffff' + '01' + '00' + '01',
  ]);
  assert.deepEqual(encode(encoder, Op.delete, [Marker.key, [1, null, null]]), [
    '0100000000000000' + '01' + '00' + '01',
  ]);
});

test('a changed key gives a tombstone and a row', () => {
  const encoder = encoderOf(columns, ['at']);
  const rows = encode(encoder, Op.update, [Marker.key, [1, null, null]], [Marker.new, [2, null, []]]);
  assert.deepEqual(rows, ['0100000000000000' + '01' + '00' + '01', '0200000000000000' + '01' + '00' + '00']);
  const same = encode(encoder, Op.update, [Marker.key, [2, null, null]], [Marker.new, [2, null, []]]);
  assert.equal(same.length, 1);
});

test('a value that is none becomes NULL where that is asked, and stops the table otherwise', () => {
  const lenient = encoderOf(columns, ['at'], ['price']);
  assert.deepEqual(encode(lenient, Op.insert, [Marker.new, [1, 'x', []]]), [
    '0100000000000000' + '01' + '00' + '00',
  ]);
  assert.equal(lenient.nulled, 1);
  assert.throws(
    () => encode(encoderOf(columns, ['at']), Op.insert, [Marker.new, [1, 'x', []]]),
    (error: unknown) =>
      error instanceof CdcError && error.code === 'VALUE_INVALID' && error.message.includes('column "price"'),
  );
});

test('keys are handed on as PostgreSQL writes them', () => {
  const keys = [
    connectColumn(micros, 'at'),
    connectColumn(decimal, 'price'),
    connectColumn({ type: 'bytes' }, 'hash'),
    connectColumn({ type: 'string' }, 'name'),
    connectColumn({ type: 'boolean' }, 'flag'),
  ];
  const encoder = encoderOf(
    keys,
    keys.map(({ name }) => name),
  );
  const data = new ByteWriter();
  writeTuple(data, Marker.new, [1772282096123456, 'BBo=', 'AP8=', 'é', true].map(envelopeValue));
  assert.deepEqual(
    encoder.rawKey(data.buf, 1, -1).map(({ name, binary, value }) => [name, binary, value.toString()]),
    [
      ['at', false, '2026-02-28 12:34:56.123456'],
      ['price', false, '10.50'],
      ['hash', false, '\\x00ff'],
      ['name', false, 'é'],
      ['flag', false, 't'],
    ],
  );
  const key = new ByteWriter();
  encoder.encodeKey(data.buf, 1, -1, key);
  assert.equal(
    key.written().toString('hex'),
    '40fec794e14b0600' + '00' + '1a04000000000000' + '00' + '0200ff' + '00' + '02c3a9' + '00' + '01',
  );
});

test('JSON is taken only where values come in envelopes', () => {
  const { wire: _, ...plain } = connectColumn({ type: 'int32', optional: false }, 'id');
  const encoder = encoderOf([plain], ['id']);
  assert.deepEqual(encode(encoder, Op.insert, [Marker.new, ['1']]), ['01000000']);
  assert.throws(
    () => encode(encoder, Op.insert, [Marker.new, [1]]),
    (error: unknown) => error instanceof CdcError && error.code === 'TUPLE_FORMAT',
  );
  assert.equal(Kind.json, 'j'.charCodeAt(0));
});
