import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeDecimal } from './ascii.ts';

/**
 * 64-bit integers as two 32-bit halves or as products of numbers below 2^53: no bigint is made for a value.
 * PostgreSQL sends big-endian; RowBinary is little-endian.
 */
export function readInt16(src: Buffer, pos: number): number {
  return ((src[pos]! << 24) >> 16) | src[pos + 1]!;
}

export function readInt32(src: Buffer, pos: number): number {
  return (src[pos]! << 24) | (src[pos + 1]! << 16) | (src[pos + 2]! << 8) | src[pos + 3]!;
}

export function readUint32(src: Buffer, pos: number): number {
  return readInt32(src, pos) >>> 0;
}

export function writeInt32(out: ByteWriter, value: number): void {
  out.reserve(4);
  const { buf, pos } = out;
  buf[pos] = value;
  buf[pos + 1] = value >>> 8;
  buf[pos + 2] = value >>> 16;
  buf[pos + 3] = value >>> 24;
  out.pos = pos + 4;
}

export function writeInt64(out: ByteWriter, hi: number, lo: number): void {
  out.reserve(8);
  const { buf, pos } = out;
  buf[pos] = lo;
  buf[pos + 1] = lo >>> 8;
  buf[pos + 2] = lo >>> 16;
  buf[pos + 3] = lo >>> 24;
  buf[pos + 4] = hi;
  buf[pos + 5] = hi >>> 8;
  buf[pos + 6] = hi >>> 16;
  buf[pos + 7] = hi >>> 24;
  out.pos = pos + 8;
}

/** Writes `a * b + c` as Int64; all whole, 0 < b ≤ 10^9, |c| < 2^46, the result within Int64 (or UInt64). */
export function writeProduct(out: ByteWriter, a: number, b: number, c: number): void {
  const aHigh = Math.floor(a / 65536);
  const high = aHigh * b;
  const highQuotient = Math.floor(high / 65536);
  const low = (high - highQuotient * 65536) * 65536 + (a - aHigh * 65536) * b + c;
  writeInt64(out, highQuotient + Math.floor(low / 4294967296), low);
}

/** Writes a whole number, |value| < 2^53, in `size` bytes, two's complement. */
export function writeInteger(out: ByteWriter, value: number, size: number): void {
  if (size === 4) writeInt32(out, value);
  else {
    writeInt64(out, Math.floor(value / 4294967296), value);
    if (size > 8) writeSign(out, value < 0, size - 8);
  }
}

/** Appends the upper bytes of a wider two's complement integer. */
export function writeSign(out: ByteWriter, negative: boolean, bytes: number): void {
  out.reserve(bytes);
  out.buf.fill(negative ? 255 : 0, out.pos, out.pos + bytes);
  out.pos += bytes;
}

/** What `splitMillions` found; reused, so that no object is made for a value. */
export const split = { millions: 0, rest: 0 };

/** Splits `hi * 2^32 + lo` into `millions * 10^6 + rest`, 0 ≤ rest < 10^6. `hi` may be signed or not, `lo` is not. */
export function splitMillions(hi: number, lo: number): void {
  const quotient = Math.floor(hi / 1e6);
  const rest = (hi - quotient * 1e6) * 4294967296 + lo;
  const restQuotient = Math.floor(rest / 1e6);
  split.millions = quotient * 4294967296 + restQuotient;
  split.rest = rest - restQuotient * 1e6;
}

/** Appends the decimal text of an unsigned 64-bit integer. */
export function writeUint64Text(out: ByteWriter, hi: number, lo: number): void {
  if (hi >>> 0 < 2 ** 20) {
    writeDecimal(out, (hi >>> 0) * 4294967296 + (lo >>> 0));
    return;
  }
  splitMillions(hi >>> 0, lo >>> 0);
  writeDecimal(out, split.millions);
  writeDecimal(out, split.rest, 6);
}

/** Appends the decimal text of a signed 64-bit integer. */
export function writeInt64Text(out: ByteWriter, hi: number, lo: number): void {
  if (hi >= 0) {
    writeUint64Text(out, hi, lo);
    return;
  }
  out.writeByte(45);
  const negatedLo = -lo >>> 0;
  writeUint64Text(out, ~hi + (negatedLo === 0 ? 1 : 0), negatedLo);
}

/** Appends the decimal text of an integer, |value| < 2^53. */
export function writeIntegerText(out: ByteWriter, value: number): void {
  if (value < 0) out.writeByte(45);
  writeDecimal(out, Math.abs(value));
}
