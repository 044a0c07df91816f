import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii, writeDecimal } from './ascii.ts';
import { type Encode, InvalidValue, type OnInvalid } from './codec.ts';
import {
  clearLimbs,
  type DecimalOutcome,
  DecimalTarget,
  decimalFromText,
  multiplyAdd,
  powersOfTen,
  scaleLimbs,
  settleMisfit,
} from './decimal.ts';
import { readInt16 } from './int64.ts';
import { shownBinary, type ValueType, type ValueTypes } from './value-type.ts';

export const numerics: ValueTypes = { numeric };

/** Header of numeric_send: number of base-10000 digits, weight of the first, sign, digits after the point. */
const headerBytes = 8;
const negativeSign = 0x4000;
const nanSign = 0xc000;
const infinitySign = 0xd000;
const negativeInfinitySign = 0xf000;

/** Precision and scale out of the typmod; the scale is a signed 11-bit number since PostgreSQL 15. */
function declared(typmod: number): { precision: number; scale: number } | undefined {
  if (typmod < 4) return undefined;
  const bits = typmod - 4;
  return { precision: (bits >> 16) & 0xffff, scale: ((bits & 0x7ff) ^ 1024) - 1024 };
}

function numeric(typmod: number): ValueType {
  const column = declared(typmod);
  return {
    defaultType() {
      if (!column) return 'String';
      const { precision, scale } = column;
      const wide = scale < 0 ? precision - scale : Math.max(precision, scale);
      return wide <= 76 ? `Decimal(${wide}, ${Math.max(scale, 0)})` : 'String';
    },
    writeText,
    encoders(type, onInvalid) {
      if (type.name !== 'Decimal') return undefined;
      const target = new DecimalTarget(type);
      return { text: decimalFromText(target, onInvalid), binary: decimalFromBinary(target, onInvalid) };
    },
    limits(type) {
      if (type.name !== 'Decimal') return undefined;
      const target = new DecimalTarget(type);
      const holdsDigits =
        column &&
        column.precision - column.scale <= target.precision - target.scale &&
        column.scale <= target.scale;
      return {
        ...(holdsDigits ? {} : { min: `'-${target.max}'`, max: `'${target.max}'`, scale: target.scale }),
        rejectsNaN: true,
        // A declared precision keeps infinities out.
        rejectsInfinity: column === undefined,
      };
    },
  };
}

function decimalFromBinary(target: DecimalTarget, onInvalid: OnInvalid): Encode {
  return (src, start, end, out) => {
    const outcome = writeBinary(target, src, start, out);
    if (outcome !== 'written') {
      const value = shownBinary(writeText, src, start, end);
      settleMisfit(target, onInvalid, outcome, value, out);
    }
  };
}

/** Largest value that another base-10000 digit may follow without passing 2^53. */
const roomForDigit = Math.floor((Number.MAX_SAFE_INTEGER - 9999) / 10000);

function writeBinary(target: DecimalTarget, src: Buffer, start: number, out: ByteWriter): DecimalOutcome {
  const count = readInt16(src, start);
  const sign = (src[start + 4]! << 8) | src[start + 5]!;
  if (sign > negativeSign) return 'malformed';
  const end = start + headerBytes + count * 2;
  // How many decimal digits of the target lie below the digit that comes next.
  let below = readInt16(src, start + 2) * 4 + target.scale;
  let value = 0;
  let pos = start + headerBytes;
  for (; pos < end; pos += 2, below -= 4) {
    const digit = (src[pos]! << 8) | src[pos + 1]!;
    if (value > roomForDigit) return writeLongBinary(target, src, start, end, sign === negativeSign, out);
    if (below >= 0) value = value * 10000 + digit;
    else if (below > -4) {
      const unit = powersOfTen[-below]!;
      if (digit % unit !== 0) return 'too-fine';
      value = value * powersOfTen[4 + below]! + digit / unit;
    } else if (digit !== 0) return 'too-fine';
  }
  below += 4;
  if (below > 0 && value > 0) {
    if (below > 15 || value * powersOfTen[below]! > Number.MAX_SAFE_INTEGER)
      return writeLongBinary(target, src, start, end, sign === negativeSign, out);
    value *= powersOfTen[below]!;
  }
  return target.writeNumber(out, sign === negativeSign && value !== 0 ? -value : value)
    ? 'written'
    : 'too-large';
}

function writeLongBinary(
  target: DecimalTarget,
  src: Buffer,
  start: number,
  end: number,
  negative: boolean,
  out: ByteWriter,
): DecimalOutcome {
  clearLimbs();
  let fits = true;
  let below = readInt16(src, start + 2) * 4 + target.scale;
  for (let pos = start + headerBytes; pos < end; pos += 2, below -= 4) {
    const digit = (src[pos]! << 8) | src[pos + 1]!;
    if (below >= 0) fits = multiplyAdd(10000, digit) && fits;
    else if (below > -4) {
      const unit = powersOfTen[-below]!;
      if (digit % unit !== 0) return 'too-fine';
      fits = multiplyAdd(powersOfTen[4 + below]!, digit / unit) && fits;
    } else if (digit !== 0) return 'too-fine';
  }
  fits = fits && scaleLimbs(below + 4);
  return fits && target.writeLimbs(out, negative) ? 'written' : 'too-large';
}

/** numeric_out: the digits of numeric_send with as many after the point as its display scale says. */
function writeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const sign = (src[start + 4]! << 8) | src[start + 5]!;
  if (sign > negativeSign) {
    writeAscii(out, specialText(sign));
    return;
  }
  const count = readInt16(src, start);
  const weight = readInt16(src, start + 2);
  const scale = readInt16(src, start + 6);
  if (sign === negativeSign) out.writeByte(45);
  if (weight < 0) out.writeByte(48);
  for (let i = 0; i <= weight; i++) writeDecimal(out, digitAt(src, start, i, count), i === 0 ? 1 : 4);
  if (scale === 0) return;
  out.writeByte(46);
  const fractionEnd = out.pos + scale;
  for (let i = weight + 1; out.pos < fractionEnd; i++) writeDecimal(out, digitAt(src, start, i, count), 4);
  out.pos = fractionEnd;
}

function digitAt(src: Buffer, start: number, index: number, count: number): number {
  if (index < 0 || index >= count) return 0;
  const pos = start + headerBytes + index * 2;
  return (src[pos]! << 8) | src[pos + 1]!;
}

function specialText(sign: number): string {
  if (sign === nanSign) return 'NaN';
  if (sign === infinitySign) return 'Infinity';
  if (sign === negativeInfinitySign) return '-Infinity';
  throw new InvalidValue(`a numeric has the unknown sign ${sign}`);
}
