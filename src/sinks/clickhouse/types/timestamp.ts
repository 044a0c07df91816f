import { ByteWriter } from '../../../core/byte-writer.ts';
import { isAscii, writeAscii } from './ascii.ts';
import {
  civil,
  clock,
  parseCivil,
  parseClock,
  postgresEpochSeconds,
  readDigits,
  writeDate,
  writeEra,
  writeTime,
} from './calendar.ts';
import type { ClickHouseType } from './clickhouse-type.ts';
import { type Encode, InvalidValue, type OnInvalid } from './codec.ts';
import { powersOfTen } from './decimal.ts';
import {
  readInt32,
  readUint32,
  split,
  splitMillions,
  writeInt32,
  writeInt64,
  writeProduct,
} from './int64.ts';
import {
  type Encoders,
  notA,
  shown,
  shownBinary,
  type ValueType,
  type ValueTypes,
  type WriteText,
} from './value-type.ts';

/**
 * timestamp_send, timestamptz_send: Int64 microseconds since 2000-01-01 (UTC), its extremes for ±infinity. A timestamp
 * without time zone is taken as UTC.
 */
export const timestamps: ValueTypes = {
  timestamp: () => timestampType('timestamp', ''),
  timestamptz: () => timestampType('timestamptz', '+00'),
};

function timestampType(name: string, zone: string): ValueType {
  const writeText = timestampText(zone);
  return {
    defaultType: () => "DateTime64(6, 'UTC')",
    writeText,
    encoders(type, onInvalid) {
      const writer = instantWriter(name, type, onInvalid);
      return writer && timestampEncoders(name, writer, writeText);
    },
    limits(type) {
      const target = timestampTarget(type);
      return (
        target && {
          min: `'${instantText(target.minSeconds, 0, zone)}'`,
          max: `'${instantText(target.maxSeconds, target.maxMicros, zone)}'`,
          ...(target.precision < 6 ? { scale: target.precision } : {}),
          rejectsNaN: false,
          rejectsInfinity: true,
        }
      );
    },
  };
}

/** What a ClickHouse type holds: whole seconds since 1970, and after the last one as many microseconds. */
interface TimestampTarget {
  name: string;
  /** Digits of the fraction of a second. */
  precision: number;
  minSeconds: number;
  maxSeconds: number;
  maxMicros: number;
}

const year1 = -62135596800;
const year10000 = 253402300800;

/** DateTime64 holds the years 1 to 9999, less where ticks since 1970 pass Int64 (precision 9: 1677 to 2262). */
function timestampTarget({ name, args }: ClickHouseType): TimestampTarget | undefined {
  if (name === 'DateTime')
    return { name, precision: 0, minSeconds: 0, maxSeconds: 2 ** 32 - 1, maxMicros: 0 };
  if (name !== 'DateTime64') return undefined;
  const precision = Number(args[0]);
  const mostSeconds = Math.floor(2 ** 63 / 10 ** precision);
  return {
    name: `${name}(${precision})`,
    precision,
    minSeconds: Math.max(year1, -mostSeconds),
    maxSeconds: Math.min(year10000, mostSeconds) - 1,
    maxMicros: 1e6 - 10 ** Math.max(6 - precision, 0),
  };
}

/** Seconds since 1970 and microseconds of one value; reused, so that no object is made for a value. */
const instant = { seconds: 0, micros: 0 };

/** Writes instants into a ClickHouse type. */
export interface InstantWriter {
  precision: number;
  /** False when the type cannot hold it. */
  write(seconds: number, micros: number, out: ByteWriter): boolean;
  /** What happens then: writes the nearest bound or throws. `value` is for the message. */
  settle(seconds: number, value: string, out: ByteWriter): void;
}

/** `name`: the PostgreSQL type, for messages. `undefined` when the ClickHouse type holds no instants. */
export function instantWriter(
  name: string,
  type: ClickHouseType,
  onInvalid: OnInvalid,
): InstantWriter | undefined {
  const target = timestampTarget(type);
  if (!target) return undefined;
  const { precision, minSeconds, maxSeconds } = target;
  const ticksPerSecond = 10 ** precision;
  const microsPerTick = precision < 6 ? powersOfTen[6 - precision]! : 1;
  const ticksPerMicro = precision > 6 ? powersOfTen[precision - 6]! : 1;

  const write = (seconds: number, micros: number, out: ByteWriter): boolean => {
    if (!(seconds >= minSeconds && seconds <= maxSeconds) || micros % microsPerTick !== 0) return false;
    if (target.name === 'DateTime') writeInt32(out, seconds);
    else writeProduct(out, seconds, ticksPerSecond, (micros / microsPerTick) * ticksPerMicro);
    return true;
  };

  const settle = (seconds: number, value: string, out: ByteWriter): void => {
    const within = seconds >= minSeconds && seconds <= maxSeconds;
    if (within)
      throw new InvalidValue(
        `${name} ${value} has more than the ${precision} digits of a second that ${target.name} holds`,
      );
    const min = instantText(minSeconds, 0, '');
    const max = instantText(maxSeconds, target.maxMicros, '');
    if (onInvalid !== 'clamp')
      throw new InvalidValue(`${name} ${value} is outside ${target.name} (${min} to ${max})`);
    if (seconds < minSeconds) write(minSeconds, 0, out);
    else write(maxSeconds, target.maxMicros, out);
  };
  return { precision, write, settle };
}

