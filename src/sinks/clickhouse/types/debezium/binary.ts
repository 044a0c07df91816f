import { hexValues, writeAscii, writeHex } from '../ascii.ts';
import type { WriteText } from '../value-type.ts';
import { base64Length, decodeBase64 } from './base64.ts';
import { notWire, scratch, type WireForm } from './wire-form.ts';

export type BinaryEncoding = 'base64' | 'hex' | 'unknown';

/** `bytea`: Base64 of either alphabet, or hexadecimal digits. */
export function byteaForm(encoding: BinaryEncoding, hint: string): WireForm {
  const bytes = scratch();
  const decode = decoder(encoding, hint);
  return {
    text(src, start, end, out) {
      bytes.pos = 0;
      decode(src, start, end, bytes);
      writeAscii(out, '\\x');
      writeHex(out, bytes.buf, 0, bytes.pos);
    },
    json(src, start, end) {
      throw notWire('a bytea', src, start, end, hint);
    },
    encoders({ name }) {
      if (name !== 'String') return undefined;
      const length =
        encoding === 'hex' ? (_src: Buffer, start: number, end: number) => (end - start) / 2 : base64Length;
      return {
        text(src, start, end, out) {
          out.writeVarUInt(Math.floor(length(src, start, end)));
          decode(src, start, end, out);
        },
      };
    },
  };
}

/** A type that Debezium does not know (`include.unknown.datatypes`): PostgreSQL's text, written as binary values are. */
export function unknownTypeForm(encoding: BinaryEncoding, hint: string): WireForm {
  return { text: decoder(encoding, hint) };
}

/** Appends the bytes. */
function decoder(encoding: BinaryEncoding, hint: string): WriteText {
  if (encoding === 'base64')
    return (src, start, end, out) => {
      if (!decodeBase64(src, start, end, out)) throw notWire('binary data in Base64', src, start, end, hint);
    };
  if (encoding === 'hex')
    return (src, start, end, out) => {
      if ((end - start) % 2 !== 0) throw notWire('binary data in hexadecimal digits', src, start, end, hint);
      for (let i = start; i < end; i += 2) {
        const high = hexValues[src[i]!]!;
        const low = hexValues[src[i + 1]!]!;
        if ((high | low) > 15) throw notWire('binary data in hexadecimal digits', src, start, end, hint);
        out.writeByte((high << 4) | low);
      }
    };
  return (src, start, end) => {
    throw notWire('binary data: it is Base64 or hexadecimal', src, start, end, hint);
  };
}
