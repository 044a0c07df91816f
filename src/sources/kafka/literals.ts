import type { ByteView } from './byte-view.ts';

/** Longer ones are compared by native code, whose call costs as much as a loop over this many bytes. */
const shortBytes = 400;

/** Where a value lies in a message. */
export interface Span {
  start: number;
  end: number;
}

/** What a message has between some of its values, to find the same in the next message. */
export class Literals {
  readonly #bytes: Buffer;
  readonly #words: DataView;
  /** Where each ends. */
  readonly #ends: Int32Array;

  /** `values` in the order in which they stand in `message`. */
  constructor(message: Buffer, values: readonly Span[]) {
    const parts: Buffer[] = [];
    let pos = 0;
    for (const { start, end } of values) {
      parts.push(message.subarray(pos, start));
      pos = end;
    }
    parts.push(message.subarray(pos));
    this.#bytes = Buffer.concat(parts);
    this.#words = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    let end = 0;
    this.#ends = Int32Array.from(parts, part => (end += part.length));
  }

  /** Where literal `i` ends if it starts at `pos`; -1 when something else is there. */
  match(i: number, src: ByteView, pos: number, end: number): number {
    const literalEnd = this.#ends[i]!;
    let at = i === 0 ? 0 : this.#ends[i - 1]!;
    const behind = pos + literalEnd - at;
    if (behind > end) return -1;
    if (literalEnd - at > shortBytes)
      return src.bytes.compare(this.#bytes, at, literalEnd, pos, behind) === 0 ? behind : -1;
    const words = this.#words;
    const srcWords = src.words;
    if (literalEnd - at >= 8) {
      // The last eight bytes may have been compared in part already.
      for (const last = literalEnd - 8; at < last; at += 8, pos += 8)
        if (words.getFloat64(at, true) !== srcWords.getFloat64(pos, true)) return -1;
      return words.getFloat64(literalEnd - 8, true) === srcWords.getFloat64(behind - 8, true) ? behind : -1;
    }
    const bytes = this.#bytes;
    const srcBytes = src.bytes;
    for (; at < literalEnd; at++, pos++) if (bytes[at] !== srcBytes[pos]) return -1;
    return behind;
  }
}
