import type { ByteWriter } from '../../../core/byte-writer.ts';
import { type ClickHouseType, decimalSize } from './clickhouse-type.ts';
import { type Encode, InvalidValue, type OnInvalid } from './codec.ts';
import { writeInteger } from './int64.ts';
import { shown } from './value-type.ts';

/** Powers of ten that are exact as numbers. */
export const powersOfTen = Float64Array.from({ length: 16 }, (_, exponent) => 10 ** exponent);

/**
 * A magnitude too large for a number: eight 32-bit limbs, least significant first, as wide as Decimal256. One is
 * enough for the process: a value is built and written without yielding.
 */
const limbs = new Uint32Array(8);

export function clearLimbs(): void {
  limbs.fill(0);
}

/** limbs = limbs * factor + addend; both below 2^20. False when it grows past 256 bits. */
export function multiplyAdd(factor: number, addend: number): boolean {
  let carry = addend;
  for (let i = 0; i < 8; i++) {
    const product = limbs[i]! * factor + carry;
    limbs[i] = product;
    carry = Math.floor(product / 4294967296);
  }
  return carry === 0;
}

/** limbs *= 10^exponent. */
export function scaleLimbs(exponent: number): boolean {
  let fits = true;
  for (let rest = exponent; rest > 0 && fits; rest -= 6) fits = multiplyAdd(10 ** Math.min(rest, 6), 0);
  return fits;
}

/** `Decimal(precision, scale)`: the number times 10^scale as an integer of 4, 8, 16 or 32 bytes. */
export class DecimalTarget {
  readonly precision: number;
  readonly scale: number;
  readonly size: 4 | 8 | 16 | 32;
  readonly #bound: number;
  readonly #boundLimbs: Uint32Array;

  constructor(type: ClickHouseType) {
    this.precision = Number(type.args[0]);
    this.scale = Number(type.args[1]);
    this.size = decimalSize(this.precision);
    this.#bound = 10 ** Math.min(this.precision, 22);
    clearLimbs();
    multiplyAdd(1, 1);
    scaleLimbs(this.precision);
    this.#boundLimbs = limbs.slice();
  }

  get name(): string {
    return `Decimal(${this.precision}, ${this.scale})`;
  }

  /** The largest value as PostgreSQL writes it. */
  get max(): string {
    const digits = '9'.repeat(this.precision).padStart(this.scale + 1, '0');
    return this.scale === 0 ? digits : `${digits.slice(0, -this.scale)}.${digits.slice(-this.scale)}`;
  }

  /** Writes `scaled` (the value times 10^scale, |scaled| < 2^53); false when it has too many digits. */
  writeNumber(out: ByteWriter, scaled: number): boolean {
    if (scaled >= this.#bound || scaled <= -this.#bound) return false;
    writeInteger(out, scaled, this.size);
    return true;
  }

  /** Writes the magnitude in the limbs; false when it has too many digits. */
  writeLimbs(out: ByteWriter, negative: boolean): boolean {
    if (!this.#limbsFit()) return false;
    const count = this.size / 4;
    out.reserve(this.size);
    const { buf } = out;
    let { pos } = out;
    let carry = 1;
    for (let i = 0; i < count; i++) {
      let limb = limbs[i]!;
      if (negative) {
        limb = (~limb >>> 0) + carry;
        carry = limb > 0xffffffff ? 1 : 0;
      }
      buf[pos++] = limb;
      buf[pos++] = limb >>> 8;
      buf[pos++] = limb >>> 16;
      buf[pos++] = limb >>> 24;
    }
    out.pos = pos;
    return true;
  }

  #limbsFit(): boolean {
    for (let i = 7; i >= 0; i--) {
      const difference = limbs[i]! - this.#boundLimbs[i]!;
      if (difference !== 0) return difference < 0;
    }
    return false;
  }

  /** Writes the largest or smallest value. */
  writeBound(out: ByteWriter, negative: boolean): void {
    clearLimbs();
    for (let i = 0; i < this.precision; i++) multiplyAdd(10, 9);
    this.writeLimbs(out, negative);
  }
}

/** What `writeDecimalText` found. */
export type DecimalOutcome = 'written' | 'too-large' | 'too-fine' | 'malformed';

/** Writes PostgreSQL's text of a number (`-12.50`; numeric never prints exponents). */
export function writeDecimalText(
  target: DecimalTarget,
  src: Buffer,
  start: number,
  end: number,
  out: ByteWriter,
): DecimalOutcome {
  const negative = src[start] === 45;
  const from = negative ? start + 1 : start;
  if (from >= end) return 'malformed';
  // Up to 15 digits with their scale: one number.
  if (end - from <= 16) {
    let value = 0;
    let digits = 0;
    let fraction = -1;
    for (let i = from; i < end; i++) {
      const digit = src[i]! - 48;
      if (digit === -2 && fraction < 0) fraction = 0;
      else if (digit < 0 || digit > 9) return 'malformed';
      else if (fraction < target.scale) {
        value = value * 10 + digit;
        digits++;
        if (fraction >= 0) fraction++;
      } else if (digit !== 0) return 'too-fine';
    }
    const shift = target.scale - Math.max(fraction, 0);
    if (digits + shift <= 15) {
      const scaled = value * powersOfTen[shift]!;
      return target.writeNumber(out, negative && scaled !== 0 ? -scaled : scaled) ? 'written' : 'too-large';
    }
  }
  return writeLongDecimalText(target, src, from, end, negative, out);
}

function writeLongDecimalText(
  target: DecimalTarget,
  src: Buffer,
  from: number,
  end: number,
  negative: boolean,
  out: ByteWriter,
): DecimalOutcome {
  clearLimbs();
  let fits = true;
  let fraction = -1;
  for (let i = from; i < end; i++) {
    const digit = src[i]! - 48;
    if (digit === -2 && fraction < 0) fraction = 0;
    else if (digit < 0 || digit > 9) return 'malformed';
    else if (fraction < target.scale) {
      fits = multiplyAdd(10, digit) && fits;
      if (fraction >= 0) fraction++;
    } else if (digit !== 0) return 'too-fine';
  }
  fits = fits && scaleLimbs(target.scale - Math.max(fraction, 0));
  return fits && target.writeLimbs(out, negative) ? 'written' : 'too-large';
}

/** From PostgreSQL's text of an integer or a numeric. */
export function decimalFromText(target: DecimalTarget, onInvalid: OnInvalid): Encode {
  return (src, start, end, out) => {
    const outcome = writeDecimalText(target, src, start, end, out);
    if (outcome !== 'written') settleMisfit(target, onInvalid, outcome, shown(src, start, end), out);
  };
}

/** Writes the nearest bound where that is the policy and the value has one, throws otherwise. */
export function settleMisfit(
  target: DecimalTarget,
  onInvalid: OnInvalid,
  outcome: DecimalOutcome,
  value: string,
  out: ByteWriter,
): void {
  if (outcome === 'too-fine')
    throw new InvalidValue(
      `${value} has more than the ${target.scale} digits after the point that ${target.name} holds`,
    );
  if (outcome === 'malformed' && !/^(NaN|-?Infinity)$/.test(value))
    throw new InvalidValue(`${JSON.stringify(value)} is not the text of a number`);
  if (onInvalid !== 'clamp' || value === 'NaN')
    throw new InvalidValue(`${value} is outside ${target.name} (-${target.max} to ${target.max})`);
  target.writeBound(out, value.startsWith('-'));
}
