import type { ByteWriter } from '../../../core/byte-writer.ts';
import { type Encode, InvalidValue } from './codec.ts';
import { DecimalTarget, decimalFromText } from './decimal.ts';
import {
  readInt16,
  readInt32,
  readUint32,
  writeInt32,
  writeInt64,
  writeInt64Text,
  writeInteger,
  writeIntegerText,
  writeProduct,
  writeSign,
  writeUint64Text,
} from './int64.ts';
import { type Encoders, notA, shown, type ValueType, type ValueTypes, type WriteText } from './value-type.ts';

/** Bytes of the ClickHouse integer types. */
const signedSizes: Record<string, number> = { Int16: 2, Int32: 4, Int64: 8, Int128: 16, Int256: 32 };
const unsignedSizes: Record<string, number> = { UInt32: 4, UInt64: 8, UInt128: 16, UInt256: 32 };

/** int2send, int4send, int8send, oidsend …: the integer, big-endian. */
export const integers: ValueTypes = {
  int2: () => integer(2, true, 'Int16'),
  int4: () => integer(4, true, 'Int32'),
  int8: () => integer(8, true, 'Int64'),
  oid: () => integer(4, false, 'UInt32'),
  xid: () => integer(4, false, 'UInt32'),
  cid: () => integer(4, false, 'UInt32'),
  xid8: () => integer(8, false, 'UInt64'),
};

function integer(size: number, signed: boolean, defaultType: string): ValueType {
  return {
    defaultType: () => defaultType,
    writeText: integerText(size, signed),
    encoders(target, onInvalid): Encoders | undefined {
      if (target.name === 'Decimal') return { text: decimalFromText(new DecimalTarget(target), onInvalid) };
      const into = targetSize(target.name, size, signed);
      if (into === undefined) return undefined;
      return { text: integerFromText(size, signed, into), binary: integerFromBinary(size, signed, into) };
    },
  };
}

/** Signed types fit into signed ones as wide; unsigned ones into unsigned ones as wide and wider signed ones. */
function targetSize(name: string, size: number, signed: boolean): number | undefined {
  const into = signedSizes[name];
  if (into !== undefined) return into >= size + (signed ? 0 : 1) ? into : undefined;
  const unsigned = signed ? undefined : unsignedSizes[name];
  return unsigned !== undefined && unsigned >= size ? unsigned : undefined;
}

function integerText(size: number, signed: boolean): WriteText {
  if (size === 2) return (src, start, _end, out) => writeIntegerText(out, readInt16(src, start));
  if (size === 4)
    return signed
      ? (src, start, _end, out) => writeIntegerText(out, readInt32(src, start))
      : (src, start, _end, out) => writeIntegerText(out, readUint32(src, start));
  const write = signed ? writeInt64Text : writeUint64Text;
  return (src, start, _end, out) => write(out, readInt32(src, start), readInt32(src, start + 4));
}

function integerFromBinary(size: number, signed: boolean, into: number): Encode {
  if (size === 8)
    return (src, start, _end, out) => {
      const hi = readInt32(src, start);
      writeInt64(out, hi, readInt32(src, start + 4));
      if (into > 8) writeSign(out, signed && hi < 0, into - 8);
    };
  const read = size === 2 ? readInt16 : signed ? readInt32 : readUint32;
  if (into === 2) return (src, start, _end, out) => writeInt16(out, readInt16(src, start));
  if (into === 4) return (src, start, _end, out) => writeInt32(out, read(src, start));
  return (src, start, _end, out) => writeInteger(out, read(src, start), into);
}

function writeInt16(out: ByteWriter, value: number): void {
  out.reserve(2);
  const { buf, pos } = out;
  buf[pos] = value;
  buf[pos + 1] = value >>> 8;
  out.pos = pos + 2;
}

function integerFromText(size: number, signed: boolean, into: number): Encode {
  if (size === 8) return signed ? int8FromText(into) : xid8FromText(into);
  const name = size === 2 ? 'int2' : signed ? 'int4' : 'oid';
  const bits = size * 8;
  const min = signed ? -(2 ** (bits - 1)) : 0;
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return (src, start, end, out) => {
    const value = parseInteger(src, start, end);
    // Written so that NaN fails as well.
    if (!(value >= min && value <= max)) throw notA(name, src, start, end);
    if (into === 2) writeInt16(out, value);
    else writeInteger(out, value, into);
  };
}

/** At most 15 digits with an optional minus; NaN for anything else. */
export function parseInteger(src: Buffer, start: number, end: number): number {
  const negative = src[start] === 45;
  const from = negative ? start + 1 : start;
  if (end - from > 15 || end <= from) return Number.NaN;
  let value = 0;
  for (let i = from; i < end; i++) {
    const digit = src[i]! - 48;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return negative && value !== 0 ? -value : value;
}

function int8FromText(into: number): Encode {
  return (src, start, end, out) => {
    const negative = src[start] === 45;
    const value = parseInteger(src, start, end);
    if (!Number.isNaN(value)) writeInteger(out, value, into);
    else {
      writeLongInteger('int8', src, start, negative ? start + 1 : start, end, negative, out);
      if (into > 8) writeSign(out, negative, into - 8);
    }
  };
}

function xid8FromText(into: number): Encode {
  return (src, start, end, out) => {
    const value = parseInteger(src, start, end);
    if (value >= 0) writeInteger(out, value, into);
    else {
      writeLongInteger('xid8', src, start, start, end, false, out);
      if (into > 8) writeSign(out, false, into - 8);
    }
  };
}

/** 16 to 20 digits: the last nine and what stands before them. */
function writeLongInteger(
  name: string,
  src: Buffer,
  start: number,
  from: number,
  end: number,
  negative: boolean,
  out: ByteWriter,
): void {
  const cut = end - 9;
  const high = parseInteger(src, from, cut);
  const low = parseInteger(src, cut, end);
  if (!(high >= 0 && low >= 0)) throw notA(name, src, start, end);
  if (!isWithin(high, low, name === 'int8' ? (negative ? minInt8 : maxInt8) : maxUint8))
    throw new InvalidValue(`${shown(src, start, end)} does not fit into an ${name}`);
  writeProduct(out, negative ? -high : high, 1e9, negative ? -low : low);
}

/** Largest magnitudes as [all but the last nine digits, the last nine]. */
const maxInt8 = [9223372036, 854775807] as const;
const minInt8 = [9223372036, 854775808] as const;
const maxUint8 = [18446744073, 709551615] as const;

function isWithin(high: number, low: number, [maxHigh, maxLow]: readonly [number, number]): boolean {
  return high < maxHigh || (high === maxHigh && low <= maxLow);
}
