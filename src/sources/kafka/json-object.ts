import type { ByteWriter } from '../../core/byte-writer.ts';
import { Kind } from '../../core/tuple.ts';
import { MalformedEnvelope } from './envelope.ts';
import type { Struct } from './envelope-content.ts';
import { fail, invalid, maxDepth, skipColon, skipSpace, skipString, skipValue } from './json-scan.ts';
import { writeUnescaped } from './json-unescape.ts';

/**
 * A JSON object taken apart: where its members' values lie. As `JSON.parse` has it, names stand in the order in which they
 * come first, and of members with one name the last one counts. Everything in it was checked.
 */
export class JsonObject implements Struct {
  readonly names: string[] = [];
  readonly #src: Buffer;
  /** `start` and `end` of the values, alternately, by place of the name. */
  readonly #bounds: number[] = [];
  readonly #places = new Map<string, number>();
  /** Containers around the values. */
  readonly depth: number;
  hasDuplicates = false;
  /** Position behind the object. */
  readonly end: number;

  /** @throws MalformedEnvelope when there is no valid JSON object at `start` */
  constructor(src: Buffer, start: number, end: number, depth = 0) {
    this.#src = src;
    this.depth = depth + 1;
    this.end = depth < maxDepth ? this.#scan(start, end) : fail(`nested deeper than ${maxDepth}`, start);
    if (this.end < 0) throw invalidJson();
  }

  #scan(start: number, end: number): number {
    const src = this.#src;
    let pos = skipSpace(src, start + 1, end);
    if (pos < end && src[pos] === 125) return pos + 1;
    for (;;) {
      if (pos >= end) return fail('ends in the middle', pos);
      if (src[pos] !== 34) return fail('no name', pos);
      const nameEnd = skipString(src, pos + 1, end);
      if (nameEnd < 0) return -1;
      const name = decodeString(src, pos, nameEnd);
      pos = skipColon(src, nameEnd, end);
      if (pos < 0) return -1;
      const valueEnd = skipValue(src, pos, end, this.depth);
      if (valueEnd < 0) return -1;
      this.#add(name, pos, valueEnd);
      pos = skipSpace(src, valueEnd, end);
      if (pos < end && src[pos] === 125) return pos + 1;
      if (pos >= end || src[pos] !== 44) return fail('neither a comma nor an end', pos);
      pos = skipSpace(src, pos + 1, end);
    }
  }

  #add(name: string, start: number, end: number): void {
    let place = this.#places.get(name);
    if (place === undefined) {
      place = this.names.push(name) - 1;
      this.#places.set(name, place);
    } else this.hasDuplicates = true;
    this.#bounds[place * 2] = start;
    this.#bounds[place * 2 + 1] = end;
  }

  indexOf(name: string): number {
    return this.#places.get(name) ?? -1;
  }

  start(i: number): number {
    return this.#bounds[i * 2]!;
  }

  valueEnd(i: number): number {
    return this.#bounds[i * 2 + 1]!;
  }

  isNull(i: number): boolean {
    return this.#src[this.start(i)] === 110;
  }

  write(i: number, out: ByteWriter): void {
    writeJsonValue(this.#src, this.start(i), this.valueEnd(i), out);
  }

  struct(name: string): JsonObject | null | undefined {
    const i = this.indexOf(name);
    if (i < 0) return undefined;
    if (this.isNull(i)) return null;
    const start = this.start(i);
    return this.#src[start] === 123
      ? new JsonObject(this.#src, start, this.valueEnd(i), this.depth)
      : undefined;
  }

  scalar(name: string): string | null | undefined {
    const i = this.indexOf(name);
    if (i < 0) return undefined;
    if (this.isNull(i)) return null;
    const byte = this.#src[this.start(i)]!;
    if (byte === 34) return decodeString(this.#src, this.start(i), this.valueEnd(i));
    return byte === 123 || byte === 91 ? undefined : this.json(name);
  }

  /** The JSON of the member `name`; `undefined` if it is missing. */
  json(name: string): string | undefined {
    const i = this.indexOf(name);
    return i < 0 ? undefined : this.#src.toString('utf8', this.start(i), this.valueEnd(i));
  }
}

/** The object that `src` is. @throws MalformedEnvelope when it is something else */
export function parseObject(src: Buffer, what: string): JsonObject {
  const start = skipSpace(src, 0, src.length);
  if (src[start] !== 123) throw new MalformedEnvelope(`${what} is not a JSON object`);
  const object = new JsonObject(src, start, src.length);
  const end = skipSpace(src, object.end, src.length);
  if (end < src.length) {
    fail('more behind its end', end);
    throw invalidJson();
  }
  return object;
}

/** What `json-scan.ts` found wrong last. */
export function invalidJson(): MalformedEnvelope {
  return new MalformedEnvelope(`no valid JSON: ${invalid.reason}, at byte ${invalid.at}`);
}

/** A checked JSON string, quotes included. */
function decodeString(src: Buffer, start: number, end: number): string {
  const text = src.toString('utf8', start + 1, end - 1);
  return text.includes('\\') ? JSON.parse(`"${text}"`) : text;
}

/** Appends the checked JSON value in `src[start..end)` as a tuple has it. */
export function writeJsonValue(src: Buffer, start: number, end: number, out: ByteWriter): void {
  const byte = src[start]!;
  out.reserve(5 + end - start);
  const { buf } = out;
  const at = out.pos;
  if (byte === 110) {
    buf[at] = Kind.null;
    out.pos = at + 1;
  } else if (byte === 34) {
    out.pos = writeUnescaped(src, start + 1, end - 1, buf, at + 5);
    writeHeader(buf, at, Kind.text, out.pos - at - 5);
  } else {
    src.copy(buf, at + 5, start, end);
    out.pos = at + 5 + end - start;
    writeHeader(buf, at, Kind.json, end - start);
  }
}

function writeHeader(buf: Buffer, at: number, kind: number, length: number): void {
  buf[at] = kind;
  buf[at + 1] = length >> 24;
  buf[at + 2] = length >> 16;
  buf[at + 3] = length >> 8;
  buf[at + 4] = length;
}
