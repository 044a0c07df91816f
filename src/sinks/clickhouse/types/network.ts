import type { ByteWriter } from '../../../core/byte-writer.ts';
import { writeAscii, writeDecimal, writeHex } from './ascii.ts';
import type { ValueTypes, WriteText } from './value-type.ts';

export const networks: ValueTypes = {
  inet: () => ({ defaultType: () => 'String', writeText: addressText(false) }),
  cidr: () => ({ defaultType: () => 'String', writeText: addressText(true) }),
  macaddr: () => ({ defaultType: () => 'String', writeText: writeMac }),
  macaddr8: () => ({ defaultType: () => 'String', writeText: writeMac }),
};

/** inet_send, cidr_send: family, mask bits, cidr flag, length, then the address. */
const addressAt = 4;
const ipv4Bytes = 4;

/** inet leaves the mask out when it covers the whole address. */
function addressText(maskAlways: boolean): WriteText {
  return (src, start, end, out) => {
    const address = start + addressAt;
    const isIpv4 = end - address === ipv4Bytes;
    if (isIpv4) writeIpv4(src, address, out);
    else writeIpv6(src, address, out);
    const bits = src[start + 1]!;
    if (!maskAlways && bits === (isIpv4 ? 32 : 128)) return;
    out.writeByte(47);
    writeDecimal(out, bits);
  };
}

function writeIpv4(src: Buffer, at: number, out: ByteWriter): void {
  for (let i = 0; i < ipv4Bytes; i++) {
    if (i > 0) out.writeByte(46);
    writeDecimal(out, src[at + i]!);
  }
}

const words = new Uint16Array(8);

/** The first longest run of at least two zero words becomes `::`; addresses that carry IPv4 end in its notation. */
function writeIpv6(src: Buffer, at: number, out: ByteWriter): void {
  for (let i = 0; i < 8; i++) words[i] = (src[at + i * 2]! << 8) | src[at + i * 2 + 1]!;
  let runAt = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && words[i + length] === 0) length++;
    if (length > runLength) {
      runAt = i;
      runLength = length;
    }
    if (length > 0) i += length - 1;
  }
  const carriesIpv4 = runAt === 0 && (runLength === 6 || (runLength === 5 && words[5] === 0xffff));
  for (let i = 0; i < 8; i++) {
    if (i === runAt) {
      out.writeByte(58);
      i += runLength - 1;
      if (i === 7) out.writeByte(58);
      continue;
    }
    if (i > 0) out.writeByte(58);
    if (i === 6 && carriesIpv4) {
      writeIpv4(src, at + 12, out);
      return;
    }
    writeHexWord(out, words[i]!);
  }
}

function writeHexWord(out: ByteWriter, word: number): void {
  writeAscii(out, word.toString(16));
}

/** macaddr_send, macaddr8_send: the six or eight bytes. */
function writeMac(src: Buffer, start: number, end: number, out: ByteWriter): void {
  for (let i = start; i < end; i++) {
    if (i > start) out.writeByte(58);
    writeHex(out, src, i, i + 1);
  }
}
