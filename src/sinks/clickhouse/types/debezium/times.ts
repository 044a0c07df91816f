import type { ByteWriter } from '../../../../core/byte-writer.ts';
import { writeDecimal } from '../ascii.ts';
import { writeTime } from '../calendar.ts';
import { epoch, splitEpoch, type Unit } from './epoch-number.ts';
import { isoClock, parseIsoClock } from './iso-time.ts';
import { notWire, type WireForm } from './wire-form.ts';

/** `time`: a number of units since midnight (`Time`, `MicroTime`, `NanoTime`, Connect's `Time`) or ISO text (`IsoTime`). */
export function timeForm(unit: Unit | undefined, hint: string): WireForm {
  return {
    text(src, start, end, out) {
      if (!parseIsoClock(src, start, end) || isoClock.offset !== 0 || !isTime(isoClock))
        throw notWire('a time', src, start, end, hint);
      writeTime(out, isoClock.seconds, isoClock.micros);
    },
    json(src, start, end, out) {
      if (!unit) throw notWire('a time: its unit is not known', src, start, end, hint);
      if (!splitEpoch(src, start, end, unit) || !isTime(epoch))
        throw notWire('a time', src, start, end, hint);
      writeTime(out, epoch.seconds, epoch.micros);
    },
  };
}

/** From 00:00:00 to 24:00:00. */
function isTime({ seconds, micros }: { seconds: number; micros: number }): boolean {
  return seconds >= 0 && (seconds < 86400 || (seconds === 86400 && micros === 0));
}

/** `timetz`: ISO text (`ZonedTime`), which Debezium has moved to UTC. */
export function zonedTimeForm(hint: string): WireForm {
  return {
    text(src, start, end, out) {
      if (!parseIsoClock(src, start, end) || !isoClock.hasZone || !isTime(isoClock))
        throw notWire('a time with a zone', src, start, end, hint);
      writeTime(out, isoClock.seconds, isoClock.micros);
      writeZone(out, isoClock.offset);
    },
    json(src, start, end) {
      throw notWire('a time with a zone', src, start, end, hint);
    },
  };
}

/** `+HH[:MM[:SS]]` */
function writeZone(out: ByteWriter, east: number): void {
  const zone = Math.abs(east);
  out.writeByte(east < 0 ? 45 : 43);
  writeDecimal(out, Math.floor(zone / 3600), 2);
  if (zone % 3600 === 0) return;
  out.writeByte(58);
  writeDecimal(out, Math.floor(zone / 60) % 60, 2);
  if (zone % 60 === 0) return;
  out.writeByte(58);
  writeDecimal(out, zone % 60, 2);
}
