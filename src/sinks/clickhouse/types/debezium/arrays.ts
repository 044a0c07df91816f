import { isNullWord, notOneDimension, writeNull } from '../arrays.ts';
import { writeAscii } from '../ascii.ts';
import { isNullableType } from '../clickhouse-type.ts';
import { type Encode, InvalidValue, type OnInvalid } from '../codec.ts';
import { Quoting } from '../quoting.ts';
import { closeLength, openLength, type ValueType, type WriteText } from '../value-type.ts';
import { firstItem, isNull, nextItem, readToken, token, writeUnescapedJson } from './json-tokens.ts';
import {
  chooseWireElementEncoders,
  copyBytes,
  notWire,
  scratch,
  type WireElementEncoders,
  type WireForm,
} from './wire-form.ts';

/** Arrays: JSON arrays of what `element` says. */
export function arrayForm(element: WireForm, delimiter: ',' | ';', hint: string): WireForm {
  return {
    json: arrayText(element, delimiter, hint),
    encoders(target, onInvalid, { type }) {
      if (target.name !== 'Array' || !type.element) return undefined;
      return elementsInto(type.element, element, target.args[0]!, onInvalid, hint);
    },
  };
}

/** The short way of JSON arrays into `Array(elementType)`. */
export function elementsInto(
  type: ValueType,
  form: WireForm,
  elementType: string,
  onInvalid: OnInvalid,
  hint: string,
): { json: Encode } | undefined {
  const chosen = chooseWireElementEncoders(type, form, elementType, onInvalid);
  return chosen && { json: fromJson(chosen, isNullableType(elementType), hint) };
}

/** `isFlat`: the elements are no arrays themselves. */
function fromJson(element: WireElementEncoders, isFlat: boolean, hint: string): Encode {
  const unescaped = scratch();
  return (src, start, end, out) => {
    const at = openLength(out);
    let count = 0;
    let pos = firstItem(src, start, end, 91);
    for (; pos > 0; pos = nextItem(src, pos, end), count++) {
      const behind = readToken(src, pos, end);
      if (behind < 0) break;
      pos = behind;
      if (isNull(src, token)) {
        writeNull(element, out);
        continue;
      }
      if (isFlat && !token.isString && src[token.start] === 91) throw notOneDimension(src, start, end);
      if (element.nullable) out.writeByte(0);
      if (token.isString) {
        unescaped.pos = 0;
        writeUnescapedJson(src, token.start, token.end, unescaped);
        checkElement(unescaped.buf, unescaped.pos);
        element.text(unescaped.buf, 0, unescaped.pos, out);
      } else element.json(src, token.start, token.end, out);
    }
    if (pos !== 0) throw notWire('an array', src, start, end, hint);
    closeLength(out, at, count);
  };
}

/** What Java shows of an array in an array: `[Ljava.lang.String;@5eeaf62e`. */
const javaArray = /^\[L[\w.]+;@[0-9a-f]+$/;

/** Debezium loses the elements of a second dimension: those of text become what Java shows of an array, others NULL. */
function checkElement(buf: Buffer, length: number): void {
  if (buf[0] !== 91 || buf[1] !== 76 || !javaArray.test(buf.toString('latin1', 0, length))) return;
  throw new InvalidValue('the array has more than one dimension: its elements were lost in Debezium');
}

/** PostgreSQL's text of the array. Arrays in it are dimensions. */
function arrayText(element: WireForm, delimiter: ',' | ';', hint: string): WriteText {
  const quoting = new Quoting(`{}${delimiter}`, false);
  const delimiterByte = delimiter.charCodeAt(0);
  const unescaped = scratch();
  const { text = copyBytes, json = copyBytes } = element;
  const isNested = element.json === undefined;
  const write: WriteText = (src, start, end, out) => {
    let count = 0;
    out.writeByte(123);
    let pos = firstItem(src, start, end, 91);
    for (; pos > 0; pos = nextItem(src, pos, end), count++) {
      const behind = readToken(src, pos, end);
      if (behind < 0) break;
      pos = behind;
      if (count > 0) out.writeByte(delimiterByte);
      const at = out.pos;
      if (isNull(src, token)) {
        writeAscii(out, 'NULL');
        continue;
      }
      if (token.isString) {
        unescaped.pos = 0;
        writeUnescapedJson(src, token.start, token.end, unescaped);
        checkElement(unescaped.buf, unescaped.pos);
        text(unescaped.buf, 0, unescaped.pos, out);
      } else if (src[token.start] === 91 && isNested) {
        write(src, token.start, token.end, out);
        continue;
      } else json(src, token.start, token.end, out);
      if (isNullWord(out.buf, at, out.pos)) quoting.quote(out, at);
      else quoting.quoteWhereNeeded(out, at);
    }
    if (pos !== 0) throw notWire('an array', src, start, end, hint);
    out.writeByte(125);
  };
  return write;
}
