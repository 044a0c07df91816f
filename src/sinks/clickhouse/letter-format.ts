import type { ByteWriter } from '../../core/byte-writer.ts';
import { readVersion, writeVersion } from '../../core/version.ts';
import type { DeadLetter, KeptValue, MessageHeader } from './dead-letter.ts';
import { quoteIdentifier } from './names.ts';

/** One column of `wal_cdc.dead_letters`, as RowBinary has it. */
interface Field<T> {
  type: string;
  write(out: ByteWriter, value: T): void;
  read(from: ByteReader): T;
}

/** Reads RowBinary values, one after the other. */
class ByteReader {
  readonly buf: Buffer;
  pos = 0;

  constructor(buf: Buffer) {
    this.buf = buf;
  }

  get isAtEnd(): boolean {
    return this.pos >= this.buf.length;
  }

  take(length: number): number {
    this.pos += length;
    return this.pos - length;
  }

  varUInt(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.buf[this.pos++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  bytes(): Buffer {
    const length = this.varUInt();
    const start = this.take(length);
    return this.buf.subarray(start, start + length);
  }
}

const bytes: Field<Buffer> = {
  type: 'String',
  write: (out, value) => out.writeString(value, 0, value.length),
  read: from => from.bytes(),
};

const text: Field<string> = {
  type: 'String',
  write: (out, value) => bytes.write(out, Buffer.from(value)),
  read: from => from.bytes().toString(),
};

/** Few different ones. */
function word<T extends string>(): Field<T> {
  return {
    type: 'LowCardinality(String)',
    write: text.write as Field<T>['write'],
    read: from => text.read(from) as T,
  };
}

const nullableBytes: Field<Buffer | null> = {
  type: 'Nullable(String)',
  write: (out, value) => {
    out.writeByte(value === null ? 1 : 0);
    if (value !== null) bytes.write(out, value);
  },
  read: from => (from.buf[from.pos++] === 1 ? null : from.bytes()),
};

const uint64: Field<bigint> = {
  type: 'UInt64',
  write(out, value) {
    out.reserve(8);
    out.pos = out.buf.writeBigUInt64LE(value, out.pos);
  },
  read: from => from.buf.readBigUInt64LE(from.take(8)),
};

const int64: Field<bigint> = {
  type: 'Int64',
  write(out, value) {
    out.reserve(8);
    out.pos = out.buf.writeBigInt64LE(value, out.pos);
  },
  read: from => from.buf.readBigInt64LE(from.take(8)),
};

/** Microseconds since 1970. */
const moment: Field<bigint> = { ...int64, type: "DateTime64(6, 'UTC')" };

const version: Field<bigint> = {
  type: 'UInt128',
  write: writeVersion,
  read: from => readVersion(from.buf, from.take(16)),
};

const int32: Field<number> = {
  type: 'Int32',
  write(out, value) {
    out.reserve(4);
    out.pos = out.buf.writeInt32LE(value, out.pos);
  },
  read: from => from.buf.readInt32LE(from.take(4)),
};

const uint16: Field<number> = {
  type: 'UInt16',
  write(out, value) {
    out.reserve(2);
    out.pos = out.buf.writeUInt16LE(value, out.pos);
  },
  read: from => from.buf.readUInt16LE(from.take(2)),
};

function list<T>(type: string, item: Omit<Field<T>, 'type'>): Field<readonly T[]> {
  return {
    type: `Array(${type})`,
    write(out, values) {
      out.writeVarUInt(values.length);
      for (const value of values) item.write(out, value);
    },
    read: from => Array.from({ length: from.varUInt() }, () => item.read(from)),
  };
}

const headers = list<MessageHeader>('Tuple(name String, value Nullable(String))', {
  write(out, [name, value]) {
    text.write(out, name);
    nullableBytes.write(out, value);
  },
  read: from => [text.read(from), nullableBytes.read(from)],
});

const keptValues = list<KeptValue>('Tuple(column String, type String, value String)', {
  write(out, { column, type, value }) {
    text.write(out, column);
    text.write(out, type);
    bytes.write(out, value);
  },
  read: from => ({ column: text.read(from), type: text.read(from), value: from.bytes() }),
});

type Fields = { [K in keyof DeadLetter]: readonly [column: string, field: Field<DeadLetter[K]>] };

const fields: Fields = {
  id: ['id', text],
  revision: ['revision', uint64],
  state: ['state', word()],
  stateAtUs: ['state_at', moment],
  atUs: ['at', moment],
  mode: ['mode', word()],
  code: ['code', word()],
  reason: ['reason', text],
  hint: ['hint', text],
  schema: ['schema', text],
  table: ['table', text],
  key: ['key', text],
  op: ['op', word()],
  version: ['version', version],
  position: ['position', text],
  commitLsn: ['commit_lsn', text],
  changeLsn: ['change_lsn', text],
  place: ['place', uint16],
  committedAtUs: ['committed_at', moment],
  change: ['change', bytes],
  relation: ['relation', word()],
  kept: ['kept', keptValues],
  topic: ['topic', word()],
  partition: ['partition', int32],
  offset: ['offset', int64],
  messageKey: ['message_key', nullableBytes],
  messageValue: ['message_value', nullableBytes],
  headers: ['headers', headers],
};
const entries = Object.entries(fields) as [keyof DeadLetter, readonly [string, Field<unknown>]][];

/** Names of the columns but `pipeline`, in the order in which rows have them. */
export const letterColumns = entries.map(([, [column]]) => column);

export const lettersTable = {
  columns: [
    'pipeline String',
    ...entries.map(([, [column, { type }]]) => `${quoteIdentifier(column)} ${type}`),
  ],
  // The newest state counts. A replay of the stream writes revision 0 again, which opens no letter that was settled.
  engine: 'ReplacingMergeTree(revision)',
  orderBy: '(pipeline, schema, `table`, id)',
};

/** Appends a letter in the order of `pipeline` and `letterColumns`. */
export function encodeLetter(pipeline: string, letter: DeadLetter, out: ByteWriter): void {
  text.write(out, pipeline);
  for (const [name, [, field]] of entries) field.write(out, letter[name]);
}

/** Rows of `letterColumns`. Their buffers are views. */
export function decodeLetters(buf: Buffer): DeadLetter[] {
  const from = new ByteReader(buf);
  const letters: DeadLetter[] = [];
  while (!from.isAtEnd)
    letters.push(
      Object.fromEntries(
        entries.map(([name, [, field]]) => [name, field.read(from)]),
      ) as unknown as DeadLetter,
    );
  return letters;
}
