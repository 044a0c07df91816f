import { ByteWriter } from '../../../core/byte-writer.ts';
import { isAscii, writeAscii } from './ascii.ts';
import { fullType, isNullableType } from './clickhouse-type.ts';
import { type Encode, InvalidValue } from './codec.ts';
import { readInt32, writeIntegerText } from './int64.ts';
import { closingQuote, Quoting, writeUnescaped } from './quoting.ts';
import {
  chooseElementEncoders,
  closeLength,
  type ElementEncoders,
  notA,
  openLength,
  shown,
  type ValueType,
  type WriteText,
} from './value-type.ts';

/**
 * Arrays. ClickHouse's have one dimension and count from 1: others are refused, except as String.
 *
 * array_send: Int32 dimensions, flags, element OID; per dimension Int32 length, lower bound; per element Int32 length
 * (-1: NULL), bytes.
 */
export function arrayType(element: ValueType, delimiter: ',' | ';'): ValueType {
  const writeText = element.writeText && arrayText(element.writeText, delimiter);
  return {
    defaultType(capabilities) {
      const type = element.defaultType(capabilities);
      return `Array(${fullType(type, isNullableType(type), true)})`;
    },
    writeText,
    element,
    encoders(target, onInvalid) {
      if (target.name !== 'Array') return undefined;
      const chosen = chooseElementEncoders(element, target.args[0]!, onInvalid);
      if (!chosen) return undefined;
      return {
        text: fromText(chosen, delimiter.charCodeAt(0)),
        binary: chosen.binary && writeText && fromBinary(chosen, chosen.binary, writeText),
      };
    },
  };
}

const headerBytes = 12;
const dimensionBytes = 8;

function fromBinary(element: ElementEncoders, encode: Encode, writeText: WriteText): Encode {
  return (src, start, end, out) => {
    const dimensions = readInt32(src, start);
    if (dimensions === 0) {
      out.writeByte(0);
      return;
    }
    if (dimensions > 1 || readInt32(src, start + headerBytes + 4) !== 1) {
      const text = new ByteWriter();
      writeText(src, start, end, text);
      throw notOneDimension(text.buf, 0, text.pos);
    }
    const count = readInt32(src, start + headerBytes);
    out.writeVarUInt(count);
    let pos = start + headerBytes + dimensionBytes;
    for (let i = 0; i < count; i++) {
      const length = readInt32(src, pos);
      pos += 4;
      if (length < 0) writeNull(element, out);
      else {
        if (element.nullable) out.writeByte(0);
        encode(src, pos, pos + length, out);
        pos += length;
      }
    }
  };
}

export function notOneDimension(src: Buffer, start: number, end: number): InvalidValue {
  return new InvalidValue(
    `array ${shown(src, start, end)} has more than one dimension or does not start at 1, which only String holds`,
  );
}

export function writeNull(element: { nullable: boolean }, out: ByteWriter): void {
  if (!element.nullable)
    throw new InvalidValue('the array has a NULL, which the ClickHouse type does not hold');
  out.writeByte(1);
}

/** array_in's form: `{1,NULL,"a \"b\""}`, with `[0:2]=` in front when it does not start at 1. */
function fromText(element: ElementEncoders, delimiter: number): Encode {
  const unescaped = new ByteWriter(64);
  return (src, start, end, out) => {
    if (src[start] === 91) throw notOneDimension(src, start, end);
    if (src[start] !== 123 || src[end - 1] !== 125) throw notA('array', src, start, end);
    const at = openLength(out);
    let count = 0;
    let pos = start + 1;
    while (pos < end - 1) {
      if (count > 0) {
        if (src[pos] !== delimiter) throw notA('array', src, start, end);
        pos++;
      }
      count++;
      if (src[pos] === 123) throw notOneDimension(src, start, end);
      if (src[pos] === 34) {
        const from = pos + 1;
        pos = closingQuote(src, from, end);
        if (pos >= end) throw notA('array', src, start, end);
        if (element.nullable) out.writeByte(0);
        unescaped.pos = 0;
        writeUnescaped(src, from, pos, unescaped);
        element.text(unescaped.buf, 0, unescaped.pos, out);
        pos++;
      } else {
        const from = pos;
        while (pos < end - 1 && src[pos] !== delimiter) pos++;
        if (isAscii(src, from, pos, 'NULL')) writeNull(element, out);
        else {
          if (element.nullable) out.writeByte(0);
          element.text(src, from, pos, out);
        }
      }
    }
    closeLength(out, at, count);
  };
}

/** array_out: elements are quoted when they are empty, `NULL`, or have spaces, quotes, braces or delimiters. */
function arrayText(writeElement: WriteText, delimiter: ',' | ';'): WriteText {
  const quoting = new Quoting(`{}${delimiter}`, false);
  const delimiterByte = delimiter.charCodeAt(0);
  return (src, start, _end, out) => {
    const dimensions = readInt32(src, start);
    if (dimensions === 0) {
      writeAscii(out, '{}');
      return;
    }
    const lengths: number[] = [];
    const bounds: number[] = [];
    let pos = start + headerBytes;
    for (let i = 0; i < dimensions; i++, pos += dimensionBytes) {
      lengths.push(readInt32(src, pos));
      bounds.push(readInt32(src, pos + 4));
    }
    if (bounds.some(bound => bound !== 1)) writeBounds(out, lengths, bounds);
    const writeDimension = (depth: number): void => {
      out.writeByte(123);
      for (let i = 0; i < lengths[depth]!; i++) {
        if (i > 0) out.writeByte(delimiterByte);
        if (depth + 1 < dimensions) writeDimension(depth + 1);
        else {
          const length = readInt32(src, pos);
          pos += 4;
          if (length < 0) writeAscii(out, 'NULL');
          else {
            const at = out.pos;
            writeElement(src, pos, pos + length, out);
            if (isNullWord(out.buf, at, out.pos)) quoting.quote(out, at);
            else quoting.quoteWhereNeeded(out, at);
            pos += length;
          }
        }
      }
      out.writeByte(125);
    };
    writeDimension(0);
  };
}

function writeBounds(out: ByteWriter, lengths: readonly number[], bounds: readonly number[]): void {
  lengths.forEach((length, i) => {
    const lower = bounds[i]!;
    const upper = lower + length - 1;
    out.writeByte(91);
    writeIntegerText(out, lower);
    out.writeByte(58);
    writeIntegerText(out, upper);
    out.writeByte(93);
  });
  out.writeByte(61);
}

export function isNullWord(buf: Buffer, start: number, end: number): boolean {
  return end - start === 4 && buf.toString('latin1', start, end).toUpperCase() === 'NULL';
}
