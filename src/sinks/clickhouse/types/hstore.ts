import { ByteWriter } from '../../../core/byte-writer.ts';
import { isAscii, writeAscii } from './ascii.ts';
import { type Encode, InvalidValue } from './codec.ts';
import { readInt32 } from './int64.ts';
import { closingQuote, Quoting, writeUnescaped } from './quoting.ts';
import { plainText } from './text.ts';
import {
  chooseElementEncoders,
  closeLength,
  copyString,
  type ElementEncoders,
  notA,
  openLength,
  type ValueTypes,
} from './value-type.ts';

/** hstore_send: Int32 pairs; per pair Int32 length, key, Int32 length (-1: NULL), value. */
export const hstores: ValueTypes = {
  hstore: () => ({
    defaultType: () => 'Map(String, Nullable(String))',
    writeText,
    encoders(target, onInvalid) {
      const [key, value] = target.args;
      if (target.name !== 'Map') return undefined;
      const keys = chooseElementEncoders(plainText, key!, onInvalid);
      const values = chooseElementEncoders(plainText, value!, onInvalid);
      if (!keys || keys.nullable || !values) return undefined;
      return { text: fromText(values), binary: fromBinary(values) };
    },
  }),
};

function fromBinary(values: ElementEncoders): Encode {
  return (src, start, _end, out) => {
    const count = readInt32(src, start);
    out.writeVarUInt(count);
    let pos = start + 4;
    for (let i = 0; i < count; i++) {
      const keyEnd = pos + 4 + readInt32(src, pos);
      out.writeString(src, pos + 4, keyEnd);
      const length = readInt32(src, keyEnd);
      pos = keyEnd + 4;
      writeValue(values, length < 0, src, pos, pos + length, out);
      pos += Math.max(length, 0);
    }
  };
}

function writeValue(
  values: ElementEncoders,
  isNull: boolean,
  src: Buffer,
  start: number,
  end: number,
  out: ByteWriter,
): void {
  if (isNull && !values.nullable)
    throw new InvalidValue('the hstore has a NULL, which the ClickHouse type does not hold');
  if (values.nullable) out.writeByte(isNull ? 1 : 0);
  if (!isNull) out.writeString(src, start, end);
}

/** hstore_out: `"key"=>"value", "key"=>NULL`. */
function fromText(values: ElementEncoders): Encode {
  const unescaped = new ByteWriter(64);
  return (src, start, end, out) => {
    const at = openLength(out);
    let count = 0;
    for (let pos = start; pos < end; count++) {
      if (count > 0) pos += 2;
      const keyEnd = closingQuote(src, pos + 1, end);
      if (src[pos] !== 34 || src[keyEnd + 1] !== 61 || keyEnd + 3 >= end)
        throw notA('hstore', src, start, end);
      unescaped.pos = 0;
      writeUnescaped(src, pos + 1, keyEnd, unescaped);
      copyString(unescaped.buf, 0, unescaped.pos, out);
      pos = keyEnd + 3;
      if (src[pos] === 34) {
        const valueEnd = closingQuote(src, pos + 1, end);
        unescaped.pos = 0;
        writeUnescaped(src, pos + 1, valueEnd, unescaped);
        writeValue(values, false, unescaped.buf, 0, unescaped.pos, out);
        pos = valueEnd + 1;
      } else {
        if (!isAscii(src, pos, pos + 4, 'NULL')) throw notA('hstore', src, start, end);
        writeValue(values, true, src, pos, pos, out);
        pos += 4;
      }
    }
    closeLength(out, at, count);
  };
}

const quoting = new Quoting('', false);

function writeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const writeQuoted = (from: number, to: number): void => {
    const at = out.pos;
    out.writeBytes(src, from, to);
    quoting.quote(out, at);
  };
  let pos = start + 4;
  for (let count = readInt32(src, start); count > 0; count--) {
    const keyEnd = pos + 4 + readInt32(src, pos);
    writeQuoted(pos + 4, keyEnd);
    writeAscii(out, '=>');
    const length = readInt32(src, keyEnd);
    pos = keyEnd + 4;
    if (length < 0) writeAscii(out, 'NULL');
    else writeQuoted(pos, (pos += length));
    if (count > 1) writeAscii(out, ', ');
  }
}
