import { isUtf8 } from 'node:buffer';
import { Op } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { postgresEpochUs } from '../../core/postgres-epoch.ts';
import type { EnvelopeFields, Layout, MessageSpans } from './envelope.ts';
import type { JsonValues } from './json-values.ts';
import { Literals, type Span } from './literals.ts';
import type { KeyFields } from './message-key.ts';

/** What is done with a value of a predicted envelope. */
export const Role = {
  /** Nothing: it is checked. */
  none: 0,
  /** A column of the new row, of which the placeholder may stand for an unchanged value. */
  column: 1,
  oldColumn: 2,
  /** A column of the key in an old row, or of a deleted one: never null. */
  keyColumn: 3,
  /** Beside the key of a deleted row: null is written. */
  besideKey: 4,
  lsn: 5,
  sequence: 6,
  /** When the change was committed, in µs or ms since 1970. */
  micros: 7,
  millis: 8,
  op: 9,
} as const;

export interface EnvelopeValue extends Span {
  role: number;
  /** Containers that it lies in. */
  depth: number;
  /** Of the tuple that starts with it. */
  marker?: number;
}

/** What an envelope is, besides its values. */
export interface EnvelopeShape {
  /** Which rows it has: a new one, an old and a new one, a deleted one. */
  kind: 'fresh' | 'changed' | 'deleted';
  isFlattened: boolean;
  layout: Layout;
  key: KeyFields | null;
  schema: string;
  table: string;
  /** In the order in which they stand in the message. */
  values: readonly EnvelopeValue[];
}

/**
 * An envelope like one that was read before: the same bytes but for its values, which lie between them. What was found out
 * about the names and their order holds for every message that is the same there. Only what is in `values` is looked at.
 */
export class PredictedEnvelope {
  readonly key: KeyFields | null;
  readonly #shape: EnvelopeShape;
  readonly #literals: Literals;
  readonly #roles: Uint8Array;
  readonly #depths: Uint16Array;
  /** The marker of the tuple that starts with the value, or 0. */
  readonly #markers: Uint8Array;
  /** What the change may be longer than the message. */
  readonly #overhead: number;

  constructor(message: Buffer, shape: EnvelopeShape) {
    const { values } = shape;
    this.key = shape.key;
    this.#shape = shape;
    this.#literals = new Literals(message, values);
    this.#roles = Uint8Array.from(values, value => value.role);
    this.#depths = Uint16Array.from(values, value => value.depth);
    this.#markers = Uint8Array.from(values, value => value.marker ?? 0);
    this.#overhead = 16 + values.length * 5;
  }

  /** Reads a message if it is as predicted; else returns false and leaves everything as it was. */
  read(message: MessageSpans, values: JsonValues, out: ByteWriter, fields: EnvelopeFields): boolean {
    const { valueBytes, valueStart, valueEnd } = message;
    const roles = this.#roles;
    const depths = this.#depths;
    const markers = this.#markers;
    const literals = this.#literals;
    const shape = this.#shape;
    const { src, dst } = values;
    src.lookAt(valueBytes);
    out.reserve(valueEnd - valueStart + this.#overhead);
    dst.lookAt(out.buf);
    const from = out.buf.byteOffset;
    values.start(from + out.pos);
    const columns = shape.layout.names.length;
    const mayBeUnchanged = shape.kind !== 'deleted';
    const end = valueBytes.byteOffset + valueEnd;
    let pos = valueBytes.byteOffset + valueStart;
    let lsn = 0;
    let lastCommit = 0;
    let committedAtUs = Number.NaN;
    let op = shape.kind === 'deleted' ? 100 : 0;
    for (let i = 0; i < roles.length; i++) {
      pos = literals.match(i, src, pos, end);
      if (pos < 0) return false;
      if (markers[i] !== 0) values.startTuple(markers[i]!, columns);
      switch (roles[i]) {
        case Role.column:
          pos = values.write(pos, end, depths[i]!, mayBeUnchanged);
          break;
        case Role.oldColumn:
          pos = values.write(pos, end, depths[i]!, false);
          break;
        case Role.keyColumn:
          if (src.bytes[pos] === 110) return false;
          pos = values.write(pos, end, depths[i]!, false);
          break;
        case Role.besideKey:
          values.writeNull();
          pos = values.skip(pos, end, depths[i]!);
          break;
        case Role.lsn:
          pos = values.integer(pos, end);
          lsn = values.number;
          break;
        case Role.sequence:
          pos = values.sequence(pos, end);
          lastCommit = values.number;
          break;
        case Role.micros:
          pos = values.integer(pos, end);
          committedAtUs = values.number - postgresEpochUs;
          break;
        case Role.millis:
          pos = values.integer(pos, end);
          committedAtUs = values.number * 1000 - postgresEpochUs;
          break;
        case Role.op:
          if (pos + 3 > end || src.bytes[pos] !== 34 || src.bytes[pos + 2] !== 34) return false;
          op = src.bytes[pos + 1]!;
          pos += 3;
          break;
        default:
          pos = values.skip(pos, end, depths[i]!);
      }
      if (pos < 0) return false;
    }
    if (literals.match(roles.length, src, pos, end) !== end) return false;
    const change = this.#change(op, values.unchanged);
    if (change === 0 || (values.mayHaveUnicode && !isUtf8(valueBytes.subarray(valueStart, valueEnd))))
      return false;
    out.pos = values.at - from;
    fields.op = change;
    fields.isSnapshot = op === 114;
    fields.isFlattened = shape.isFlattened;
    fields.lsnHi = Math.floor(lsn / 4294967296);
    fields.lsnLo = lsn >>> 0;
    fields.lastCommitHi = Math.floor(lastCommit / 4294967296);
    fields.lastCommitLo = lastCommit >>> 0;
    fields.committedAtUs = committedAtUs;
    fields.schema = shape.schema;
    fields.table = shape.table;
    fields.layout = shape.layout;
    return true;
  }

  /** The `Op` of the message's op, if the tuples that were written are right for it; else 0. */
  #change(op: number, unchanged: boolean): number {
    switch (this.#shape.kind) {
      case 'deleted':
        return op === 100 ? Op.delete : 0;
      case 'changed':
        // Whether the old row has what is unchanged is for a closer look.
        return op === 117 && !unchanged ? Op.update : 0;
      default:
        if (op === 117) return Op.update;
        return (op === 99 || op === 114) && !unchanged ? Op.insert : 0;
    }
  }
}
