import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii, writeDecimal } from './ascii.ts';

/** Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from. */
export const postgresEpochDays = 10957;
export const postgresEpochSeconds = postgresEpochDays * 86400;

/** Days since 1970-01-01 of a date in the proleptic Gregorian calendar; year 0 is 1 BC. */
export function daysFromCivil(year: number, month: number, day: number): number {
  // Years that start in March, so that the leap day comes last.
  const marchYear = month > 2 ? year : year - 1;
  const era = Math.floor(marchYear / 400);
  const yearOfEra = marchYear - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return (
    era * 146097 +
    yearOfEra * 365 +
    Math.floor(yearOfEra / 4) -
    Math.floor(yearOfEra / 100) +
    dayOfYear -
    719468
  );
}

/** Appends `YYYY-MM-DD` of days since 1970-01-01; true when the year is BC and ` BC` is due behind all that follows. */
export function writeDate(out: ByteWriter, days: number): boolean {
  const shifted = days + 719468;
  const era = Math.floor(shifted / 146097);
  const dayOfEra = shifted - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  writeDecimal(out, year > 0 ? year : 1 - year, 4);
  out.writeByte(45);
  writeDecimal(out, month, 2);
  out.writeByte(45);
  writeDecimal(out, dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1, 2);
  return year <= 0;
}

/** Appends `HH:MM:SS[.ffffff]` without trailing zeros. Hours may pass 24 (intervals). */
export function writeTime(out: ByteWriter, seconds: number, micros: number): void {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  writeDecimal(out, hours, 2);
  out.writeByte(58);
  writeDecimal(out, minutes - hours * 60, 2);
  out.writeByte(58);
  writeDecimal(out, seconds - minutes * 60, 2);
  writeFraction(out, micros);
}

export function writeFraction(out: ByteWriter, micros: number): void {
  if (micros === 0) return;
  out.writeByte(46);
  writeDecimal(out, micros, 6);
  while (out.buf[out.pos - 1] === 48) out.pos--;
}

export function writeEra(out: ByteWriter, beforeChrist: boolean): void {
  if (beforeChrist) writeAscii(out, ' BC');
}

/** Reads `count` digits at `pos`; NaN when one is none. */
export function readDigits(src: Buffer, pos: number, count: number): number {
  let value = 0;
  for (let i = pos; i < pos + count; i++) {
    const digit = src[i]! - 48;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

/** What `parseCivil` read; reused, so that no object is made for a value. */
export const civil = { days: 0, end: 0 };

/**
 * Parses the `YYYY-MM-DD` at `start` into days since 1970-01-01 and the position behind it. ` BC` at the very end of
 * the value is looked for, too. False when it is no date.
 */
export function parseCivil(src: Buffer, start: number, end: number): boolean {
  let dash = start + 4;
  while (dash < end && src[dash] !== 45) dash++;
  const year = readDigits(src, start, dash - start);
  const month = readDigits(src, dash + 1, 2);
  const day = readDigits(src, dash + 4, 2);
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= 31 && year >= 0) || src[dash + 3] !== 45)
    return false;
  const beforeChrist = src[end - 1] === 67 && src[end - 2] === 66 && src[end - 3] === 32;
  civil.days = daysFromCivil(beforeChrist ? 1 - year : year, month, day);
  civil.end = dash + 6;
  return true;
}

/** What `parseClock` read; reused as well. */
export const clock = { seconds: 0, micros: 0, end: 0 };

/** Parses the `HH:MM:SS[.ffffff]` at `start`. False when it is none. */
export function parseClock(src: Buffer, start: number, end: number): boolean {
  let pos = start + 8;
  clock.seconds =
    readDigits(src, start, 2) * 3600 + readDigits(src, start + 3, 2) * 60 + readDigits(src, start + 6, 2);
  if (pos > end || Number.isNaN(clock.seconds)) return false;
  let micros = 0;
  if (src[pos] === 46 && pos < end) {
    let unit = 1e6;
    for (pos++; pos < end && src[pos]! >= 48 && src[pos]! <= 57; pos++) {
      unit /= 10;
      micros += (src[pos]! - 48) * unit;
    }
  }
  clock.micros = micros;
  clock.end = pos;
  return true;
}
