import { Op } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { below, derive, hash, share } from './hash.ts';
import { amountOf, writePayload } from './payload.ts';
import { Sequence } from './sequence.ts';
import { userEventsTable } from './table.ts';
import { eventTypes, Visits } from './visits.ts';

/** What the rows depend on, beside their number. */
export interface UserEventOptions {
  seed: number;
  users: number;
  updates: number;
  deletes: number;
  /** Time of the first event, as `2025-01-01`, or with time and zone. */
  start: string;
}

/** Raised when other rows come out of the same options. */
const generation = 1;

/** The options as one text: rows of a pipeline go together only as long as it stays the same. */
export function describeUserEvents({ seed, users, updates, deletes, start }: UserEventOptions): string {
  return `generation ${generation}, seed ${seed}, users ${users}, updates ${updates}, deletes ${deletes}, start ${start}`;
}

const columns = userEventsTable.columns.length;
const typeTexts = eventTypes.map(type => Buffer.from(type));
const postgresEpochMs = Date.UTC(2000, 0, 1);
const negative = 0x4000;

/**
 * The changes of `user_events` by sequence number, from 1: what happens at a number is a pure function of the options and the
 * number. An update or delete is of a row that was inserted before and is there.
 */
export class UserEvents {
  readonly #sequence: Sequence;
  readonly #visits: Visits;
  readonly #users: number;
  readonly #revisions: number;
  readonly #startUs: number;

  constructor(options: UserEventOptions) {
    this.#sequence = new Sequence(options);
    this.#visits = new Visits(options);
    this.#users = derive(hash(0, options.seed), 3);
    this.#revisions = derive(hash(0, options.seed), 4);
    this.#startUs = (Date.parse(options.start) - postgresEpochMs) * 1000;
  }

  /** Appends the bytes of change `n` (`core/tuple.ts`, values in PostgreSQL's send form). Returns its op. */
  write(n: number, out: ByteWriter): number {
    const sequence = this.#sequence;
    sequence.at(n);
    const { op, id } = sequence;
    if (op === Op.delete) {
      this.#open(Marker.key, out);
      writeId(id, out);
      out.reserve(columns);
      for (let i = 1; i < columns; i++) out.buf[out.pos++] = Kind.null;
    } else {
      this.#open(Marker.new, out);
      // Never 0, which stands for an insert.
      this.#writeRow(id, op === Op.update ? hash(this.#revisions, n) || 1 : 0, out);
    }
    return op;
  }

  /** The id of the row that change `n` is about. */
  idOf(n: number): number {
    this.#sequence.at(n);
    return this.#sequence.id;
  }

  /** The number of the change that inserts `id`. */
  insertOf(id: number): number {
    return this.#sequence.insertOf(id);
  }

  #open(marker: number, out: ByteWriter): void {
    out.reserve(3);
    const { buf, pos } = out;
    buf[pos] = marker;
    buf[pos + 1] = 0;
    buf[pos + 2] = columns;
    out.pos = pos + 3;
  }

  #writeRow(id: number, revision: number, out: ByteWriter): void {
    const visits = this.#visits;
    visits.at(id);
    writeId(id, out);
    this.#writeUser(out);
    const type = typeTexts[visits.type]!;
    openValue(type.length, out);
    out.writeBytes(type, 0, type.length);
    openValue(0, out);
    const start = out.pos;
    out.writeByte(1); // the version of jsonb_send
    writePayload(visits, revision, out);
    writeInt32(out.buf, start - 4, out.pos - start);
    const cents = amountOf(visits, revision);
    if (cents === undefined) out.writeByte(Kind.null);
    else writeNumeric(cents, out);
    openValue(8, out);
    writeInt64(this.#startUs + visits.timeUs - lateUs(visits.event), out);
  }

  /** A random UUID for each user. */
  #writeUser(out: ByteWriter): void {
    const user = hash(this.#users, this.#visits.user);
    openValue(16, out);
    out.reserve(16);
    const { buf, pos } = out;
    for (let i = 0; i < 4; i++) writeInt32(buf, pos + 4 * i, derive(user, i));
    // The hash itself, which no other user has.
    writeInt32(buf, pos + 12, user);
    buf[pos + 6] = (buf[pos + 6]! & 0x0f) | 0x40;
    buf[pos + 8] = (buf[pos + 8]! & 0x3f) | 0x80;
    out.pos = pos + 16;
  }
}

/** Some events come late: most of them by minutes, few by days. */
function lateUs(event: number): number {
  const late = derive(event, 101);
  const luck = share(late);
  if (luck >= 0.02) return 0;
  const limit = luck < 0.001 ? 3 * 86_400 : 90 * 60;
  return (60 + below(derive(late, 1), limit)) * 1_000_000;
}

function openValue(length: number, out: ByteWriter): void {
  out.reserve(5);
  out.buf[out.pos] = Kind.binary;
  writeInt32(out.buf, out.pos + 1, length);
  out.pos += 5;
}

function writeId(id: number, out: ByteWriter): void {
  openValue(8, out);
  writeInt64(id, out);
}

/** int8send, timestamptz_send. */
function writeInt64(value: number, out: ByteWriter): void {
  out.reserve(8);
  const hi = Math.floor(value / 4294967296);
  writeInt32(out.buf, out.pos, hi);
  writeInt32(out.buf, out.pos + 4, value - hi * 4294967296);
  out.pos += 8;
}

/** numeric_send (src/backend/utils/adt/numeric.c): base-10000 digits without zeros at either end, of cents below 10^10. */
function writeNumeric(cents: number, out: ByteWriter): void {
  const absolute = Math.abs(cents);
  const whole = Math.floor(absolute / 100);
  const high = Math.floor(whole / 10_000);
  const low = whole - high * 10_000;
  const fraction = (absolute - whole * 100) * 100;
  const weight = high > 0 ? 1 : low > 0 ? 0 : -1;
  const last = fraction > 0 ? -1 : low > 0 ? 0 : 1;
  const digits = absolute === 0 ? 0 : weight - last + 1;
  openValue(8 + 2 * digits, out);
  out.reserve(8 + 2 * digits);
  const { buf, pos } = out;
  writeInt16(buf, pos, digits);
  writeInt16(buf, pos + 2, digits === 0 ? 0 : weight);
  writeInt16(buf, pos + 4, cents < 0 ? negative : 0);
  writeInt16(buf, pos + 6, 2);
  for (let i = 0; i < digits; i++) {
    const place = weight - i;
    writeInt16(buf, pos + 8 + 2 * i, place === 1 ? high : place === 0 ? low : fraction);
  }
  out.pos = pos + 8 + 2 * digits;
}

function writeInt16(buf: Buffer, pos: number, value: number): void {
  buf[pos] = value >> 8;
  buf[pos + 1] = value;
}

function writeInt32(buf: Buffer, pos: number, value: number): void {
  buf[pos] = value >>> 24;
  buf[pos + 1] = value >>> 16;
  buf[pos + 2] = value >>> 8;
  buf[pos + 3] = value;
}
