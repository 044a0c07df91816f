import { clock, daysFromCivil, parseClock, readDigits } from '../calendar.ts';

/** What `parseIsoDate` read; reused. `days` since 1970-01-01. */
export const isoDate = { year: 0, days: 0, end: 0 };

/** Parses the `[±]Y…-MM-DD` at `start`, as ISO 8601 counts years: 0 is 1 BC. */
export function parseIsoDate(src: Buffer, start: number, end: number): boolean {
  const signed = src[start] === 45 || src[start] === 43;
  const from = signed ? start + 1 : start;
  let dash = from + 4;
  while (dash < end && src[dash] !== 45) dash++;
  const digits = readDigits(src, from, dash - from);
  const month = readDigits(src, dash + 1, 2);
  const day = readDigits(src, dash + 4, 2);
  if (!(digits >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31)) return false;
  if (src[dash + 3] !== 45 || dash + 6 > end) return false;
  isoDate.year = src[start] === 45 ? 0 - digits : digits;
  isoDate.days = daysFromCivil(isoDate.year, month, day);
  isoDate.end = dash + 6;
  return true;
}

/** What `parseIsoClock` read; reused. `offset` is seconds east of UTC; `hasZone` tells `Z` and `+00:00` from nothing. */
export const isoClock = { seconds: 0, micros: 0, offset: 0, hasZone: false };

/** Parses `HH:MM:SS[.f…][Z|±HH[:MM[:SS]]]`, which must be all of `src[start..end)`. */
export function parseIsoClock(src: Buffer, start: number, end: number): boolean {
  if (!parseClock(src, start, end) || src[start + 2] !== 58 || src[start + 5] !== 58) return false;
  // More than six digits of a fraction make no whole number.
  if (!Number.isInteger(clock.micros)) return false;
  isoClock.seconds = clock.seconds;
  isoClock.micros = clock.micros;
  isoClock.offset = 0;
  let pos = clock.end;
  isoClock.hasZone = pos < end;
  if (pos === end) return true;
  if (src[pos] === 90) return pos + 1 === end;
  const east = src[pos] === 43;
  if (!east && src[pos] !== 45) return false;
  let offset = readDigits(src, pos + 1, 2) * 3600;
  pos += 3;
  for (let unit = 60; unit > 0 && pos < end && src[pos] === 58; unit = unit === 60 ? 1 : 0) {
    offset += readDigits(src, pos + 1, 2) * unit;
    pos += 3;
  }
  isoClock.offset = east ? offset : -offset;
  return pos === end && !Number.isNaN(offset);
}
