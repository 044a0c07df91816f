import { Op, RowGroup } from '../../core/batch.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { Marker } from '../../core/tuple.ts';
import { lacksValues, skipTuple } from '../../core/tuple-fields.ts';
import { keyText } from './dead-letter.ts';
import type { RowEncoder } from './row-encoder.ts';
import { InvalidValue } from './types/codec.ts';

/** What one row of a batch does to its key. Keys are RowBinary, one character per byte. */
export interface Step {
  row: number;
  before: string;
  /** Undefined for a delete. */
  after: string | undefined;
  /** Where the tuples are of an update that leaves values out. */
  lacking: { tuple: number; old: number } | undefined;
}

/** Begins what stands for a key that ClickHouse cannot hold; no byte of RowBinary is that large. */
const invalidKey = '\u{100}';

export function isValidKey(key: string): boolean {
  return !key.startsWith(invalidKey);
}

export class RowSteps {
  readonly #encoder: RowEncoder;
  readonly #key = new ByteWriter(256);

  constructor(encoder: RowEncoder) {
    this.#encoder = encoder;
  }

  of(data: Buffer, group: RowGroup, i: number): Step {
    const at = i * RowGroup.stride;
    const offset = group.index[at]!;
    const op = group.index[at + RowGroup.opAndPlace]! & 0xff;
    if (op !== Op.update) {
      const key = this.keyOf(data, offset + 1, -1);
      return { row: i, before: key, after: op === Op.insert ? key : undefined, lacking: undefined };
    }
    let tuple = offset + 1;
    let old = -1;
    if (data[offset] !== Marker.new) {
      old = tuple;
      tuple = skipTuple(data, tuple) + 1;
    }
    const after = this.keyOf(data, tuple, old);
    const before = old >= 0 ? this.keyOf(data, old, -1) : after;
    return { row: i, before, after, lacking: lacksValues(data, offset) ? { tuple, old } : undefined };
  }

  /** `fallback`: tuple that has the columns which this one says are unchanged, or -1. */
  keyOf(data: Buffer, tuple: number, fallback: number): string {
    this.#key.pos = 0;
    try {
      this.#encoder.encodeKey(data, tuple, fallback, this.#key);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      // ClickHouse has no such row, and this one will fail when it is encoded.
      return invalidKey + keyText(this.#encoder, data, tuple, fallback);
    }
    return this.#key.buf.toString('latin1', 0, this.#key.pos);
  }
}
