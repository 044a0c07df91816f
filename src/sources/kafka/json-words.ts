import type { ByteView } from './byte-view.ts';
import { skipNumber } from './json-scan.ts';

/** A number that starts with one of 1 to 9: like `skipNumber`, four digits at a time. */
export function skipNumberByWords(src: ByteView, start: number, end: number): number {
  const { bytes, words } = src;
  let pos = start;
  while (pos <= end - 4) {
    if (!isDigits(words.getInt32(pos, true))) break;
    pos += 4;
  }
  while (pos < end && isDigit(bytes[pos]!)) pos++;
  const next = pos < end ? bytes[pos]! : 0;
  return next === 46 || (next | 32) === 101 ? skipNumber(bytes, start, end) : pos;
}

export function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

/** Whether four bytes are 0x30 to 0x39: the upper half of each is 3, also when 6 is added. */
export function isDigits(word: number): boolean {
  return (word & (word + 0x06060606) & 0xf0f0f0f0) === 0x30303030;
}
