import { Kind } from '../../core/tuple.ts';
import type { ByteView } from './byte-view.ts';
import { skipEscape, skipValue, skipWord } from './json-scan.ts';
import { simpleEscapes, writeUnescaped } from './json-unescape.ts';
import { isDigit, isDigits, skipNumberByWords } from './json-words.ts';
import type { Placeholder } from './placeholder.ts';

/**
 * Checks JSON values and copies them into tuples in one pass, four bytes at a time. Positions are those of `ByteView`. The room
 * in `dst` must be reserved: a value takes no more than five bytes beside its JSON, and four bytes behind it are scribbled on.
 */
export class JsonValues {
  readonly src: ByteView;
  readonly dst: ByteView;
  readonly #placeholder: Placeholder;
  /** Where the next value goes in `dst`. */
  at = 0;
  /** Whether a value was the placeholder and `u` was written for it. */
  unchanged = false;
  /** Whether there was text that may be other than ASCII: it was not checked to be UTF-8. */
  mayHaveUnicode = false;
  /** What `integer` read. */
  number = 0;

  constructor(src: ByteView, dst: ByteView, placeholder: Placeholder) {
    this.src = src;
    this.dst = dst;
    this.#placeholder = placeholder;
  }

  start(at: number): void {
    this.at = at;
    this.unchanged = false;
    this.mayHaveUnicode = false;
  }

  startTuple(marker: number, columns: number): void {
    const { bytes } = this.dst;
    bytes[this.at++] = marker;
    bytes[this.at++] = columns >> 8;
    bytes[this.at++] = columns;
  }

  writeNull(): void {
    this.dst.bytes[this.at++] = Kind.null;
  }

  /** Copies the value at `pos`, in `depth` containers. Returns the position behind it, or -1 when it is not valid. */
  write(pos: number, end: number, depth: number, mayBeUnchanged: boolean): number {
    const { at } = this;
    const byte = pos < end ? this.src.bytes[pos]! : 0;
    if (byte === 34) {
      pos = this.#copyString(pos + 1, end, at + 5);
      if (pos < 0) return -1;
      if (mayBeUnchanged && this.#placeholder.isText(this.dst.bytes, at + 5, this.at)) this.#setUnchanged(at);
      else this.#writeHeader(at, Kind.text);
      return pos;
    }
    if (byte === 110) {
      this.writeNull();
      return skipWord(this.src.bytes, pos, end);
    }
    if (byte >= 49 && byte <= 57) {
      pos = this.#copyNumber(pos, end, at + 5);
      if (pos >= 0) this.#writeHeader(at, Kind.json);
      return pos;
    }
    const behind = this.skip(pos, end, depth);
    if (behind < 0) return -1;
    if (byte >= 91 && mayBeUnchanged && this.#placeholder.isToken(this.src.bytes, pos, behind)) {
      this.#setUnchanged(at);
      return behind;
    }
    this.#copy(pos, behind, at + 5);
    this.#writeHeader(at, Kind.json);
    return behind;
  }

  /** Reads a whole number below 2^53 into `number`. Returns the position behind it, or -1. */
  integer(pos: number, end: number): number {
    const { bytes, words } = this.src;
    const start = pos;
    let number = 0;
    while (pos <= end - 4) {
      const word = words.getInt32(pos, true);
      if (!isDigits(word)) break;
      const pairs = (Math.imul(word & 0x0f0f0f0f, 10) + ((word >>> 8) & 0x0f0f0f)) & 0x00ff00ff;
      number = number * 10000 + (pairs & 0xff) * 100 + (pairs >>> 16);
      pos += 4;
    }
    for (; pos < end; pos++) {
      if (!isDigit(bytes[pos]!)) break;
      number = number * 10 + bytes[pos]! - 48;
    }
    this.number = number;
    const digits = pos - start;
    if (digits === 0 || (digits > 1 && bytes[start] === 48)) return -1;
    return number <= Number.MAX_SAFE_INTEGER ? pos : -1;
  }

  /**
   * Reads the text of `source.sequence`, as in `"[null,\"24\"]"`, and its first number into `number`: 0 for null. Returns the
   * position behind it, or -1 when it is written otherwise.
   */
  sequence(pos: number, end: number): number {
    const { bytes } = this.src;
    let lastCommit = 0;
    if (pos + 8 > end || bytes[pos] !== 34 || bytes[pos + 1] !== 91) return -1;
    pos += 2;
    if (bytes[pos] === 110) pos = skipWord(bytes, pos, end);
    else {
      pos = this.#quotedInteger(pos, end);
      lastCommit = this.number;
    }
    if (pos < 0 || pos >= end || bytes[pos] !== 44) return -1;
    pos = this.#quotedInteger(pos + 1, end);
    this.number = lastCommit;
    return pos >= 0 && pos + 2 <= end && bytes[pos] === 93 && bytes[pos + 1] === 34 ? pos + 2 : -1;
  }

  /** A whole number between escaped quotes. */
  #quotedInteger(pos: number, end: number): number {
    const { bytes } = this.src;
    if (pos + 2 > end || bytes[pos] !== 92 || bytes[pos + 1] !== 34) return -1;
    pos = this.integer(pos + 2, end);
    return pos >= 0 && pos + 2 <= end && bytes[pos] === 92 && bytes[pos + 1] === 34 ? pos + 2 : -1;
  }

