import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Column, Wire } from '../../src/core/relation.ts';
import { Kind } from '../../src/core/tuple.ts';
import { type Codec, type Encode, InvalidValue } from '../../src/sinks/clickhouse/types/codec.ts';
import { connectColumn } from '../../src/sinks/clickhouse/types/debezium/assumed-columns.ts';
import {
  type ConnectorModes,
  withConnectorModes,
} from '../../src/sinks/clickhouse/types/debezium/connector-modes.ts';
import { codecFor, defaultType } from '../../src/sinks/clickhouse/types/registry.ts';
import { type EnvelopeValue, envelopeValue, parseExactly } from '../support/envelope-values.ts';
import { type Loss, losses, type Mode } from './debezium-losses.ts';

/**
 * `test/fixtures/values`: what Debezium 3.6.3 wrote for a table of PostgreSQL 18 in six of its modes, in a snapshot and in the
 * stream, and PostgreSQL's text of the same values with the settings that mode `wal` pins.
 */
const modes: Record<Mode, ConnectorModes> = {
  default: { decimals: 'precise', times: 'adaptive', binary: 'bytes', intervals: 'numeric' },
  isostring: { decimals: 'string', times: 'isostring', binary: 'base64', intervals: 'string' },
  connect: { decimals: 'double', times: 'connect', binary: 'hex', intervals: 'string' },
  microseconds: {
    decimals: 'precise',
    times: 'microseconds',
    binary: 'base64-url-safe',
    intervals: 'string',
  },
  nanoseconds: { decimals: 'precise', times: 'nanoseconds', binary: 'hex', intervals: 'string' },
  adaptive_micros: {
    decimals: 'string',
    times: 'adaptive_time_microseconds',
    binary: 'bytes',
    intervals: 'numeric',
  },
};

interface SourceColumn extends Column {
  /** PostgreSQL's text, row by row; null in those behind. */
  values: string[];
}

/** Of one field: JSON of its values, row by row. Without `stream` the stream had the same. */
interface Recorded {
  name: string;
  wire: Wire;
  snapshot: (string | null)[];
  stream?: (string | null)[];
}

function readLines<T>(name: string): T[] {
  const text = readFileSync(join(import.meta.dirname, '../fixtures/values', `${name}.jsonl`), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
}

const source = new Map(readLines<SourceColumn>('table').map(column => [column.name, column]));
const used = new Set<Loss>();

for (const mode of Object.keys(modes) as Mode[])
  test(`values in mode ${mode} become what PostgreSQL's text becomes K18 K20`, () => {
    for (const field of readLines<Recorded>(mode)) {
      const column = source.get(field.name)!;
      for (const phase of ['snapshot', 'stream'] as const)
        (field[phase] ?? field.snapshot).forEach((json, row) => {
          check(column, field.wire, mode, phase, column.values[row]!, json);
        });
    }
  });

test('no loss is listed that is none', () => {
  assert.deepEqual(
    losses.filter(loss => !used.has(loss)),
    [],
  );
});

function check(
  { values: _, ...column }: SourceColumn,
  wire: Wire,
  mode: Mode,
  phase: 'snapshot' | 'stream',
  text: string,
  json: string | null,
): void {
  const loss = losses.find(
    ({ columns, modes: lossy, phase: only, was }) =>
      columns.includes(column.name) &&
      (lossy === 'all' || lossy.includes(mode)) &&
      (only === undefined || only === phase) &&
      (was === text || was === 'any'),
  );
  if (loss) used.add(loss);
  const expected = loss ? loss.is : text;
  const where = `${column.name} ${mode} ${phase} ${json}`;
  if (json === null) {
    assert.equal(null, expected, where);
    return;
  }
  const value = envelopeValue(parseExactly(json));
  for (const wired of [
    withConnectorModes({ ...column, wire }, modes[mode]),
    withConnectorModes({ ...column, wire: {} }, modes[mode]),
  ])
    for (const type of new Set([defaultType(column, { time64: true }), 'String'])) {
      const codec = codecFor(wired, type, 'fail');
      const found = encode(codec, value);
      const into = `${where} into ${type} with wire ${JSON.stringify(wired.wire)}`;
      if (expected === 'refused') assert.ok(found instanceof InvalidValue, into);
      else {
        assert.ok(expected !== null, into);
        const wal = encode(codecFor(column, type, 'fail'), { kind: Kind.text, bytes: Buffer.from(expected) });
        if (wal instanceof InvalidValue) assert.ok(found instanceof InvalidValue, into);
        else {
          assert.deepEqual(found, wal, into);
          assert.deepEqual(run(codec.postgresText, Buffer.from(expected)), wal, into);
        }
        const key = codec.toPostgresText![value.kind === Kind.text ? 'text' : 'json'];
        assert.equal(run(key, value.bytes).toString(), expected, into);
      }
    }
  const assumed = withConnectorModes(connectColumn(wire, column.name), modes[mode]);
  const found = encode(codecFor(assumed, defaultType(assumed, { time64: true }), 'fail'), value);
  if (expected !== 'refused' && found instanceof InvalidValue)
    assert.match(found.message, /is outside/, where);
}

function encode(codec: Codec, { kind, bytes }: EnvelopeValue): Buffer | InvalidValue {
  return run(kind === Kind.text ? codec.text : codec.json!, bytes, codec);
}

function run(write: Encode, bytes: Buffer, codec?: Codec): Buffer | InvalidValue {
  const out = new ByteWriter(16);
  // Inside other bytes, so that a look beyond the value shows.
  const src = Buffer.concat([Buffer.from('1\\"'), bytes, Buffer.from('1,\\"')]);
  try {
    write(src, 3, 3 + bytes.length, out);
  } catch (error) {
    if (error instanceof InvalidValue) return error;
    throw error;
  }
  if (codec) assert.equal(codec.skip(out.written(), 0), out.pos, 'skip leads behind the value');
  return Buffer.from(out.written());
}
