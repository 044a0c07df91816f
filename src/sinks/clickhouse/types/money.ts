import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii } from './ascii.ts';
import { type Encode, InvalidValue } from './codec.ts';
import { DecimalTarget, writeDecimalText } from './decimal.ts';
import { readInt32, writeInt64, writeSign } from './int64.ts';
import { shown, type ValueTypes } from './value-type.ts';

/** cash_send: Int64 in hundredths. Its text depends on `lc_monetary`, which is pinned to C: `-$1,234.56`. */
export const moneys: ValueTypes = {
  money: () => ({
    defaultType: () => 'Decimal(19, 2)',
    writeText,
    encoders(type) {
      if (type.name !== 'Decimal') return undefined;
      const target = new DecimalTarget(type);
      if (target.scale < 2 || target.precision - target.scale < integerDigits) return undefined;
      const text = fromText(target);
      return target.scale === 2 && target.size === 16 ? { text, binary: fromBinary } : { text };
    },
  }),
};

const integerDigits = 17;

const fromBinary: Encode = (src, start, _end, out) => {
  const hi = readInt32(src, start);
  writeInt64(out, hi, readInt32(src, start + 4));
  writeSign(out, hi < 0, 8);
};

/** Whatever stands around the digits (`$`, `€`, grouping), the last two are behind the point. */
function fromText(target: DecimalTarget): Encode {
  const plain = Buffer.alloc(32);
  return (src, start, end, out) => {
    let to = 0;
    let digits = 0;
    let point = -1;
    for (let i = start; i < end && to < 24; i++) {
      const byte = src[i]!;
      if (byte >= 48 && byte <= 57) {
        plain[to++] = byte;
        digits++;
      } else if ((byte === 45 || byte === 40) && digits === 0) plain[to++] = 45;
      else if (byte === 46 || byte === 44) point = digits;
    }
    // Another number of digits means another unit than hundredths.
    if (digits - point !== 2 || point < 0)
      throw new InvalidValue(
        `${shown(src, start, end)} has not two digits behind the point: set lc_monetary to C`,
      );
    plain.copyWithin(to - 1, to - 2, to);
    plain[to - 2] = 46;
    if (writeDecimalText(target, plain, 0, to + 1, out) !== 'written')
      throw new InvalidValue(`${shown(src, start, end)} is not the text of a money`);
  };
}

/** cash_out in the C locale. */
function writeText(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const hundredths = src.readBigInt64BE(start);
  writeMoney(out, hundredths < 0n, String(hundredths < 0n ? -hundredths : hundredths));
}

/** Appends `-$1,234.56` of a number of hundredths. */
export function writeMoney(out: ByteWriter, negative: boolean, hundredths: string): void {
  const digits = hundredths.padStart(3, '0');
  const grouped = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ',');
  writeAscii(out, `${negative ? '-' : ''}$${grouped}.${digits.slice(-2)}`);
}
