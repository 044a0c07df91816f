import type { ByteWriter } from '../../../core/byte-writer.ts';
import type { Encode } from './codec.ts';
import { floats, writeFloat4Text } from './floats.ts';
import { readInt16 } from './int64.ts';
import {
  chooseElementEncoders,
  closeLength,
  type ElementEncoders,
  notA,
  openLength,
  type ValueTypes,
} from './value-type.ts';

/** pgvector's vector_send: Int16 dimensions, Int16 0, then the float4s. */
export const vectors: ValueTypes = {
  vector: () => ({
    defaultType: () => 'Array(Float32)',
    writeText,
    encoders(target, onInvalid) {
      if (target.name !== 'Array') return undefined;
      const chosen = chooseElementEncoders(floats.float4!(-1), target.args[0]!, onInvalid);
      return chosen?.binary && { text: fromText(chosen), binary: fromBinary(chosen, chosen.binary) };
    },
  }),
};

const headerBytes = 4;

function fromBinary(element: ElementEncoders, encode: Encode): Encode {
  return (src, start, end, out) => {
    out.writeVarUInt(readInt16(src, start));
    for (let pos = start + headerBytes; pos < end; pos += 4) {
      if (element.nullable) out.writeByte(0);
      encode(src, pos, pos + 4, out);
    }
  };
}

/** `[1,2.5,3]` */
function fromText(element: ElementEncoders): Encode {
  return (src, start, end, out) => {
    if (src[start] !== 91 || src[end - 1] !== 93) throw notA('vector', src, start, end);
    const at = openLength(out);
    let count = 0;
    for (let pos = start + 1; pos < end; pos++, count++) {
      const from = pos;
      while (src[pos] !== 44 && pos < end - 1) pos++;
      if (element.nullable) out.writeByte(0);
      element.text(src, from, pos, out);
    }
    closeLength(out, at, count);
  };
}

function writeText(src: Buffer, start: number, end: number, out: ByteWriter): void {
  out.writeByte(91);
  for (let pos = start + headerBytes; pos < end; pos += 4) {
    if (pos > start + headerBytes) out.writeByte(44);
    writeFloat4Text(src, pos, pos + 4, out);
  }
  out.writeByte(93);
}
