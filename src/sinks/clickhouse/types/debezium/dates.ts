import type { ByteWriter } from '../../../../core/byte-writer.ts';
import { isAscii, writeAscii } from '../ascii.ts';
import { daysFromCivil, writeDate, writeEra } from '../calendar.ts';
import { parseInteger } from '../integers.ts';
import { isoDate, parseIsoClock, parseIsoDate } from './iso-time.ts';
import { notWire, type WireForm } from './wire-form.ts';

/** What PostgreSQL holds, in days since 1970-01-01: 4713-11-24 BC to 5874897-12-31. */
const minDays = daysFromCivil(-4712, 11, 24);
const maxDays = daysFromCivil(5874897, 12, 31);

/**
 * What ±infinity becomes in Debezium, in days: a day before PostgreSQL's first one in the stream; in a snapshot Java's
 * last day (of one time zone or the next), cut to 32 bits.
 */
const infinities = new Map([
  [-2147472692, 'infinity'],
  [-622191234, 'infinity'],
  [-622191233, 'infinity'],
  [-2147472691, '-infinity'],
  [-625821272, '-infinity'],
  [-625821271, '-infinity'],
]);
/** The years of Java's last days, which snapshots and arrays give as text; both have the sign of AD. */
export const infiniteYears: ReadonlyMap<number, 'infinity' | '-infinity'> = new Map([
  [292278994, 'infinity'],
  [292269055, '-infinity'],
]);

/** `date`: days since 1970 (`io.debezium.time.Date`, Connect's `Date`) or ISO text with a `Z` (`IsoDate`). */
export function dateForm(hint: string): WireForm {
  return {
    text(src, start, end, out) {
      if (isAscii(src, start, end, 'infinity') || isAscii(src, start, end, '-infinity')) {
        out.writeBytes(src, start, end);
        return;
      }
      if (!parseIsoDate(src, start, end) || !isZoneOnly(src, isoDate.end, end))
        throw notWire('a date', src, start, end, hint);
      const { year, days } = isoDate;
      const infinity = infiniteYears.get(year);
      if (infinity) writeAscii(out, infinity);
      else if (!writeDays(out, days)) throw outside(src, start, end);
    },
    json(src, start, end, out) {
      const days = parseInteger(src, start, end);
      if (Number.isNaN(days)) throw notWire('a number of days', src, start, end, hint);
      if (!writeDays(out, days)) throw outside(src, start, end);
    },
  };
}

/** Nothing, or a zone, which a date has no use for. */
function isZoneOnly(src: Buffer, pos: number, end: number): boolean {
  if (pos === end) return true;
  if (src[pos] === 90) return pos + 1 === end;
  midnight.copy(zoned);
  if (end - pos > zoned.length - midnight.length) return false;
  src.copy(zoned, midnight.length, pos, end);
  return parseIsoClock(zoned, 0, midnight.length + end - pos);
}

const midnight = Buffer.from('00:00:00');
const zoned = Buffer.alloc(midnight.length + 9);

function writeDays(out: ByteWriter, days: number): boolean {
  if (days >= minDays && days <= maxDays) {
    writeEra(out, writeDate(out, days));
    return true;
  }
  const infinity = infinities.get(days);
  if (infinity) writeAscii(out, infinity);
  return infinity !== undefined;
}

function outside(src: Buffer, start: number, end: number) {
  return notWire('a date that PostgreSQL holds: it was lost in Debezium', src, start, end, '');
}
