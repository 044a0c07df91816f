import type { ByteWriter } from '../../../core/byte-writer.ts';
import { hexValues, writeAscii, writeHex } from './ascii.ts';
import type { Encode } from './codec.ts';
import { copyString, notA, type ValueTypes } from './value-type.ts';

/** bytea becomes a String of the raw bytes; byteaout's text (`\x…`, pinned) stands only inside arrays and the like. */
export const byteas: ValueTypes = {
  bytea: () => ({
    defaultType: () => 'String',
    writeText,
    encoders: ({ name }) => (name === 'String' ? { text: fromHex, binary: copyString } : undefined),
  }),
};

function writeText(src: Buffer, start: number, end: number, out: ByteWriter): void {
  writeAscii(out, '\\x');
  writeHex(out, src, start, end);
}

const fromHex: Encode = (src, start, end, out) => {
  const length = (end - start - 2) / 2;
  if (src[start] !== 92 || src[start + 1] !== 120 || !Number.isInteger(length))
    throw notA('bytea', src, start, end);
  out.writeVarUInt(length);
  out.reserve(length);
  const { buf } = out;
  let { pos } = out;
  let seen = 0;
  for (let i = start + 2; i < end; i += 2) {
    const high = hexValues[src[i]!]!;
    const low = hexValues[src[i + 1]!]!;
    seen |= high | low;
    buf[pos++] = (high << 4) | low;
  }
  if (seen > 15) throw notA('bytea', src, start, end);
  out.pos = pos;
};
