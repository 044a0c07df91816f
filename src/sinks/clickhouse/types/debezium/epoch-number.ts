import { parseInteger } from '../integers.ts';

/** Decimal digits of a second that a number counts: milli-, micro- or nanoseconds. */
export type Unit = 3 | 6 | 9;

/** What `splitEpoch` read; reused. 0 ≤ micros < 10^6. */
export const epoch = { seconds: 0, micros: 0 };

/** Splits a number of units into seconds and microseconds. False when it is no whole number of microseconds. */
export function splitEpoch(src: Buffer, start: number, end: number, unit: Unit): boolean {
  const negative = src[start] === 45;
  const from = negative ? start + 1 : start;
  const cut = Math.max(end - unit, from);
  // The digits of the fraction may begin with zeros, or be fewer than the unit has.
  const seconds = cut > from ? parseInteger(src, from, cut) : 0;
  let micros = parseInteger(src, cut, end);
  if (!(seconds >= 0 && micros >= 0)) return false;
  if (unit === 3) micros *= 1000;
  else if (unit === 9) {
    if (micros % 1000 !== 0) return false;
    micros /= 1000;
  }
  if (!negative) {
    epoch.seconds = seconds;
    epoch.micros = micros;
  } else {
    epoch.seconds = micros > 0 ? -seconds - 1 : 0 - seconds;
    epoch.micros = micros > 0 ? 1e6 - micros : 0;
  }
  return true;
}
