import { ByteWriter } from '../../../../core/byte-writer.ts';
import { isAscii, writeAscii, writeDecimal } from '../ascii.ts';
import { DecimalTarget, powersOfTen } from '../decimal.ts';
import { parseInteger } from '../integers.ts';
import { writeMoney } from '../money.ts';
import { viaText, type WriteText } from '../value-type.ts';
import { decodeBase64 } from './base64.ts';
import { findMember, token } from './json-tokens.ts';
import { copyBytes, notWire, type WireForm } from './wire-form.ts';

/**
 * What a JSON string says of a `numeric`: its digits (`decimal.handling.mode` string), or Base64 of the unscaled value, two's
 * complement and big-endian (`precise`), which needs the scale.
 */
export type DecimalStrings = 'digits' | 'unknown' | { scale: number };

/** The longest unscaled value that is a number in JavaScript. */
const numberBytes = 6;

/** What a JSON number is: a decimal (`decimal.format=NUMERIC` of the converter), a double (`decimal.handling.mode`), or refused. */
export type DecimalNumbers = 'exact' | 'double' | 'refused';

export interface NumericForm {
  strings: DecimalStrings;
  numbers: DecimalNumbers;
  /** Digits after the point that PostgreSQL's text has; `undefined` where values differ in it. */
  scale: number | undefined;
  hint: string;
}

/** `numeric`. Objects (`VariableScaleDecimal`) bring their scale. */
export function numericForm({ strings, numbers, scale, hint }: NumericForm): WireForm {
  const read: WriteText =
    strings === 'digits'
      ? digitsText(hint)
      : strings === 'unknown'
        ? (src, start, end, out) => {
            if (!writeSpecial(src, start, end, out))
              throw notWire('a numeric: it is text or Base64 without its scale', src, start, end, hint);
          }
        : base64Text(strings.scale, hint);
  const text: WriteText = (src, start, end, out) => {
    const at = out.pos;
    read(src, start, end, out);
    if (scale !== undefined) dropZeros(out, at, scale);
  };
  const json: WriteText = (src, start, end, out) => {
    if (src[start] === 123) writeVariableScale(src, start, end, out, hint);
    else if (numbers === 'refused') throw notWire('a numeric', src, start, end, hint);
    else if (!writeSpecial(src, start, end, out))
      writeNumberText(src, start, end, scale ?? 0, numbers, out, hint);
  };
  return {
    text,
    json,
    encoders(type, _onInvalid, { postgresText }) {
      if (strings === 'unknown' || type.name !== 'Decimal') return undefined;
      const long = viaText(text, postgresText);
      if (strings === 'digits')
        // Digits are PostgreSQL's text; what ends otherwise may be a special value.
        return {
          text: (src, start, end, out) =>
            src[end - 1]! <= 57 ? postgresText(src, start, end, out) : long(src, start, end, out),
        };
      const target = new DecimalTarget(type);
      const shift = target.scale - strings.scale;
      if (shift < 0 || shift > 15) return undefined;
      const factor = powersOfTen[shift]!;
      const bytes = new ByteWriter(8);
      return {
        text(src, start, end, out) {
          if (end - start <= 8) {
            bytes.pos = 0;
            if (decodeBase64(src, start, end, bytes) && bytes.pos > 0 && bytes.pos <= numberBytes) {
              const scaled = bytes.buf.readIntBE(0, bytes.pos) * factor;
              if (Math.abs(scaled) <= Number.MAX_SAFE_INTEGER && target.writeNumber(out, scaled)) return;
            }
          }
          long(src, start, end, out);
        },
      };
    },
  };
}

/** `money`: as `number` says it, a `numeric` of two digits after the point, as PostgreSQL's C locale has it. */
export function moneyForm(number: WireForm, hint: string): WireForm {
  const plain = new ByteWriter(32);
  const asMoney =
    (write: WriteText): WriteText =>
    (src, start, end, out) => {
      plain.pos = 0;
      write(src, start, end, plain);
      const text = plain.buf.toString('latin1', 0, plain.pos);
      const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,2})0*)?$/.exec(text) ?? [];
      if (whole === undefined) throw notWire('a money', src, start, end, hint);
      writeMoney(out, sign === '-', `${whole}${fraction.padEnd(2, '0')}`.replace(/^0+(?=\d)/, ''));
    };
  return { text: asMoney(number.text ?? copyBytes), json: asMoney(number.json ?? copyBytes) };
}

/** What Debezium and Java call the numbers that are none. */
const specials: [string, string][] = [
  ['NaN', 'NaN'],
  ['NAN', 'NaN'],
  ['Infinity', 'Infinity'],
  ['-Infinity', '-Infinity'],
  ['POSITIVE_INFINITY', 'Infinity'],
  ['NEGATIVE_INFINITY', '-Infinity'],
];

function writeSpecial(src: Buffer, start: number, end: number, out: ByteWriter): boolean {
  const found = specials.find(([name]) => isAscii(src, start, end, name));
  if (found) writeAscii(out, found[1]);
  return found !== undefined;
}

