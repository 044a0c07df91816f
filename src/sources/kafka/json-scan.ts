/**
 * Walks over JSON text (RFC 8259) in bytes without making anything of it. Each function takes the position where something
 * starts and returns the one behind it, or -1 for what is not valid JSON: `invalid` then says what and where. The text is UTF-8,
 * which is checked elsewhere; an escaped lone surrogate has no form in UTF-8 and is invalid here.
 */

/** Containers within containers that are followed; as deep as Jackson reads, which Kafka Connect writes and reads JSON with. */
export const maxDepth = 1000;

/** What the last -1 was about; reused. */
export const invalid = { reason: '', at: 0 };

export function fail(reason: string, at: number): -1 {
  invalid.reason = reason;
  invalid.at = at;
  return -1;
}

export function skipSpace(src: Buffer, pos: number, end: number): number {
  while (pos < end) {
    const byte = src[pos]!;
    if (byte > 32 || (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9)) break;
    pos++;
  }
  return pos;
}

/** `depth`: containers that the value lies in. */
export function skipValue(src: Buffer, pos: number, end: number, depth: number): number {
  if (pos >= end) return fail('ends in the middle', pos);
  const byte = src[pos]!;
  if (byte === 34) return skipString(src, pos + 1, end);
  if (byte === 45 || (byte >= 48 && byte <= 57)) return skipNumber(src, pos, end);
  if (byte === 123 || byte === 91) return skipNested(src, pos, end, depth);
  return skipWord(src, pos, end);
}

/** `null`, `true` or `false`. */
export function skipWord(src: Buffer, pos: number, end: number): number {
  const byte = src[pos];
  if (byte === 110 && pos + 4 <= end) {
    if (src[pos + 1] === 117 && src[pos + 2] === 108 && src[pos + 3] === 108) return pos + 4;
  } else if (byte === 116 && pos + 4 <= end) {
    if (src[pos + 1] === 114 && src[pos + 2] === 117 && src[pos + 3] === 101) return pos + 4;
  } else if (byte === 102 && pos + 5 <= end) {
    if (src[pos + 1] === 97 && src[pos + 2] === 108 && src[pos + 3] === 115 && src[pos + 4] === 101)
      return pos + 5;
  }
  return fail('no value', pos);
}

/** `pos`: behind the opening quote. */
export function skipString(src: Buffer, pos: number, end: number): number {
  for (let i = pos; i < end; i++) {
    const byte = src[i]!;
    if (byte === 34) return i + 1;
    if (byte < 32) return fail('a control character in a string', i);
    if (byte === 92) {
      i = skipEscape(src, i, end) - 1;
      if (i < 0) return -1;
    }
  }
  return fail('ends within a string', end);
}

/** `pos`: of the backslash. Both halves of a surrogate pair are taken at once. */
export function skipEscape(src: Buffer, pos: number, end: number): number {
  switch (pos + 1 < end ? src[pos + 1] : -1) {
    case 34: // "
    case 47: // /
    case 92: // \
    case 98: // b
    case 102: // f
    case 110: // n
    case 114: // r
    case 116: // t
      return pos + 2;
    case 117: {
      const unit = codeUnit(src, pos + 2, end);
      if (unit < 0) return fail('a wrong escape', pos);
      if (unit < 0xd800 || unit > 0xdfff) return pos + 6;
      const isPair = pos + 8 < end && src[pos + 6] === 92 && src[pos + 7] === 117 && unit < 0xdc00;
      const low = isPair ? codeUnit(src, pos + 8, end) : -1;
      return low >= 0xdc00 && low <= 0xdfff ? pos + 12 : fail('half a surrogate pair', pos);
    }
    default:
      return fail('a wrong escape', pos);
  }
}

/** The four hexadecimal digits at `pos`; -1 when they are not. */
function codeUnit(src: Buffer, pos: number, end: number): number {
  if (pos + 4 > end) return -1;
  let unit = 0;
  for (let i = pos; i < pos + 4; i++) {
    const byte = src[i]!;
    const lower = byte | 32;
    if (byte >= 48 && byte <= 57) unit = unit * 16 + byte - 48;
    else if (lower >= 97 && lower <= 102) unit = unit * 16 + lower - 87;
    else return -1;
  }
  return unit;
}

export function skipNumber(src: Buffer, start: number, end: number): number {
  let pos = start;
  if (src[pos] === 45) pos++;
  if (pos < end && src[pos] === 48) pos++;
  else {
    const digits = skipDigits(src, pos, end);
    if (digits === pos) return fail('a wrong number', start);
    pos = digits;
  }
  if (pos < end && src[pos] === 46) {
    const digits = skipDigits(src, pos + 1, end);
    if (digits === pos + 1) return fail('a wrong number', start);
    pos = digits;
  }
  if (pos < end && (src[pos]! | 32) === 101) {
    pos++;
    if (pos < end && (src[pos] === 43 || src[pos] === 45)) pos++;
    const digits = skipDigits(src, pos, end);
    if (digits === pos) return fail('a wrong number', start);
    pos = digits;
  }
  return pos;
}

function skipDigits(src: Buffer, pos: number, end: number): number {
  while (pos < end && src[pos]! >= 48 && src[pos]! <= 57) pos++;
  return pos;
}

/** The opening bytes of the containers around the value that is walked over. */
const open = new Uint8Array(maxDepth);

/** An object or array, without recursion. */
export function skipNested(src: Buffer, pos: number, end: number, depth: number): number {
  let inside = 0;
  while (pos < end) {
    const byte = src[pos]!;
    if (byte === 123 || byte === 91) {
      if (depth + inside >= maxDepth) return fail(`nested deeper than ${maxDepth}`, pos);
      open[inside++] = byte;
      pos = skipSpace(src, pos + 1, end);
      if (pos >= end) break;
      if (src[pos] !== byte + 2) {
        if (byte === 123) pos = skipName(src, pos, end);
        if (pos < 0) return -1;
        continue;
      }
      inside--;
      pos++;
    } else {
      // Not a container: the depth does not matter.
      pos = skipValue(src, pos, end, 0);
      if (pos < 0) return -1;
    }
    for (;;) {
      if (inside === 0) return pos;
      pos = skipSpace(src, pos, end);
      if (pos >= end) break;
      const opened = open[inside - 1]!;
      if (src[pos] === 44) {
        pos = skipSpace(src, pos + 1, end);
        if (opened === 123) pos = skipName(src, pos, end);
        if (pos < 0) return -1;
        break;
      }
      if (src[pos] !== opened + 2) return fail('neither a comma nor an end', pos);
      inside--;
      pos++;
    }
  }
  return fail('ends in the middle', end);
}

/** A member's name, the colon and the space around it. */
function skipName(src: Buffer, pos: number, end: number): number {
  if (pos >= end) return fail('ends in the middle', pos);
  if (src[pos] !== 34) return fail('no name', pos);
  pos = skipString(src, pos + 1, end);
  return pos < 0 ? -1 : skipColon(src, pos, end);
}

export function skipColon(src: Buffer, pos: number, end: number): number {
  pos = skipSpace(src, pos, end);
  if (pos >= end || src[pos] !== 58) return fail('no colon', pos);
  return skipSpace(src, pos + 1, end);
}
