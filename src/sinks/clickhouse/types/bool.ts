import type { Encode } from './codec.ts';
import { notA, type ValueTypes } from './value-type.ts';

/** boolsend: 0 or 1; boolout: `f` or `t`. */
export const bools: ValueTypes = {
  bool: () => ({
    defaultType: () => 'Bool',
    writeText: (src, start, _end, out) => out.writeByte(src[start] === 0 ? 102 : 116),
    encoders: ({ name }) =>
      name === 'Bool' || name === 'UInt8' ? { text: fromText, binary: fromBinary } : undefined,
  }),
};

const fromBinary: Encode = (src, start, _end, out) => out.writeByte(src[start]!);

const fromText: Encode = (src, start, end, out) => {
  const letter = src[start];
  if (letter !== 116 && letter !== 102) throw notA('bool', src, start, end);
  out.writeByte(letter === 116 ? 1 : 0);
};
