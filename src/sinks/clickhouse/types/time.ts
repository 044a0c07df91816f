import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii, writeDecimal } from './ascii.ts';
import { clock, parseClock, writeTime } from './calendar.ts';
import type { ClickHouseType } from './clickhouse-type.ts';
import { InvalidValue } from './codec.ts';
import { powersOfTen } from './decimal.ts';
import { readInt32, readUint32, split, splitMillions, writeInteger, writeIntegerText } from './int64.ts';
import {
  type Encoders,
  notA,
  shown,
  shownBinary,
  type ValueType,
  type ValueTypes,
  type WriteText,
} from './value-type.ts';

export const times: ValueTypes = {
  time: () => ({
    defaultType: capabilities => (capabilities.time64 ? 'Time64(6)' : 'String'),
    writeText: writeTimeText,
    encoders: target => (target.name === 'Time64' ? time64Encoders(target) : undefined),
    limits({ name, args }) {
      const precision = Number(args[0]);
      if (name !== 'Time64' || precision >= 6) return undefined;
      return { scale: precision, rejectsNaN: false, rejectsInfinity: false };
    },
  }),
  timetz: () => textual(writeTimetzText),
  interval: () => textual(writeIntervalText),
};

function textual(writeText: WriteText): ValueType {
  return { defaultType: () => 'String', writeText };
}

/** Time64(precision): Int64 ticks; it goes beyond 24:00:00, the largest time of PostgreSQL. */
function time64Encoders({ args }: ClickHouseType): Encoders {
  const precision = Number(args[0]);
  const ticksPerSecond = powersOfTen[precision]!;
  const microsPerTick = precision < 6 ? powersOfTen[6 - precision]! : 1;
  const ticksPerMicro = precision > 6 ? powersOfTen[precision - 6]! : 1;
  const write = (seconds: number, micros: number, out: ByteWriter): boolean => {
    if (micros % microsPerTick !== 0) return false;
    writeInteger(out, seconds * ticksPerSecond + (micros / microsPerTick) * ticksPerMicro, 8);
    return true;
  };
  const tooFine = (value: string): InvalidValue =>
    new InvalidValue(
      `time ${value} has more than the ${precision} digits of a second that Time64(${precision}) holds`,
    );
  return {
    text(src, start, end, out) {
      if (!parseClock(src, start, end) || clock.end !== end) throw notA('time', src, start, end);
      if (!write(clock.seconds, clock.micros, out)) throw tooFine(shown(src, start, end));
    },
    binary(src, start, end, out) {
      const micros = readMicros(src, start);
      const seconds = Math.floor(micros / 1e6);
      if (!write(seconds, micros - seconds * 1e6, out))
        throw tooFine(shownBinary(writeTimeText, src, start, end));
    },
  };
}

/** time_send: Int64 microseconds since midnight, at most a day. */
function readMicros(src: Buffer, start: number): number {
  return readInt32(src, start) * 4294967296 + readUint32(src, start + 4);
}

function writeTimeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const micros = readMicros(src, start);
  const seconds = Math.floor(micros / 1e6);
  writeTime(out, seconds, micros - seconds * 1e6);
}

/** timetz_send: a time and Int32 seconds west of UTC. */
function writeTimetzText(src: Buffer, start: number, end: number, out: ByteWriter): void {
  writeTimeText(src, start, end, out);
  const west = readInt32(src, start + 8);
  out.writeByte(west > 0 ? 45 : 43);
  const zone = Math.abs(west);
  const hours = Math.floor(zone / 3600);
  const minutes = Math.floor(zone / 60) % 60;
  const seconds = zone % 60;
  writeDecimal(out, hours, 2);
  if (minutes === 0 && seconds === 0) return;
  out.writeByte(58);
  writeDecimal(out, minutes, 2);
  if (seconds === 0) return;
  out.writeByte(58);
  writeDecimal(out, seconds, 2);
}

/**
 * interval_send: Int64 microseconds, Int32 days, Int32 months. Its text in IntervalStyle postgres: `1 year -2 days
 * +03:04:05.6`, where a plus is printed behind a negative part.
 */
function writeIntervalText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const hi = readInt32(src, start);
  const lo = readUint32(src, start + 4);
  const days = readInt32(src, start + 8);
  const months = readInt32(src, start + 12);
  if (isExtreme(hi, lo, days, months, 0x7fffffff, 0xffffffff)) {
    writeAscii(out, 'infinity');
    return;
  }
  if (isExtreme(hi, lo, days, months, -0x80000000, 0)) {
    writeAscii(out, '-infinity');
    return;
  }
  splitMillions(hi, lo);
  const { millions, rest } = split;
  if (hi >= 0) writeInterval(out, months, days, false, millions, rest);
  else writeInterval(out, months, days, true, -millions - (rest > 0 ? 1 : 0), rest > 0 ? 1e6 - rest : 0);
}

/** Appends PostgreSQL's text of an interval; seconds and microseconds without their sign. */
export function writeInterval(
  out: ByteWriter,
  months: number,
  days: number,
  negative: boolean,
  seconds: number,
  micros: number,
): void {
  const from = out.pos;
  const years = Math.trunc(months / 12);
  let behindNegative = writePart(out, from, years, 'year', false);
  behindNegative = writePart(out, from, months - years * 12, 'mon', behindNegative);
  behindNegative = writePart(out, from, days, 'day', behindNegative);
  if (seconds === 0 && micros === 0 && out.pos > from) return;
  if (out.pos > from) out.writeByte(32);
  if (negative) out.writeByte(45);
  else if (behindNegative) out.writeByte(43);
  writeTime(out, seconds, micros);
}

/** ±infinity, since PostgreSQL 17: all three parts at their extreme. */
function isExtreme(
  hi: number,
  lo: number,
  days: number,
  months: number,
  extremeHi: number,
  extremeLo: number,
): boolean {
  return hi === extremeHi && lo === extremeLo && days === extremeHi && months === extremeHi;
}

/** Appends `-2 days`; returns whether the last part that was printed is negative. */
function writePart(
  out: ByteWriter,
  from: number,
  value: number,
  unit: string,
  behindNegative: boolean,
): boolean {
  if (value === 0) return behindNegative;
  if (out.pos > from) out.writeByte(32);
  if (behindNegative && value > 0) out.writeByte(43);
  writeIntegerText(out, value);
  out.writeByte(32);
  writeAscii(out, unit);
  if (value !== 1) out.writeByte(115);
  return value < 0;
}
