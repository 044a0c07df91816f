import type { ByteWriter } from '../../../core/byte-writer.ts';
import { readInt32 } from './int64.ts';
import type { ValueType, ValueTypes } from './value-type.ts';

const bitString: ValueType = { defaultType: () => 'String', writeText };

export const bits: ValueTypes = { bit: () => bitString, varbit: () => bitString };

/** bit_send: Int32 number of bits, then the bits, the first one highest. */
function writeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const count = readInt32(src, start);
  out.reserve(count);
  for (let i = 0; i < count; i++)
    out.buf[out.pos + i] = 48 + ((src[start + 4 + (i >> 3)]! >> (7 - (i & 7))) & 1);
  out.pos += count;
}
