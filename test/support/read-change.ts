import { isDeepStrictEqual } from 'node:util';
import { Op } from '../../src/core/batch.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import {
  EnvelopeKind,
  type EnvelopeReader,
  type KafkaMessage,
  MalformedEnvelope,
} from '../../src/sources/kafka/envelope.ts';
import { newStamp } from '../../src/sources/kafka/json-kernel.ts';
import { type DecodedValue, decodeChange } from './change-bytes.ts';
import type { Expected } from './envelope-oracle.ts';
import { formatExactJson, parseExactJson } from './exact-json.ts';

const ops = { [Op.insert]: 'insert', [Op.update]: 'update', [Op.delete]: 'delete' } as const;
const out = new ByteWriter();

/** What a reader makes of a message, in the form of the oracle; a `tombstone` is a change as well. `orThrow`: malformed ones throw. */
export function readChange(reader: EnvelopeReader, message: KafkaMessage, orThrow = false): Expected {
  out.pos = 7;
  let kind: number;
  try {
    kind = reader.read(message, out);
  } catch (error) {
    if (orThrow || !(error instanceof MalformedEnvelope)) throw error;
    if (out.pos !== 7) throw new Error('a malformed message left bytes behind', { cause: error });
    return { kind: 'malformed' };
  }
  if (kind === EnvelopeKind.ignored) return { kind: 'ignored' };
  const { lsnHi, lsnLo, lastCommitHi, lastCommitLo, schema, table, layout } = reader;
  const lsn = join(lsnHi, lsnLo);
  const lastCommit = join(lastCommitHi, lastCommitLo);
  if (kind === EnvelopeKind.truncate) return { kind: 'truncate', lsn, lastCommit, schema, table };
  return {
    kind: 'change',
    op: ops[reader.op as keyof typeof ops],
    isSnapshot: reader.isSnapshot,
    lsn,
    lastCommit,
    committedAtUs: reader.committedAtUs,
    schema,
    table,
    names: [...layout.names],
    wires: [...layout.wires],
    key: layout.key && [...layout.key],
    tuples: decodeChange(Buffer.from(out.buf.subarray(7, out.pos))).map(({ marker, values }) => ({
      marker,
      values: Object.fromEntries(values.map((value, i) => [layout.names[i], formatValue(value)])),
    })),
  };
}

/** The message as a part of a fetched record batch, between other bytes. */
export function withinRecords(message: KafkaMessage): KafkaMessage {
  const { key, value } = message;
  const parts = ['"{', key ?? '', '\0', value ?? '', '"}'].map(part => Buffer.from(part));
  const bytes = Buffer.concat(parts);
  const keyEnd = 2 + parts[1]!.length;
  const stamp = newStamp();
  return {
    ...message,
    spans: {
      keyBytes: bytes,
      keyStamp: stamp,
      keyStart: key ? 2 : -1,
      keyEnd,
      valueBytes: bytes,
      valueStamp: stamp,
      valueStart: value ? keyEnd + 1 : -1,
      valueEnd: keyEnd + 1 + parts[3]!.length,
    },
  };
}

/** Halves must be unsigned. */
function join(hi: number, lo: number): bigint {
  if (hi < 0 || lo < 0) throw new Error(`signed halves: ${hi}, ${lo}`);
  return (BigInt(hi) << 32n) | BigInt(lo);
}

function formatValue({ kind, text }: DecodedValue): string {
  return text === undefined ? kind : `${kind}${kind === 'j' ? formatExactJson(parseExactJson(text)) : text}`;
}

/** Whether both say the same. `JSON.parse` moves names that are numbers to the front: their order cannot be told. */
export function isSame(actual: Expected, expected: Expected): boolean {
  if (actual.kind !== 'change' || expected.kind !== 'change') return isDeepStrictEqual(actual, expected);
  const hasNumbers = [...expected.names, ...(expected.key ?? [])].some(name => /^\d+$/.test(name));
  if (!hasNumbers) return isDeepStrictEqual(actual, expected);
  const sorted = ({ names, wires, key, ...rest }: typeof expected) => ({
    ...rest,
    names: [...names].sort(),
    wires: names.map((name, i) => [name, JSON.stringify(wires[i])].join()).sort(),
    key: key && [...key].sort(),
  });
  return isDeepStrictEqual(sorted(actual), sorted(expected));
}
