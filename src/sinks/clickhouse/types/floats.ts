import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii } from './ascii.ts';
import type { ClickHouseType } from './clickhouse-type.ts';
import type { Encode } from './codec.ts';
import { powersOfTen } from './decimal.ts';
import { float4Text, float8Text } from './float-text.ts';
import { readUint32, writeInt32, writeInt64 } from './int64.ts';
import { type Encoders, notA, type ValueType, type ValueTypes, type WriteText } from './value-type.ts';

/** float4send, float8send: IEEE 754, big-endian. Every NaN becomes the one that `'NaN'` gives. */
export const floats: ValueTypes = {
  float4: () => floatType('Float32', writeFloat4Text, float4Encoders),
  float8: () => floatType('Float64', writeFloat8Text, float8Encoders),
};

function floatType(
  defaultType: string,
  writeText: WriteText,
  encoders: (target: ClickHouseType) => Encoders | undefined,
): ValueType {
  return { defaultType: () => defaultType, writeText, encoders };
}

const nanFloat4 = 0x7fc00000;
const nanFloat8Hi = 0x7ff80000;
const scratch = new DataView(new ArrayBuffer(8));

function float4Encoders(target: ClickHouseType): Encoders | undefined {
  if (target.name === 'Float32')
    return {
      text: (src, start, end, out) => writeFloat4(out, parseFloatText('float4', src, start, end)),
      binary: (src, start, _end, out) => {
        const bits = readUint32(src, start);
        writeInt32(out, (bits & 0x7fffffff) > 0x7f800000 ? nanFloat4 : bits);
      },
    };
  if (target.name === 'Float64')
    return {
      text: (src, start, end, out) =>
        writeFloat8(out, Math.fround(parseFloatText('float4', src, start, end))),
      binary: (src, start, _end, out) => writeFloat8(out, readFloat4(src, start)),
    };
  return undefined;
}

function float8Encoders(target: ClickHouseType): Encoders | undefined {
  if (target.name !== 'Float64') return undefined;
  return {
    text: (src, start, end, out) => writeFloat8(out, parseFloatText('float8', src, start, end)),
    binary: float8FromBinary,
  };
}

const float8FromBinary: Encode = (src, start, _end, out) => {
  const hi = readUint32(src, start);
  const lo = readUint32(src, start + 4);
  const magnitude = hi & 0x7fffffff;
  if (magnitude > 0x7ff00000 || (magnitude === 0x7ff00000 && lo !== 0)) writeInt64(out, nanFloat8Hi, 0);
  else writeInt64(out, hi, lo);
};

function writeFloat4(out: ByteWriter, value: number): void {
  scratch.setFloat32(0, value);
  writeInt32(out, !Number.isNaN(value) ? scratch.getInt32(0) : nanFloat4);
}

function writeFloat8(out: ByteWriter, value: number): void {
  scratch.setFloat64(0, value);
  if (!Number.isNaN(value)) writeInt64(out, scratch.getInt32(0), scratch.getInt32(4));
  else writeInt64(out, nanFloat8Hi, 0);
}

export function readFloat4(src: Buffer, pos: number): number {
  scratch.setUint32(0, readUint32(src, pos));
  return scratch.getFloat32(0);
}

function readFloat8(src: Buffer, pos: number): number {
  scratch.setUint32(0, readUint32(src, pos));
  scratch.setUint32(4, readUint32(src, pos + 4));
  return scratch.getFloat64(0);
}

/** `12.5`, `1e+15`, `NaN`, `-Infinity` as a number. */
function parseFloatText(type: string, src: Buffer, start: number, end: number): number {
  const negative = src[start] === 45;
  // Up to 15 digits and a power of ten below 10^22: one division of two exact numbers, correctly rounded.
  if (end - start <= 16) {
    let value = 0;
    let fraction = -1;
    let i = negative ? start + 1 : start;
    for (; i < end; i++) {
      const digit = src[i]! - 48;
      if (digit === -2 && fraction < 0) fraction = 0;
      else if (digit < 0 || digit > 9) break;
      else {
        value = value * 10 + digit;
        if (fraction >= 0) fraction++;
      }
    }
    if (i === end && value <= 999999999999999) {
      if (fraction > 0) value /= powersOfTen[fraction]!;
      return negative ? -value : value;
    }
  }
  const text = src.toString('latin1', start, end);
  const value = Number(text);
  if (Number.isNaN(value) && text !== 'NaN') throw notA(type, src, start, end);
  return value;
}

export function writeFloat4Text(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  writeAscii(out, float4Text(readFloat4(src, start)));
}

function writeFloat8Text(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  writeAscii(out, float8Text(readFloat8(src, start)));
}
