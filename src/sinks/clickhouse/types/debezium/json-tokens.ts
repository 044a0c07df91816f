import type { ByteWriter } from '../../../../core/byte-writer.ts';
import { hexValues, isAscii } from '../ascii.ts';
import { InvalidValue } from '../codec.ts';
import { closingQuote } from '../quoting.ts';

/** What `readToken` read: a string without its quotes, still escaped, or anything else as it stands. Reused. */
export const token = { start: 0, end: 0, isString: false };

const space = new Uint8Array(256);
const endsScalar = new Uint8Array(256);
for (const char of ' \t\r\n') space[char.charCodeAt(0)] = endsScalar[char.charCodeAt(0)] = 1;
for (const char of ',:]}') endsScalar[char.charCodeAt(0)] = 1;

function skipSpace(src: Buffer, pos: number, end: number): number {
  while (pos < end && space[src[pos]!] === 1) pos++;
  return pos;
}

/** Reads the JSON value at `pos` into `token`. Returns the position behind it; -1 when there is none. */
export function readToken(src: Buffer, pos: number, end: number): number {
  const byte = pos < end ? src[pos]! : 0;
  token.isString = byte === 34;
  if (token.isString) {
    token.start = pos + 1;
    token.end = closingQuote(src, pos + 1, end);
    return token.end < end ? token.end + 1 : -1;
  }
  token.start = pos;
  let at = pos;
  if (byte === 123 || byte === 91) at = behindNested(src, pos, end);
  else while (at < end && endsScalar[src[at]!] === 0) at++;
  token.end = at;
  return at > pos ? at : -1;
}

/** Position behind the array or object at `pos`; -1 when it does not end. */
function behindNested(src: Buffer, pos: number, end: number): number {
  let depth = 0;
  for (let at = pos; at < end; at++) {
    const byte = src[at]!;
    if (byte === 34) at = closingQuote(src, at + 1, end);
    else if (byte === 123 || byte === 91) depth++;
    else if ((byte === 125 || byte === 93) && --depth === 0) return at + 1;
  }
  return -1;
}

/** Reads the member `name` of the object `src[start..end)` into `token`. False when it has none. */
export function findMember(src: Buffer, start: number, end: number, name: string): boolean {
  for (let pos = firstItem(src, start, end, 123); pos > 0; pos = nextItem(src, pos, end)) {
    pos = readToken(src, pos, end);
    if (pos < 0 || !token.isString) return false;
    const isNamed = isAscii(src, token.start, token.end, name);
    pos = memberValue(src, pos, end);
    pos = pos < 0 ? pos : readToken(src, pos, end);
    if (pos < 0) return false;
    if (isNamed) return true;
  }
  return false;
}

/** Position of a member's value, where `pos` is behind its name; -1 when there is none. */
export function memberValue(src: Buffer, pos: number, end: number): number {
  const colon = skipSpace(src, pos, end);
  return src[colon] === 58 ? skipSpace(src, colon + 1, end) : -1;
}

/** Position of the first item of the array or object at `start` that opens with `bracket`; 0 when it has none; -1 when it is none. */
export function firstItem(src: Buffer, start: number, end: number, bracket: 91 | 123): number {
  if (src[start] !== bracket || start >= end) return -1;
  const pos = skipSpace(src, start + 1, end);
  return src[pos] === bracket + 2 && pos < end ? 0 : pos;
}

/** Position of the item behind the one that ends at `pos`; 0 behind the last; -1 when the text breaks off. */
export function nextItem(src: Buffer, pos: number, end: number): number {
  const at = skipSpace(src, pos, end);
  if (at >= end) return -1;
  if (src[at] === 44) return skipSpace(src, at + 1, end);
  return src[at] === 93 || src[at] === 125 ? 0 : -1;
}

export function isNull(src: Buffer, { start, end, isString }: typeof token): boolean {
  return !isString && isAscii(src, start, end, 'null');
}

const escapes = new Uint8Array(256);
for (const [letter, char] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'])
  escapes[letter!.charCodeAt(0)] = char!.charCodeAt(0);

/** Appends the UTF-8 of `src[start..end)`, the inside of a JSON string. */
export function writeUnescapedJson(src: Buffer, start: number, end: number, out: ByteWriter): void {
  let from = start;
  for (let pos = start; pos < end; pos++) {
    if (src[pos] !== 92) continue;
    out.writeBytes(src, from, pos);
    const letter = src[++pos]!;
    if (letter === 117) pos = writeUnicode(src, pos + 1, end, out) - 1;
    else if (escapes[letter] === 0) throw new InvalidValue('the JSON has an escape that is none');
    else out.writeByte(escapes[letter]!);
    from = pos + 1;
  }
  out.writeBytes(src, from, end);
}

/** Appends what the hexadecimal digits at `pos`, and of a pair the next escape, stand for; position behind them. */
function writeUnicode(src: Buffer, pos: number, end: number, out: ByteWriter): number {
  let code = readHex4(src, pos, end);
  let behind = pos + 4;
  if (code >= 0xd800 && code < 0xdc00 && src[behind] === 92 && src[behind + 1] === 117) {
    const low = readHex4(src, behind + 2, end);
    if (low >= 0xdc00 && low < 0xe000) {
      code = 0x10000 + (code - 0xd800) * 1024 + (low - 0xdc00);
      behind += 6;
    }
  }
  if (Number.isNaN(code) || (code >= 0xd800 && code < 0xe000))
    throw new InvalidValue('the JSON has half a surrogate pair, which no text holds');
  if (code < 0x80) out.writeByte(code);
  else {
    if (code < 0x800) out.writeByte(0xc0 | (code >> 6));
    else {
      if (code < 0x10000) out.writeByte(0xe0 | (code >> 12));
      else {
        out.writeByte(0xf0 | (code >> 18));
        out.writeByte(0x80 | ((code >> 12) & 63));
      }
      out.writeByte(0x80 | ((code >> 6) & 63));
    }
    out.writeByte(0x80 | (code & 63));
  }
  return behind;
}

function readHex4(src: Buffer, pos: number, end: number): number {
  if (pos + 4 > end) return Number.NaN;
  let value = 0;
  for (let i = pos; i < pos + 4; i++) {
    const digit = hexValues[src[i]!]!;
    if (digit > 15) return Number.NaN;
    value = value * 16 + digit;
  }
  return value;
}
