import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii, writeDecimal } from './ascii.ts';
import { readInt16, readInt32, readUint32, writeIntegerText } from './int64.ts';
import type { ValueTypes, WriteText } from './value-type.ts';

/** Types of PostgreSQL's own catalogs that users' tables have now and then. */
export const systemTypes: ValueTypes = {
  pg_lsn: () => ({ defaultType: () => 'String', writeText: writeLsn }),
  tid: () => ({ defaultType: () => 'String', writeText: writeTid }),
  int2vector: () => ({ defaultType: () => 'String', writeText: vectorText(readInt16) }),
  oidvector: () => ({ defaultType: () => 'String', writeText: vectorText(readUint32) }),
};

/** pg_lsn_send: Int64, printed as its hexadecimal halves. */
function writeLsn(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  const halves = [readUint32(src, start), readUint32(src, start + 4)];
  writeAscii(out, halves.map(half => half.toString(16).toUpperCase()).join('/'));
}

/** tidsend: UInt32 block, UInt16 offset. */
function writeTid(src: Buffer, start: number, _end: number, out: ByteWriter): void {
  out.writeByte(40);
  writeDecimal(out, readUint32(src, start));
  out.writeByte(44);
  writeDecimal(out, readInt16(src, start + 4) & 0xffff);
  out.writeByte(41);
}

/** Sent as arrays that count from 0 (see arrays.ts), printed with spaces between. */
function vectorText(read: (src: Buffer, pos: number) => number): WriteText {
  return (src, start, end, out) => {
    if (readInt32(src, start) === 0) return;
    for (let pos = start + 20; pos < end; pos += 4 + readInt32(src, pos)) {
      if (pos > start + 20) out.writeByte(32);
      writeIntegerText(out, read(src, pos + 4));
    }
  };
}
