/** What the byte behind a backslash stands for; 0 for `u` and what cannot stand there. */
export const simpleEscapes = new Uint8Array(256);
for (const [letter, char] of Object.entries({
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}))
  simpleEscapes[letter.charCodeAt(0)] = char.charCodeAt(0);

/**
 * Writes the content of the JSON string that lies in `src[start..end)` without its quotes to `dst` from `at` on, and returns where
 * that ends. The string must have been checked (`skipString`); the content is never longer than the JSON.
 */
export function writeUnescaped(src: Buffer, start: number, end: number, dst: Buffer, at: number): number {
  for (let i = start; i < end; i++) {
    const byte = src[i]!;
    if (byte !== 92) {
      dst[at++] = byte;
      continue;
    }
    const letter = src[++i]!;
    if (letter !== 117) {
      dst[at++] = simpleEscapes[letter]!;
      continue;
    }
    let point = hex4(src, i + 1);
    i += 4;
    if (point >= 0xd800 && point < 0xdc00) {
      point = 0x10000 + ((point - 0xd800) << 10) + hex4(src, i + 3) - 0xdc00;
      i += 6;
    }
    at = writeCodePoint(point, dst, at);
  }
  return at;
}

function hex4(src: Buffer, pos: number): number {
  return (
    (hexValue(src[pos]!) << 12) |
    (hexValue(src[pos + 1]!) << 8) |
    (hexValue(src[pos + 2]!) << 4) |
    hexValue(src[pos + 3]!)
  );
}

function hexValue(byte: number): number {
  return byte < 65 ? byte - 48 : (byte | 32) - 87;
}

function writeCodePoint(point: number, dst: Buffer, at: number): number {
  if (point < 0x80) dst[at++] = point;
  else if (point < 0x800) {
    dst[at++] = 0xc0 | (point >> 6);
    dst[at++] = 0x80 | (point & 63);
  } else {
    if (point < 0x10000) dst[at++] = 0xe0 | (point >> 12);
    else {
      dst[at++] = 0xf0 | (point >> 18);
      dst[at++] = 0x80 | ((point >> 12) & 63);
    }
    dst[at++] = 0x80 | ((point >> 6) & 63);
    dst[at++] = 0x80 | (point & 63);
  }
  return at;
}
