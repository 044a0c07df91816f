/**
 * PostgreSQL's text of floats (`extra_float_digits` ≥ 1): the shortest digits that read back as the same float. Unlike
 * JavaScript it never takes digits that lie exactly between two floats, and it turns to exponents at 10^15 (float4:
 * 10^6) and below 10^-4.
 */
export function float8Text(value: number): string {
  return special(value) ?? layOut(value < 0, shortestFloat8(Math.abs(value)), 15);
}

export function float4Text(value: number): string {
  return special(value) ?? layOut(value < 0, shortestFloat4(Math.abs(value)), 6);
}

function special(value: number): string | undefined {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (Number.isFinite(value)) return undefined;
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Infinity' : 'Infinity';
}

/** 0.d₁d₂d₃… × 10^point */
interface Digits {
  digits: string;
  point: number;
}

/** `exponential` is what toExponential() gives: `d.ddde±x`. */
function digitsOf(exponential: string): Digits {
  const at = exponential.indexOf('e');
  return {
    digits: exponential.slice(0, at).replace('.', '').replace(/0+$/, ''),
    point: Number(exponential.slice(at + 1)) + 1,
  };
}

function layOut(negative: boolean, { digits, point }: Digits, maxPoint: number): string {
  const sign = negative ? '-' : '';
  if (point > maxPoint || point < -3) {
    const exponent = point - 1;
    const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
    const magnitude = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${magnitude}`;
  }
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (digits.length <= point) return `${sign}${digits}${'0'.repeat(point - digits.length)}`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function shortestFloat8(value: number): Digits {
  const found = digitsOf(value.toExponential());
  // Digits can lie halfway between two doubles only where doubles are whole numbers that 5^k can divide.
  if (value < 2 ** 53 || value > 1e40 || !isHalfway(value, found)) return found;
  return shortestInside(BigInt(value), BigInt(gapAbove(value)), isPowerOfTwo(value));
}

function isHalfway(value: number, { digits, point }: Digits): boolean {
  const decimal = BigInt(digits) * 10n ** BigInt(point - digits.length);
  const distance = decimal - BigInt(value);
  const gap = BigInt(gapAbove(value));
  if (distance >= 0n) return distance * 2n === gap;
  return -distance * (isPowerOfTwo(value) ? 4n : 2n) === gap;
}

/** Distance to the next double, for values from 2^53 up. */
function gapAbove(value: number): number {
  return 2 ** (Math.floor(Math.log2(value)) - 52);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value)) && 2 ** Math.log2(value) === value;
}

/** The shortest digits strictly between the midpoints around the whole number `value`, closest to it. */
function shortestInside(value: bigint, gap: bigint, narrowBelow: boolean): Digits {
  const text = String(value);
  // In quarters of the gap.
  const below = narrowBelow ? 1n : 2n;
  for (let kept = 1; ; kept++) {
    const unit = 10n ** BigInt(text.length - kept);
    const floor = value / unit;
    const candidates = [floor, floor + 1n].filter(candidate => {
      const distance = (candidate * unit - value) * 4n;
      return distance >= 0n ? distance < 2n * gap : -distance < below * gap;
    });
    if (candidates.length === 0) continue;
    const closest = candidates.reduce((a, b) => (value * 2n - a * unit < b * unit ? a : b));
    const digits = String(closest);
    return { digits: digits.replace(/0+$/, ''), point: text.length + digits.length - kept };
  }
}

function shortestFloat4(value: number): Digits {
  for (let kept = 1; kept < 9; kept++) {
    const found = rounded(value, kept);
    if (readsBackInside(Number(found), value)) return digitsOf(found);
    // Below a power of two floats lie closer: the nearest digits may miss, the next ones up may not.
    const up = nextUp(found);
    if (Number(found) < value && readsBackInside(Number(up), value)) return digitsOf(up);
  }
  return digitsOf(rounded(value, 9));
}

/** The nearest decimal of `kept` digits, of two the even one. toExponential takes the larger. */
function rounded(value: number, kept: number): string {
  const found = value.toExponential(kept - 1);
  const exact = value.toExponential(100).replace('.', '');
  const isTie = /^50*e/.test(exact.slice(kept)) && /[13579]e/.test(found);
  // The larger one of a tie is odd: the one below is even, and has the same number of digits.
  return isTie ? found.replace(/[13579](?=e)/, digit => String(Number(digit) - 1)) : found;
}

/** Whether the decimal reads back as the float4 `value` and lies not halfway to its neighbour. */
function readsBackInside(decimal: number, value: number): boolean {
  if (Math.fround(decimal) !== value) return false;
  const beyond = value + (decimal - value) * 2;
  return Math.fround(beyond) === value || Math.fround(beyond) !== beyond;
}

function nextUp(exponential: string): string {
  const at = exponential.indexOf('e');
  const fraction = exponential.slice(0, at).split('.')[1]?.length ?? 0;
  const digits = BigInt(exponential.slice(0, at).replace('.', '')) + 1n;
  return Number(`${digits}e${Number(exponential.slice(at + 1)) - fraction}`).toExponential(fraction);
}
