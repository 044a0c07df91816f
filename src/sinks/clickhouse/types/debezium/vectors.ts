import type { ByteWriter } from '../../../../core/byte-writer.ts';
import { writeAscii, writeDecimal } from '../ascii.ts';
import { float4Text } from '../float-text.ts';
import { floats } from '../floats.ts';
import { parseInteger } from '../integers.ts';
import { elementsInto } from './arrays.ts';
import { findMember, firstItem, memberValue, nextItem, readToken, token } from './json-tokens.ts';
import { notWire, type WireForm } from './wire-form.ts';

/** pgvector's `vector` and `halfvec` (`DoubleVector`, `FloatVector`): JSON arrays of numbers. */
export const vectorForm: WireForm = {
  json(src, start, end, out) {
    out.writeByte(91);
    let pos = firstItem(src, start, end, 91);
    for (let count = 0; pos > 0; pos = nextItem(src, pos, end), count++) {
      const behind = readToken(src, pos, end);
      if (behind < 0) break;
      pos = behind;
      if (count > 0) out.writeByte(44);
      writeFloat(src, out);
    }
    if (pos !== 0) throw notWire('a vector', src, start, end, '');
    out.writeByte(93);
  },
  encoders(target, onInvalid) {
    if (target.name !== 'Array') return undefined;
    return elementsInto(floats.float4!(-1), {}, target.args[0]!, onInvalid, '');
  },
};

/** Appends the number in `token` as pgvector prints it. */
function writeFloat(src: Buffer, out: ByteWriter): void {
  const value = Number(src.toString('latin1', token.start, token.end));
  if (Number.isNaN(value)) throw notWire('a number', src, token.start, token.end, '');
  writeAscii(out, float4Text(Math.fround(value)));
}

/** `sparsevec` (`SparseDoubleVector`): `{"dimensions":5,"vector":…}` with an object, or an array of pairs, by index. */
export const sparseVectorForm: WireForm = {
  json(src, start, end, out) {
    const fail = () => notWire('a sparse vector', src, start, end, '');
    if (!findMember(src, start, end, 'dimensions')) throw fail();
    const dimensions = parseInteger(src, token.start, token.end);
    if (Number.isNaN(dimensions) || !findMember(src, start, end, 'vector')) throw fail();
    const { start: from, end: to } = token;
    const values = src[from] === 123 ? readObject(src, from, to) : readPairs(src, from, to);
    if (!values || values.some(entry => entry.some(Number.isNaN))) throw fail();
    values.sort(([a], [b]) => a - b);
    out.writeByte(123);
    values.forEach(([index, value], i) => {
      if (i > 0) out.writeByte(44);
      writeDecimal(out, index);
      out.writeByte(58);
      writeAscii(out, float4Text(Math.fround(value)));
    });
    writeAscii(out, '}/');
    writeDecimal(out, dimensions);
  },
};

type Entry = [index: number, value: number];

function readObject(src: Buffer, start: number, end: number): Entry[] | undefined {
  const entries: Entry[] = [];
  let pos = firstItem(src, start, end, 123);
  for (; pos > 0; pos = nextItem(src, pos, end)) {
    pos = readToken(src, pos, end);
    if (pos < 0) return undefined;
    const index = parseInteger(src, token.start, token.end);
    pos = memberValue(src, pos, end);
    if (pos >= 0) pos = readToken(src, pos, end);
    if (pos < 0) return undefined;
    entries.push([index, Number(src.toString('latin1', token.start, token.end))]);
  }
  return pos === 0 ? entries : undefined;
}

function readPairs(src: Buffer, start: number, end: number): Entry[] | undefined {
  const entries: Entry[] = [];
  let pos = firstItem(src, start, end, 91);
  for (; pos > 0; pos = nextItem(src, pos, end)) {
    pos = readToken(src, pos, end);
    if (pos < 0) return undefined;
    const [index, value] = src
      .toString('latin1', token.start + 1, token.end - 1)
      .split(',')
      .map(Number);
    entries.push([index ?? Number.NaN, value ?? Number.NaN]);
  }
  return pos === 0 ? entries : undefined;
}
