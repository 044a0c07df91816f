import type { ByteWriter } from '../../../core/byte-writer.ts';
import { isAscii, writeAscii } from './ascii.ts';
import { civil, daysFromCivil, parseCivil, postgresEpochDays, writeDate, writeEra } from './calendar.ts';
import { InvalidValue, type OnInvalid } from './codec.ts';
import { readInt32, writeInt32 } from './int64.ts';
import { type Encoders, type Limits, notA, shown, shownBinary, type ValueTypes } from './value-type.ts';

/** date_send: Int32 days since 2000-01-01, its extremes for ±infinity. */
export const dates: ValueTypes = {
  date: () => ({
    defaultType: () => 'Date32',
    writeText,
    encoders({ name }, onInvalid) {
      const range = ranges[name];
      return range && dateEncoders(name, range, onInvalid);
    },
    limits({ name }): Limits | undefined {
      const range = ranges[name];
      return (
        range && { min: `'${range.min}'`, max: `'${range.max}'`, rejectsNaN: false, rejectsInfinity: true }
      );
    },
  }),
};

interface DateRange {
  min: string;
  max: string;
  size: 2 | 4;
}

/** What ClickHouse holds; beyond it clamps silently. */
const ranges: Record<string, DateRange> = {
  Date32: { min: '1900-01-01', max: '2299-12-31', size: 4 },
  Date: { min: '1970-01-01', max: '2149-06-06', size: 2 },
};

const eraLength = ' BC'.length;
const infinity = 0x7fffffff;
const negativeInfinity = -0x80000000;

function dateEncoders(name: string, { min, max, size }: DateRange, onInvalid: OnInvalid): Encoders {
  const minDays = daysOf(min);
  const maxDays = daysOf(max);

  const write = size === 4 ? writeInt32 : writeUint16;

  /** `value` is called only for the message. */
  const settle = (days: number, value: () => string, out: ByteWriter): void => {
    if (onInvalid !== 'clamp')
      throw new InvalidValue(`date ${value()} is outside ${name} (${min} to ${max})`);
    write(out, days < minDays ? minDays : maxDays);
  };

  return {
    text(src, start, end, out) {
      const days = parseDate(src, start, end);
      if (days >= minDays && days <= maxDays) write(out, days);
      else settle(days, () => shown(src, start, end), out);
    },
    binary(src, start, end, out) {
      const days = readInt32(src, start) + postgresEpochDays;
      if (days >= minDays && days <= maxDays) write(out, days);
      else settle(days, () => shownBinary(writeText, src, start, end), out);
    },
  };
}

function writeUint16(out: ByteWriter, value: number): void {
  out.writeByte(value);
  out.writeByte(value >>> 8);
}

function daysOf(date: string): number {
  const [year, month, day] = date.split('-').map(Number);
  return daysFromCivil(year!, month!, day!);
}

function parseDate(src: Buffer, start: number, end: number): number {
  if (parseCivil(src, start, end) && (civil.end === end || civil.end + eraLength === end)) return civil.days;
  if (isAscii(src, start, end, 'infinity')) return Number.POSITIVE_INFINITY;
  if (isAscii(src, start, end, '-infinity')) return Number.NEGATIVE_INFINITY;
  throw notA('date', src, start, end);
}

function writeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const days = readInt32(src, start);
  if (days === infinity) writeAscii(out, 'infinity');
  else if (days === negativeInfinity) writeAscii(out, '-infinity');
  else writeEra(out, writeDate(out, days + postgresEpochDays));
}
