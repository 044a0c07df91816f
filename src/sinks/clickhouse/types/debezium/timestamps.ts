import { isAscii } from '../ascii.ts';
import { daysFromCivil } from '../calendar.ts';
import type { Encode } from '../codec.ts';
import { type InstantWriter, instantWriter, writeInstant } from '../timestamp.ts';
import { shown } from '../value-type.ts';
import { infiniteYears } from './dates.ts';
import { epoch, splitEpoch, type Unit } from './epoch-number.ts';
import { isoClock, isoDate, parseIsoClock, parseIsoDate } from './iso-time.ts';
import { notWire, type WireForm } from './wire-form.ts';

/** What PostgreSQL holds, in seconds since 1970: 4713-11-24 BC to the end of 294276. */
const minSeconds = daysFromCivil(-4712, 11, 24) * 86400;
const maxSeconds = daysFromCivil(294277, 1, 1) * 86400 - 1;

/** What pgjdbc makes of ±infinity, which Debezium takes for microseconds. One of them is a timestamp of PostgreSQL as well. */
const infinitySeconds = 9223372036825;
const infinityMicros = 200000;
const negativeInfinitySeconds = -9223372036833;
const negativeInfinityMicros = 600000;
/** In nanoseconds, the extremes of 64 bits. */
const infinityNanos = '9223372036854775807';
const negativeInfinityNanos = '-9223372036854775808';

/** Of one value; reused. Infinite seconds are ±infinity. */
const instant = { seconds: 0, micros: 0 };

/** Finds out ±infinity. False when PostgreSQL holds no such timestamp. */
function setInstant(seconds: number, micros: number): boolean {
  instant.seconds = seconds;
  instant.micros = micros;
  if (seconds === infinitySeconds && micros === infinityMicros) instant.seconds = Number.POSITIVE_INFINITY;
  else if (seconds === negativeInfinitySeconds && micros === negativeInfinityMicros)
    instant.seconds = Number.NEGATIVE_INFINITY;
  else return seconds >= minSeconds && seconds <= maxSeconds;
  instant.micros = 0;
  return true;
}

/**
 * `timestamp`: a number of units since 1970 (`Timestamp`, `MicroTimestamp`, `NanoTimestamp`, Connect's `Timestamp`) or ISO text
 * (`IsoTimestamp`). `timestamptz`: ISO text (`ZonedTimestamp`). Without `unit` numbers are refused with `hint`.
 */
export function timestampForm(isZoned: boolean, unit: Unit | undefined, hint: string): WireForm {
  const zone = isZoned ? '+00' : '';
  const name = isZoned ? 'timestamptz' : 'timestamp';

  const readText = (src: Buffer, start: number, end: number): void => {
    if (parseIsoDate(src, start, end) && (src[isoDate.end] === 84 || src[isoDate.end] === 32)) {
      const { year, days, end: dateEnd } = isoDate;
      if (!parseIsoClock(src, dateEnd + 1, end)) throw notWire(`a ${name}`, src, start, end, hint);
      if (setInstant(days * 86400 + isoClock.seconds - isoClock.offset, isoClock.micros)) return;
      const infinity = infiniteYears.get(year);
      if (!infinity)
        throw notWire(`a ${name} that PostgreSQL holds: it was lost in Debezium`, src, start, end, '');
      instant.seconds = infinity === 'infinity' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    } else if (isAscii(src, start, end, 'infinity')) instant.seconds = Number.POSITIVE_INFINITY;
    else if (isAscii(src, start, end, '-infinity')) instant.seconds = Number.NEGATIVE_INFINITY;
    else throw notWire(`a ${name}`, src, start, end, hint);
  };

  const readNumber = (src: Buffer, start: number, end: number): void => {
    if (!unit) throw notWire(`a ${name}: its unit is not known`, src, start, end, hint);
    if (unit === 9 && isAscii(src, start, end, infinityNanos)) instant.seconds = Number.POSITIVE_INFINITY;
    else if (unit === 9 && isAscii(src, start, end, negativeInfinityNanos))
      instant.seconds = Number.NEGATIVE_INFINITY;
    else if (!splitEpoch(src, start, end, unit)) throw notWire(`a ${name}`, src, start, end, hint);
    else if (!setInstant(epoch.seconds, epoch.micros))
      throw notWire(`a ${name} that PostgreSQL holds: it was lost in Debezium`, src, start, end, '');
  };

  const into =
    (read: typeof readText, { write, settle }: InstantWriter): Encode =>
    (src, start, end, out) => {
      read(src, start, end);
      const { seconds, micros } = instant;
      if (!write(seconds, micros, out)) settle(seconds, shown(src, start, end), out);
    };

  return {
    text(src, start, end, out) {
      readText(src, start, end);
      writeInstant(out, instant.seconds, instant.micros, zone);
    },
    json(src, start, end, out) {
      readNumber(src, start, end);
      writeInstant(out, instant.seconds, instant.micros, zone);
    },
    encoders(target, onInvalid) {
      const writer = instantWriter(name, target, onInvalid);
      return writer && { text: into(readText, writer), json: into(readNumber, writer) };
    },
  };
}
