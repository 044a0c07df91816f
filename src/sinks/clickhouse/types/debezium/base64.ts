import type { ByteWriter } from '../../../../core/byte-writer.ts';

/** Values of the digits of both alphabets (RFC 4648 §4 and §5); 255 for any other byte. */
const values = new Uint8Array(256).fill(255);
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
for (let value = 0; value < letters.length; value++) values[letters.charCodeAt(value)] = value;
for (const [char, value] of [
  ['+', 62],
  ['-', 62],
  ['/', 63],
  ['_', 63],
] as const)
  values[char.charCodeAt(0)] = value;

/** Bytes that the Base64 text `src[start..end)` stands for; padded or not. */
export function base64Length(src: Buffer, start: number, end: number): number {
  return Math.floor(((unpaddedEnd(src, start, end) - start) * 3) / 4);
}

/** Appends the bytes of Base64 text, of either alphabet. False when it is none; then `out` is as it was. */
export function decodeBase64(src: Buffer, start: number, end: number, out: ByteWriter): boolean {
  const to = unpaddedEnd(src, start, end);
  const rest = (to - start) % 4;
  if (rest === 1 || (to < end && (end - start) % 4 !== 0)) return false;
  out.reserve(Math.ceil(((to - start) * 3) / 4));
  const { buf } = out;
  let { pos } = out;
  let seen = 0;
  let i = start;
  for (; i + 4 <= to; i += 4) {
    const a = values[src[i]!]!;
    const b = values[src[i + 1]!]!;
    const c = values[src[i + 2]!]!;
    const d = values[src[i + 3]!]!;
    seen |= a | b | c | d;
    buf[pos++] = (a << 2) | (b >> 4);
    buf[pos++] = (b << 4) | (c >> 2);
    buf[pos++] = (c << 6) | d;
  }
  if (rest > 0) {
    const a = values[src[i]!]!;
    const b = values[src[i + 1]!]!;
    const c = rest === 3 ? values[src[i + 2]!]! : 0;
    seen |= a | b | c;
    buf[pos++] = (a << 2) | (b >> 4);
    if (rest === 3) buf[pos++] = (b << 4) | (c >> 2);
  }
  if (seen > 63) return false;
  out.pos = pos;
  return true;
}

function unpaddedEnd(src: Buffer, start: number, end: number): number {
  let to = end;
  while (to > start && to > end - 2 && src[to - 1] === 61) to--;
  return to;
}
