import type { ByteWriter } from '../../../../core/byte-writer.ts';
import { isAscii, writeAscii } from '../ascii.ts';
import { float8Text } from '../float-text.ts';
import { decodeBase64 } from './base64.ts';
import { findMember, token } from './json-tokens.ts';
import { notWire, scratch, type WireForm } from './wire-form.ts';

/** `point`: `{"x":1.5,"y":-2.0,…}`. */
export const pointForm: WireForm = {
  json(src, start, end, out) {
    writePoint(out, readDouble(src, start, end, 'x'), readDouble(src, start, end, 'y'));
  },
};

/** `circle`: `{"center":{"x":…,"y":…},"radius":…}`. */
export const circleForm: WireForm = {
  json(src, start, end, out) {
    const radius = readDouble(src, start, end, 'radius');
    if (!findMember(src, start, end, 'center')) throw notWire('a circle', src, start, end, '');
    const { start: from, end: to } = token;
    out.writeByte(60);
    writePoint(out, readDouble(src, from, to, 'x'), readDouble(src, from, to, 'y'));
    writeAscii(out, `,${float8Text(radius)}>`);
  },
};

/** `line`: `{"a":…,"b":…,"c":…}`. */
export const lineForm: WireForm = {
  json(src, start, end, out) {
    const text = ['a', 'b', 'c'].map(name => float8Text(readDouble(src, start, end, name)));
    writeAscii(out, `{${text.join(',')}}`);
  },
};

/**
 * PostGIS' `geometry` and `geography`: `{"wkb":"…","srid":…}`, whose bytes are those that PostGIS prints in hexadecimal. `box`,
 * `lseg`, `path` and `polygon` have the name of their type in `extensions` and their points in the bytes.
 */
export const geometryForm: WireForm = {
  json(src, start, end, out) {
    wkb.pos = 0;
    if (
      !findMember(src, start, end, 'wkb') ||
      !token.isString ||
      !decodeBase64(src, token.start, token.end, wkb)
    )
      throw notWire('a geometry', src, start, end, '');
    const bytes = wkb.written();
    if (!findMember(src, start, end, 'extensions') || src[token.start] !== 123) {
      writeAscii(out, bytes.toString('hex').toUpperCase());
      return;
    }
    const { start: from, end: to } = token;
    const isClosed = findMember(src, from, to, 'closed') && isAscii(src, token.start, token.end, 'true');
    const type = findMember(src, from, to, 'type') ? src.toString('latin1', token.start, token.end) : '';
    const text = shapeText(type, isClosed, readPoints(bytes));
    if (text === undefined) throw notWire('a geometric value', src, start, end, '');
    writeAscii(out, text);
  },
};

const wkb = scratch();

/** As `form`, with the numbers of text as PostgreSQL prints them: Java has `2.0` and `1.0E300`. */
export function withPostgresNumbers(form: WireForm): WireForm {
  const { text } = form;
  const plain = scratch();
  return {
    ...form,
    text(src, start, end, out) {
      plain.pos = 0;
      text!(src, start, end, plain);
      const shape = plain.buf.toString('latin1', 0, plain.pos);
      writeAscii(
        out,
        shape.replace(/-?(?:\d[\d.]*(?:E-?\d+)?|Infinity)|NaN/g, number => float8Text(Number(number))),
      );
    },
  };
}

function readDouble(src: Buffer, start: number, end: number, name: string): number {
  if (!findMember(src, start, end, name)) throw notWire(`an object with "${name}"`, src, start, end, '');
  const text = src.toString('latin1', token.start, token.end);
  const value = Number(text);
  if (text === '' || (Number.isNaN(value) && text !== 'NaN')) throw notWire('a number', src, start, end, '');
  return value;
}

function writePoint(out: ByteWriter, x: number, y: number): void {
  writeAscii(out, pointText([x, y]));
}

type Point = readonly [x: number, y: number];

function pointText([x, y]: Point): string {
  return `(${float8Text(x)},${float8Text(y)})`;
}

const lineString = 2;
const polygon = 3;

/** The points of a line string, or of the only ring of a polygon, in well-known binary. */
function readPoints(bytes: Buffer): Point[] {
  const isLittle = bytes[0] === 1;
  const int = (at: number) => (isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const double = (at: number) => (isLittle ? bytes.readDoubleLE(at) : bytes.readDoubleBE(at));
  if (bytes.length < 9) return [];
  const type = int(1);
  const countAt = type === polygon ? 9 : 5;
  if ((type !== lineString && type !== polygon) || bytes.length < countAt + 4) return [];
  const count = int(countAt);
  if (bytes.length !== countAt + 4 + count * 16) return [];
  return Array.from({ length: count }, (_, i): Point => {
    const at = countAt + 4 + i * 16;
    return [double(at), double(at + 8)];
  });
}

function shapeText(type: string, isClosed: boolean, points: readonly Point[]): string | undefined {
  if (points.length === 0) return undefined;
  const list = (some: readonly Point[]) => some.map(pointText).join(',');
  switch (type) {
    case 'box':
      // A ring around it: two of its corners are opposite.
      return points.length === 5 ? list([points[0]!, points[2]!]) : undefined;
    case 'lseg':
      return `[${list(points)}]`;
    case 'path':
      return isClosed ? `(${list(points)})` : `[${list(points)}]`;
    case 'polygon':
      return `(${list(openRing(points))})`;
    default:
      return undefined;
  }
}

/** Debezium ends a ring with its first point, unless it did already. */
function openRing(points: readonly Point[]): readonly Point[] {
  const first = points[0]!;
  const last = points.at(-1)!;
  return points.length > 1 && first[0] === last[0] && first[1] === last[1] ? points.slice(0, -1) : points;
}
