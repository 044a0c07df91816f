import type { ByteWriter } from '../../../core/byte-writer.ts';

export function writeAscii(out: ByteWriter, text: string): void {
  out.reserve(text.length);
  const { buf, pos } = out;
  for (let i = 0; i < text.length; i++) buf[pos + i] = text.charCodeAt(i);
  out.pos = pos + text.length;
}

/** Appends a whole number, 0 ≤ value < 2^53, in decimal, with zeros in front up to `width`. */
export function writeDecimal(out: ByteWriter, value: number, width = 1): void {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits++;
  if (digits < width) digits = width;
  out.reserve(digits);
  const { buf } = out;
  let at = (out.pos += digits);
  let rest = value;
  for (; digits > 0; digits--) {
    const shorter = Math.floor(rest / 10);
    buf[--at] = 48 + (rest - shorter * 10);
    rest = shorter;
  }
}

const hexDigits = Buffer.from('0123456789abcdef');

export function writeHex(out: ByteWriter, src: Buffer, start: number, end: number): void {
  out.reserve((end - start) * 2);
  const { buf } = out;
  let { pos } = out;
  for (let i = start; i < end; i++) {
    const byte = src[i]!;
    buf[pos++] = hexDigits[byte >> 4]!;
    buf[pos++] = hexDigits[byte & 15]!;
  }
  out.pos = pos;
}

/** Value of an ASCII hexadecimal digit; 255 for any other byte. */
export const hexValues = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value++) {
  hexValues[value.toString(16).charCodeAt(0)] = value;
  hexValues[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

/** Whether `src[start..end)` is exactly `text`. */
export function isAscii(src: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (src[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