function timestampEncoders(
  name: string,
  { precision, write, settle }: InstantWriter,
  writeText: WriteText,
): Encoders {
  const text: Encode = (src, start, end, out) => {
    parseTimestamp(name, src, start, end);
    const { seconds, micros } = instant;
    if (!write(seconds, micros, out)) settle(seconds, shown(src, start, end), out);
  };
  const binary: Encode = (src, start, end, out) => {
    readInstant(src, start);
    const { seconds, micros } = instant;
    if (!write(seconds, micros, out)) settle(seconds, shownBinary(writeText, src, start, end), out);
  };
  if (precision !== 6) return { text, binary };
  return {
    text,
    binary(src, start, end, out) {
      const hi = readInt32(src, start);
      // Well inside the years 1 to 9999: only the epoch changes.
      if (hi < minHi || hi > maxHi) {
        binary(src, start, end, out);
        return;
      }
      const lo = readUint32(src, start + 4) + epochMicrosLo;
      writeInt64(out, hi + epochMicrosHi + (lo > 0xffffffff ? 1 : 0), lo);
    },
  };
}

/** 946,684,800,000,000 µs between the epochs. */
const epochMicros = postgresEpochSeconds * 1e6;
const epochMicrosHi = Math.floor(epochMicros / 4294967296);
const epochMicrosLo = epochMicros % 4294967296;
const minHi = Math.ceil((year1 * 1e6 - epochMicros) / 4294967296);
const maxHi = Math.floor((year10000 * 1e6 - epochMicros) / 4294967296) - 1;

/** Fills `instant` from microseconds since 2000. */
function readInstant(src: Buffer, start: number): void {
  const hi = readInt32(src, start);
  const lo = readUint32(src, start + 4);
  if (hi === 0x7fffffff && lo === 0xffffffff) instant.seconds = Number.POSITIVE_INFINITY;
  else if (hi === -0x80000000 && lo === 0) instant.seconds = Number.NEGATIVE_INFINITY;
  else {
    splitMillions(hi, lo);
    instant.seconds = split.millions + postgresEpochSeconds;
    instant.micros = split.rest;
    return;
  }
  instant.micros = 0;
}

/** Fills `instant` from `YYYY-MM-DD HH:MM:SS[.ffffff][+HH[:MM[:SS]]][ BC]`. */
function parseTimestamp(name: string, src: Buffer, start: number, end: number): void {
  if (!parseCivil(src, start, end)) {
    instant.micros = 0;
    if (isAscii(src, start, end, 'infinity')) instant.seconds = Number.POSITIVE_INFINITY;
    else if (isAscii(src, start, end, '-infinity')) instant.seconds = Number.NEGATIVE_INFINITY;
    else throw notA(name, src, start, end);
    return;
  }
  if (!parseClock(src, civil.end + 1, end)) throw notA(name, src, start, end);
  let pos = clock.end;
  let offset = 0;
  if (pos < end && src[pos] !== 32) {
    const east = src[pos] === 43;
    offset = readDigits(src, pos + 1, 2) * 3600;
    pos += 3;
    for (let unit = 60; unit > 0 && pos < end && src[pos] === 58; unit = unit === 60 ? 1 : 0) {
      offset += readDigits(src, pos + 1, 2) * unit;
      pos += 3;
    }
    if (east) offset = -offset;
  }
  instant.seconds = civil.days * 86400 + clock.seconds + offset;
  instant.micros = clock.micros;
  if (Number.isNaN(instant.seconds)) throw notA(name, src, start, end);
}

function timestampText(zone: string): WriteText {
  return (src, start, _end, out) => {
    readInstant(src, start);
    writeInstant(out, instant.seconds, instant.micros, zone);
  };
}

/** Appends `YYYY-MM-DD HH:MM:SS[.ffffff]`, the zone and, where it is due, the era; or ±infinity. */
export function writeInstant(out: ByteWriter, seconds: number, micros: number, zone: string): void {
  if (!Number.isFinite(seconds)) {
    writeAscii(out, seconds > 0 ? 'infinity' : '-infinity');
    return;
  }
  const days = Math.floor(seconds / 86400);
  const beforeChrist = writeDate(out, days);
  out.writeByte(32);
  writeTime(out, seconds - days * 86400, micros);
  writeAscii(out, zone);
  writeEra(out, beforeChrist);
}

function instantText(seconds: number, micros: number, zone: string): string {
  const out = new ByteWriter(32);
  writeInstant(out, seconds, micros, zone);
  return out.written().toString('latin1');
}
