import { createRequire } from 'node:module';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { lz4Decompress, snappyDecompress, crc32c as wasmCrc32c } from '@platformatic/wasm-utils';
import { UnreadableRecords } from './unreadable-records.ts';

/** Bits 0–2 of the attributes of a record batch (Kafka docs, "Message Format"). */
export const Compression = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

/**
 * The records of a compressed batch.
 * @throws UnreadableRecords for what is damaged, or would be larger than `maxBytes`: nothing of that size is ever made
 */
export function decompress(compression: number, bytes: Buffer, maxBytes: number): Buffer {
  try {
    switch (compression) {
      case Compression.gzip:
        return gunzipSync(bytes, { maxOutputLength: maxBytes, chunkSize: 1 << 17 });
      case Compression.snappy:
        return decompressSnappy(bytes, maxBytes);
      case Compression.lz4:
        if (lz4Bound(bytes) > maxBytes) throw tooLarge(maxBytes);
        return lz4Decompress(bytes);
      case Compression.zstd:
        return zstdDecompressSync(bytes, { maxOutputLength: maxBytes, chunkSize: 1 << 17 });
    }
  } catch (error) {
    if (error instanceof UnreadableRecords) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new UnreadableRecords(`records that cannot be decompressed: ${(error as Error).message}`);
  }
  throw new UnreadableRecords(`compression ${compression}, which is not known`);
}

function tooLarge(maxBytes: number): UnreadableRecords {
  return new UnreadableRecords(`records that decompress to more than ${maxBytes} bytes`);
}

/** What Java's producers put before snappy blocks: magic, version and compatible version. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const xerialHeaderBytes = 16;

/** Blocks with a length before each ("xerial"), or one block without. */
function decompressSnappy(bytes: Buffer, maxBytes: number): Buffer {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) {
    if (snappyLength(bytes, 0) > maxBytes) throw tooLarge(maxBytes);
    return snappyDecompress(bytes);
  }
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const length = bytes.readInt32BE(at);
    const start = at + 4;
    at = start + length;
    if (length < 0 || at > bytes.length) throw new UnreadableRecords('a snappy block that is cut off');
    total += snappyLength(bytes, start);
    if (total > maxBytes) throw tooLarge(maxBytes);
    blocks.push(snappyDecompress(bytes.subarray(start, at)));
  }
  return blocks.length === 1 ? blocks[0]! : Buffer.concat(blocks, total);
}

/** A snappy block starts with its length, as a varint. */
function snappyLength(bytes: Buffer, at: number): number {
  let length = 0;
  for (let place = 1; ; place *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || place > 128 ** 4) throw new UnreadableRecords('a snappy block without length');
    length += (byte & 127) * place;
    if (byte < 128) return length;
  }
}

/** What an LZ4 frame may decompress to, from the sizes of its blocks (lz4_Frame_format.md). */
function lz4Bound(bytes: Buffer): number {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== 0x184d2204)
    throw new UnreadableRecords('lz4 records without a frame');
  const flags = bytes[4]!;
  const blockBytes = 1 << (8 + 2 * ((bytes[5]! >>> 4) & 7));
  const checksumBytes = flags & 0x10 ? 4 : 0;
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
  let bound = 0;
  while (at + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(at);
    if (size === 0) return bound;
    const stored = size & 0x7fffffff;
    bound += size > 0x7fffffff ? stored : Math.min(blockBytes, stored * 255);
    at += 4 + stored + checksumBytes;
  }
  throw new UnreadableRecords('an lz4 frame that is cut off');
}

/** CRC-32C, native where there is a build for the platform: a third of the time. */
export const crc32c: (bytes: Buffer) => number = nativeCrc32c() ?? wasmCrc32c;

function nativeCrc32c(): ((bytes: Buffer) => number) | undefined {
  try {
    return createRequire(import.meta.url)('@node-rs/crc32').crc32c;
  } catch {
    return undefined;
  }
}
