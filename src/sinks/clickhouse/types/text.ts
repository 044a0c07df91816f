import type { ByteWriter } from '../../../core/byte-writer.ts';
import { copyString, type ValueType, type ValueTypes, type WriteText } from './value-type.ts';

const copyBytes: WriteText = (src, start, end, out) => out.writeBytes(src, start, end);

/** Types whose binary form is their text. */
export const plainText: ValueType = {
  defaultType: () => 'String',
  writeText: copyBytes,
  encoders: target => (target.name === 'String' ? { text: copyString, binary: copyString } : undefined),
};

/** Types whose binary form is a version byte, always 1, and their text. */
const versionedText: ValueType = {
  defaultType: () => 'String',
  writeText: (src, start, end, out) => out.writeBytes(src, start + 1, end),
};

/** Types that are carried as text only; their columns make the source send text. */
export const textOnly: ValueType = { defaultType: () => 'String', writeText: undefined };

/** enum_send: the label. Labels come and go, hence no Enum8. */
export const enumText: ValueType = { ...plainText, defaultType: () => 'LowCardinality(String)' };

export const texts: ValueTypes = {
  text: () => plainText,
  varchar: () => plainText,
  bpchar: () => plainText,
  name: () => plainText,
  xml: () => plainText,
  unknown: () => plainText,
  cstring: () => plainText,
  char: () => ({ defaultType: () => 'String', writeText: writeChar }),
  jsonpath: () => versionedText,
};

/** Types of extensions; their schema is whatever the user chose. */
export const extensionTexts: ValueTypes = {
  citext: () => plainText,
  ltree: () => versionedText,
  lquery: () => versionedText,
  ltxtquery: () => versionedText,
};

/** `"char"`: one byte; charout prints 0 as nothing and bytes from 128 up as `\ooo`. */
function writeChar(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const byte = src[start]!;
  if (byte >= 0x80) {
    out.writeByte(92);
    out.writeByte(48 + (byte >> 6));
    out.writeByte(48 + ((byte >> 3) & 7));
    out.writeByte(48 + (byte & 7));
  } else if (byte !== 0) out.writeByte(byte);
}
