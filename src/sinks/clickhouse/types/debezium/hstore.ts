import { writeAscii } from '../ascii.ts';
import { Quoting } from '../quoting.ts';
import type { WriteText } from '../value-type.ts';
import {
  firstItem,
  isNull,
  memberValue,
  nextItem,
  readToken,
  token,
  writeUnescapedJson,
} from './json-tokens.ts';
import { notWire, scratch, type WireForm } from './wire-form.ts';

const quoting = new Quoting('', false);
const unescaped = scratch();

/** Where a pair stands in `unescaped`; `valueEnd` is -1 for NULL. */
interface Pair {
  start: number;
  keyEnd: number;
  valueEnd: number;
}

/** `hstore`: a JSON object, as text (`hstore.handling.mode` json) or as it is (`map`). */
export function hstoreForm(hint: string): WireForm {
  const write: WriteText = (src, start, end, out) => {
    const pairs: Pair[] = [];
    unescaped.pos = 0;
    let pos = firstItem(src, start, end, 123);
    for (; pos > 0; pos = nextItem(src, pos, end)) {
      const pair = readPair(src, pos, end);
      if (pair < 0) break;
      pos = pair;
      pairs.push({ ...read });
    }
    if (pos !== 0) throw notWire('an hstore as a JSON object', src, start, end, hint);
    pairs.sort(inOrder).forEach((pair, i) => {
      if (i > 0) writeAscii(out, ', ');
      writeQuoted(pair.start, pair.keyEnd);
      writeAscii(out, '=>');
      if (pair.valueEnd < 0) writeAscii(out, 'NULL');
      else writeQuoted(pair.keyEnd, pair.valueEnd);
    });

    function writeQuoted(from: number, to: number): void {
      const at = out.pos;
      out.writeBytes(unescaped.buf, from, to);
      quoting.quote(out, at);
    }
  };
  return { text: write, json: write };
}

const read: Pair = { start: 0, keyEnd: 0, valueEnd: 0 };

/** Reads the member at `pos` into `unescaped` and `read`. Position behind it; -1 when it is none of two strings. */
function readPair(src: Buffer, pos: number, end: number): number {
  let at = readToken(src, pos, end);
  if (at < 0 || !token.isString) return -1;
  read.start = unescaped.pos;
  writeUnescapedJson(src, token.start, token.end, unescaped);
  read.keyEnd = unescaped.pos;
  at = memberValue(src, at, end);
  if (at >= 0) at = readToken(src, at, end);
  if (at < 0) return -1;
  if (isNull(src, token)) {
    read.valueEnd = -1;
    return at;
  }
  if (!token.isString) return -1;
  writeUnescapedJson(src, token.start, token.end, unescaped);
  read.valueEnd = unescaped.pos;
  return at;
}

/** hstore_out gives the pairs by the length of their keys, then by their bytes. */
function inOrder(a: Pair, b: Pair): number {
  const difference = a.keyEnd - a.start - (b.keyEnd - b.start);
  return difference || unescaped.buf.compare(unescaped.buf, b.start, b.keyEnd, a.start, a.keyEnd);
}
