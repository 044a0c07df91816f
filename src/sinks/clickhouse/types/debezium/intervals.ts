import { readDigits } from '../calendar.ts';
import { writeInterval } from '../time.ts';
import { epoch, splitEpoch, type Unit } from './epoch-number.ts';
import { notWire, type WireForm } from './wire-form.ts';

/**
 * `interval`: ISO text (`Interval`), or a number of units (`MicroDuration`), in which a month has 30.4375 days and a day 24
 * hours: PostgreSQL's text then has hours alone. Without `unit` numbers are refused with `hint`.
 */
export function intervalForm(unit: Unit | undefined, hint: string): WireForm {
  return {
    text(src, start, end, out) {
      if (!parseInterval(src, start, end)) throw notWire('an interval', src, start, end, hint);
      const { months, days, seconds, micros } = parts;
      const negative = seconds < 0 || micros < 0;
      writeInterval(out, months, days, negative, Math.abs(seconds), Math.abs(micros));
    },
    json(src, start, end, out) {
      if (!unit)
        throw notWire(
          'an interval: of its months and days only the average length is left',
          src,
          start,
          end,
          hint,
        );
      if (!splitEpoch(src, start, end, unit)) throw notWire('an interval', src, start, end, hint);
      const negative = epoch.seconds < 0;
      const micros = negative && epoch.micros > 0 ? 1e6 - epoch.micros : epoch.micros;
      const seconds = negative ? -epoch.seconds - (epoch.micros > 0 ? 1 : 0) : epoch.seconds;
      writeInterval(out, 0, 0, negative, seconds, micros);
    },
  };
}

/** What `parseInterval` read; reused. Seconds and microseconds have one sign. */
const parts = { months: 0, days: 0, seconds: 0, micros: 0 };

/** `P1Y-2M3DT4H5M-6.789S`, every part with a sign of its own. */
function parseInterval(src: Buffer, start: number, end: number): boolean {
  if (src[start] !== 80) return false;
  let months = 0;
  let days = 0;
  let seconds = 0;
  let micros = 0;
  let isTime = false;
  let pos = start + 1;
  while (pos < end) {
    if (src[pos] === 84 && !isTime) {
      isTime = true;
      pos++;
      continue;
    }
    const negative = src[pos] === 45;
    if (negative || src[pos] === 43) pos++;
    const from = pos;
    while (pos < end && isDigit(src[pos]!)) pos++;
    if (pos === from) return false;
    let value = readDigits(src, from, pos - from);
    let fraction = 0;
    if (src[pos] === 46) {
      const point = ++pos;
      while (pos < end && isDigit(src[pos]!)) pos++;
      // More digits than microseconds have do not come from PostgreSQL.
      if (pos - point > 6) return false;
      fraction = readDigits(src, point, pos - point) * 10 ** (6 - (pos - point));
      if (src[pos] !== 83) return false;
    }
    if (negative) {
      value = 0 - value;
      fraction = 0 - fraction;
    }
    const unit = src[pos++];
    if (!isTime && unit === 89) months += value * 12;
    else if (!isTime && unit === 77) months += value;
    else if (!isTime && unit === 68) days += value;
    else if (isTime && unit === 72) seconds += value * 3600;
    else if (isTime && unit === 77) seconds += value * 60;
    else if (isTime && unit === 83) {
      seconds += value;
      micros = fraction;
    } else return false;
  }
  if (seconds > 0 && micros < 0) {
    seconds--;
    micros += 1e6;
  } else if (seconds < 0 && micros > 0) {
    seconds++;
    micros -= 1e6;
  }
  parts.months = months;
  parts.days = days;
  parts.seconds = seconds;
  parts.micros = micros;
  return pos > start + 1;
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}
