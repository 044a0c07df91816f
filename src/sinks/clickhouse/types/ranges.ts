import { writeAscii } from './ascii.ts';
import { readInt32 } from './int64.ts';
import { Quoting } from './quoting.ts';
import type { ValueType, WriteText } from './value-type.ts';

/** range_send: a byte of flags, then for each finite bound Int32 length and the subtype's value. */
const empty = 0x01;
const lowerInclusive = 0x02;
const upperInclusive = 0x04;
const lowerInfinite = 0x08;
const upperInfinite = 0x10;

export function rangeType(subtype: ValueType): ValueType {
  return { defaultType: () => 'String', writeText: subtype.writeText && rangeText(subtype.writeText) };
}

/** multirange_send: Int32 count, then for each range Int32 length and the range. */
export function multirangeType(subtype: ValueType): ValueType {
  return {
    defaultType: () => 'String',
    writeText: subtype.writeText && multirangeText(rangeText(subtype.writeText)),
  };
}

const quoting = new Quoting('()[],', true);

function rangeText(writeBound: WriteText): WriteText {
  return (src, start, _end, out) => {
    const flags = src[start]!;
    if (flags & empty) {
      writeAscii(out, 'empty');
      return;
    }
    let pos = start + 1;
    writeAscii(out, flags & lowerInclusive ? '[' : '(');
    for (const infinite of [lowerInfinite, upperInfinite]) {
      if (!(flags & infinite)) {
        const at = out.pos;
        const end = pos + 4 + readInt32(src, pos);
        writeBound(src, pos + 4, end, out);
        quoting.quoteWhereNeeded(out, at);
        pos = end;
      }
      if (infinite === lowerInfinite) writeAscii(out, ',');
    }
    writeAscii(out, flags & upperInclusive ? ']' : ')');
  };
}

function multirangeText(writeRange: WriteText): WriteText {
  return (src, start, _end, out) => {
    let pos = start + 4;
    writeAscii(out, '{');
    for (let count = readInt32(src, start); count > 0; count--) {
      const end = pos + 4 + readInt32(src, pos);
      writeRange(src, pos + 4, end, out);
      pos = end;
      if (count > 1) writeAscii(out, ',');
    }
    writeAscii(out, '}');
  };
}
