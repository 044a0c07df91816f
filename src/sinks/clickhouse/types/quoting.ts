import type { ByteWriter } from '../../../core/byte-writer.ts';

const quoteByte = 34;
const backslash = 92;

/** The double quotes that array_out, range_out and hstore_out put around what they contain. */
export class Quoting {
  /** 1 for bytes that make quotes necessary. */
  readonly #special = new Uint8Array(256);
  /** Whether quotes and backslashes are doubled (ranges) or get a backslash in front (arrays, hstore). */
  readonly #doubled: boolean;

  constructor(specialCharacters: string, doubled: boolean) {
    for (const char of `${specialCharacters}"\\ \t\n\v\f\r`) this.#special[char.charCodeAt(0)] = 1;
    this.#doubled = doubled;
  }

  /** Quotes what was written from `at` on, when it is empty or has special characters. */
  quoteWhereNeeded(out: ByteWriter, at: number): void {
    const { buf, pos } = out;
    for (let i = at; i < pos; i++)
      if (this.#special[buf[i]!] === 1) {
        this.quote(out, at);
        return;
      }
    if (pos === at) this.quote(out, at);
  }

  quote(out: ByteWriter, at: number): void {
    const { pos } = out;
    let grown = 2;
    for (let i = at; i < pos; i++) if (isEscaped(out.buf[i]!)) grown++;
    out.reserve(grown);
    const { buf } = out;
    let to = pos + grown;
    out.pos = to;
    buf[--to] = quoteByte;
    for (let i = pos - 1; i >= at; i--) {
      const byte = buf[i]!;
      buf[--to] = byte;
      if (isEscaped(byte)) buf[--to] = this.#doubled ? byte : backslash;
    }
    buf[--to] = quoteByte;
  }
}

function isEscaped(byte: number): boolean {
  return byte === quoteByte || byte === backslash;
}

/** Appends `src[start..end)`, the inside of quotes, without the backslashes that escape. */
export function writeUnescaped(src: Buffer, start: number, end: number, out: ByteWriter): void {
  for (let i = start; i < end; i++) {
    if (src[i] === backslash) i++;
    out.writeByte(src[i]!);
  }
}

/** Position of the quote that ends the quoted text whose inside starts at `start`; `end` when there is none. */
export function closingQuote(src: Buffer, start: number, end: number): number {
  let pos = start;
  for (; pos < end && src[pos] !== quoteByte; pos++) if (src[pos] === backslash) pos++;
  return Math.min(pos, end);
}