function digitsText(hint: string): WriteText {
  return (src, start, end, out) => {
    if (writeSpecial(src, start, end, out)) return;
    if (!isPlainNumber(src, start, end)) throw notWire('the text of a number', src, start, end, hint);
    out.writeBytes(src, start, end);
  };
}

/**
 * Takes zeros away that are more than `scale` after the point: Debezium takes a negative scale for one from 1024 up, as
 * PostgreSQL stores it.
 */
function dropZeros(out: ByteWriter, at: number, scale: number): void {
  const { buf, pos } = out;
  if (pos - at <= scale + 1) return;
  let point = at;
  while (point < pos && buf[point] !== 46) point++;
  const wanted = point + (scale > 0 ? scale + 1 : 0);
  let to = pos;
  while (to > wanted && point < pos && (buf[to - 1] === 48 || to - 1 === point)) to--;
  out.pos = to;
}

function isPlainNumber(src: Buffer, start: number, end: number): boolean {
  let digits = 0;
  let points = 0;
  for (let i = src[start] === 45 ? start + 1 : start; i < end; i++) {
    if (src[i] === 46) points++;
    else if (src[i]! >= 48 && src[i]! <= 57) digits++;
    else return false;
  }
  return digits > 0 && points <= 1;
}

/** As many digits every double gives back as it got them. */
const doubleDigits = 15;

const unscaled = new ByteWriter(64);

function base64Text(scale: number, hint: string): WriteText {
  return (src, start, end, out) => {
    unscaled.pos = 0;
    if (!decodeBase64(src, start, end, unscaled) || unscaled.pos === 0)
      throw notWire('a decimal in Base64', src, start, end, hint);
    writeUnscaled(unscaled.buf, unscaled.pos, scale, out);
  };
}

/** `{"scale":1,"value":"…"}` */
function writeVariableScale(src: Buffer, start: number, end: number, out: ByteWriter, hint: string): void {
  const scale = findMember(src, start, end, 'scale') ? parseInteger(src, token.start, token.end) : Number.NaN;
  unscaled.pos = 0;
  if (
    Number.isNaN(scale) ||
    !findMember(src, start, end, 'value') ||
    !token.isString ||
    !decodeBase64(src, token.start, token.end, unscaled) ||
    unscaled.pos === 0
  )
    throw notWire('a decimal with its scale', src, start, end, hint);
  writeUnscaled(unscaled.buf, unscaled.pos, scale, out);
}

/** Appends the text of the two's complement `bytes[0..length)` times 10^-scale. */
function writeUnscaled(bytes: Buffer, length: number, scale: number, out: ByteWriter): void {
  if (length <= numberBytes) {
    const value = bytes.readIntBE(0, length);
    if (value < 0) out.writeByte(45);
    writeDecimal(out, Math.abs(value), Math.max(scale, 0) + 1);
    placePoint(out, value === 0 ? Math.max(scale, 0) : scale);
    return;
  }
  const bits = BigInt(length * 8);
  const value = BigInt.asIntN(Number(bits), BigInt(`0x${bytes.toString('hex', 0, length)}`));
  if (value < 0n) out.writeByte(45);
  writeAscii(out, String(value < 0n ? -value : value).padStart(Math.max(scale, 0) + 1, '0'));
  placePoint(out, value === 0n ? Math.max(scale, 0) : scale);
}

/** Puts the point into the digits that were written last, or zeros behind them where the scale is negative. */
function placePoint(out: ByteWriter, scale: number): void {
  if (scale < 0) writeAscii(out, '0'.repeat(-scale));
  if (scale <= 0) return;
  out.reserve(1);
  const at = out.pos - scale;
  out.buf.copyWithin(at + 1, at, out.pos);
  out.buf[at] = 46;
  out.pos++;
}

/** Appends the digits of a JSON number (`12.5`, `1.0E22`) without exponent, with at least `scale` of them after the point. */
function writeNumberText(
  src: Buffer,
  start: number,
  end: number,
  scale: number,
  numbers: DecimalNumbers,
  out: ByteWriter,
  hint: string,
): void {
  const text = src.toString('latin1', start, end);
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  if (whole === undefined || Math.abs(Number(exponent)) > 400)
    throw notWire('a number', src, start, end, hint);
  if (numbers === 'double' && `${whole}${fraction}`.replace(/^0+|0+$/g, '').length > doubleDigits)
    throw notWire(
      `exact: a double has ${doubleDigits} digits; set the connector's decimal.handling.mode to string or precise`,
      src,
      start,
      end,
      hint,
    );
  const point = whole.length + Number(exponent);
  const digits = `${'0'.repeat(Math.max(-point, 0))}${whole}${fraction}`.padEnd(point, '0');
  const integer = digits.slice(0, Math.max(point, 0)).replace(/^0+(?=\d)/, '') || '0';
  const rest = digits.slice(Math.max(point, 0)).replace(/0+$/, '').padEnd(scale, '0');
  const isZero = /^[0.]*$/.test(integer + rest);
  writeAscii(out, `${isZero ? '' : sign}${integer}${rest ? `.${rest}` : ''}`);
}