  /** Checks the value at `pos`, in `depth` containers. Returns the position behind it, or -1 when it is not valid. */
  skip(pos: number, end: number, depth: number): number {
    const byte = pos < end ? this.src.bytes[pos]! : 0;
    if (byte >= 49 && byte <= 57) return skipNumberByWords(this.src, pos, end);
    if (byte === 34 || byte === 91 || byte === 123) this.mayHaveUnicode = true;
    return skipValue(this.src.bytes, pos, end, depth);
  }

  /** A number that starts with one of 1 to 9, copied to `at`. */
  #copyNumber(start: number, end: number, at: number): number {
    const behind = skipNumberByWords(this.src, start, end);
    if (behind < 0) return -1;
    this.at = at + behind - start;
    const { bytes, words } = this.src;
    const { bytes: toBytes, words: toWords } = this.dst;
    let pos = start;
    for (; pos < behind && pos <= end - 4; pos += 4, at += 4) toWords.setInt32(at, words.getInt32(pos));
    for (; pos < behind; pos++, at++) toBytes[at] = bytes[pos]!;
    return behind;
  }

  #copy(start: number, end: number, at: number): void {
    const from = this.src.bytes;
    const to = this.dst.bytes;
    this.at = at + end - start;
    // A call into native code costs more than a short loop.
    if (end - start > 64) from.copy(to, at, start, end);
    else for (let i = start; i < end; i++) to[at++] = from[i]!;
  }

  #setUnchanged(at: number): void {
    this.dst.bytes[at] = Kind.unchanged;
    this.at = at + 1;
    this.unchanged = true;
  }

  /** Kind and length of the value that ends at `this.at`. */
  #writeHeader(at: number, kind: number): void {
    this.dst.bytes[at] = kind;
    this.dst.words.setInt32(at + 1, this.at - at - 5);
  }

  /**
   * `pos`: behind the opening quote. Sets `this.at` to the end of the copy. Returns the position behind the closing quote; -1
   * when it is not valid or has an escape within the last four bytes.
   */
  #copyString(pos: number, end: number, at: number): number {
    const { bytes, words } = this.src;
    const { bytes: toBytes, words: toWords } = this.dst;
    const last = end - 4;
    let seen = 0;
    for (;;) {
      let special = 0;
      // No call in here, so that what lies under the views is looked up once.
      while (pos <= last) {
        const word = words.getInt32(pos, true);
        toWords.setInt32(at, word, true);
        seen |= word;
        special = specialBytes(word);
        if (special !== 0) break;
        pos += 4;
        at += 4;
      }
      if (special === 0) return this.#copyLast(pos, end, at);
      const first = (31 - Math.clz32(special & -special)) >> 3;
      pos += first;
      at += first;
      const byte = bytes[pos]!;
      if (byte === 34) {
        if ((seen & 0x80808080) !== 0) this.mayHaveUnicode = true;
        this.at = at;
        return pos + 1;
      }
      if (byte !== 92) return -1;
      const char = pos + 1 < end ? simpleEscapes[bytes[pos + 1]!]! : 0;
      if (char !== 0) {
        toBytes[at++] = char;
        pos += 2;
        continue;
      }
      const behind = skipEscape(bytes, pos, end);
      if (behind < 0) return -1;
      at = writeUnescaped(bytes, pos, behind, toBytes, at);
      pos = behind;
    }
  }

  /** The rest of a string that ends within the last four bytes of the message. */
  #copyLast(pos: number, end: number, at: number): number {
    const { bytes } = this.src;
    for (; pos < end; pos++, at++) {
      const byte = bytes[pos]!;
      if (byte === 34) {
        this.mayHaveUnicode = true;
        this.at = at;
        return pos + 1;
      }
      if (byte < 32 || byte === 92) return -1;
      this.dst.bytes[at] = byte;
    }
    return -1;
  }
}

/** The high bit of each byte that is a quote, a backslash or below a space, and then maybe of those above it; 0 for none. */
function specialBytes(word: number): number {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  return (
    (((quotes - 0x01010101) & ~quotes) |
      ((backslashes - 0x01010101) & ~backslashes) |
      ((word - 0x20202020) & ~word)) &
    0x80808080
  );
}
