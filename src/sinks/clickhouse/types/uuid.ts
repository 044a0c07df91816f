import type { ByteWriter } from '../../../core/byte-writer.ts';
import { hexValues, writeHex } from './ascii.ts';
import type { Encode } from './codec.ts';
import { notA, type ValueTypes } from './value-type.ts';

/** uuid_send: 16 bytes. RowBinary has each half of them reversed (two UInt64, little-endian). */
export const uuids: ValueTypes = {
  uuid: () => ({
    defaultType: () => 'UUID',
    writeText,
    encoders: ({ name }) => (name === 'UUID' ? { text: fromText, binary: fromBinary } : undefined),
  }),
};

const fromBinary: Encode = (src, start, _end, out) => {
  out.reserve(16);
  const { buf, pos } = out;
  for (let i = 0; i < 8; i++) {
    buf[pos + i] = src[start + 7 - i]!;
    buf[pos + 8 + i] = src[start + 15 - i]!;
  }
  out.pos = pos + 16;
};

/** Where the first digit of each byte stands in `00112233-4455-6677-8899-aabbccddeeff`. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const rowBinaryPlaces = Uint8Array.of(...places.slice(0, 8).reverse(), ...places.slice(8).reverse());

const fromText: Encode = (src, start, end, out) => {
  if (end - start !== 36) throw notA('uuid', src, start, end);
  out.reserve(16);
  const { buf, pos } = out;
  let seen = 0;
  for (let i = 0; i < 16; i++) {
    const at = start + rowBinaryPlaces[i]!;
    const high = hexValues[src[at]!]!;
    const low = hexValues[src[at + 1]!]!;
    seen |= high | low;
    buf[pos + i] = (high << 4) | low;
  }
  if (seen > 15) throw notA('uuid', src, start, end);
  out.pos = pos + 16;
};

function writeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  let from = start;
  for (const length of [4, 2, 2, 2, 6]) {
    if (from > start) out.writeByte(45);
    writeHex(out, src, from, (from += length));
  }
}
