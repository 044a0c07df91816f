import { isAscii } from '../ascii.ts';
import type { WriteText } from '../value-type.ts';
import { decodeBase64 } from './base64.ts';
import { notWire, scratch, type WireForm } from './wire-form.ts';

/** `bool`: true and false. */
export const boolForm: WireForm = {
  text(src, start, end, out) {
    out.writeByte(readBool(src, start, end) ? 116 : 102);
  },
  json(src, start, end, out) {
    out.writeByte(readBool(src, start, end) ? 116 : 102);
  },
  encoders({ name }) {
    if (name !== 'Bool' && name !== 'UInt8') return undefined;
    const encode: WriteText = (src, start, end, out) => out.writeByte(readBool(src, start, end) ? 1 : 0);
    return { text: encode, json: encode };
  },
};

function readBool(src: Buffer, start: number, end: number): boolean {
  if (isAscii(src, start, end, 'true') || isAscii(src, start, end, 't')) return true;
  if (isAscii(src, start, end, 'false') || isAscii(src, start, end, 'f')) return false;
  throw notWire('a bool', src, start, end, '');
}

/**
 * `bit(n)`, `varbit`: Base64 of the bits as a number, least significant byte first (`Bits`), and true or false for one bit.
 * Zeros in front are lost: a `bit(n)` gets them back by its `length`, a `varbit` (`undefined`) does not.
 */
export function bitsForm(length: number | undefined): WireForm {
  const bytes = scratch();
  return {
    text(src, start, end, out) {
      bytes.pos = 0;
      if (!decodeBase64(src, start, end, bytes)) throw notWire('bits in Base64', src, start, end, '');
      const { buf } = bytes;
      let count = bytes.pos * 8;
      while (count > 0 && bitAt(buf, count - 1) === 0) count--;
      if (length !== undefined && count > length) throw notWire(`a bit(${length})`, src, start, end, '');
      for (let i = (length ?? count) - 1; i >= 0; i--)
        out.writeByte(48 + (i < bytes.pos * 8 ? bitAt(buf, i) : 0));
    },
    json(src, start, end, out) {
      out.writeByte(readBool(src, start, end) ? 49 : 48);
    },
  };
}

function bitAt(bytes: Buffer, bit: number): number {
  return (bytes[bit >> 3]! >> (bit & 7)) & 1;
}
