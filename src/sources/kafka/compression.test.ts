import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { lz4Compress, snappyCompress, crc32c as wasmCrc32c } from '@platformatic/wasm-utils';
import { Compression, crc32c, decompress } from './compression.ts';
import { UnreadableRecords } from './unreadable-records.ts';

/** As Java's producers write it: blocks of 32 KiB. */
function xerial(bytes: Buffer): Buffer {
  const blocks: Buffer[] = [Buffer.from('82534e4150505900000000010000000001', 'hex').subarray(0, 16)];
  for (let at = 0; at < bytes.length; at += 32768) {
    const block = snappyCompress(bytes.subarray(at, at + 32768));
    const size = Buffer.alloc(4);
    size.writeInt32BE(block.length);
    blocks.push(size, block);
  }
  return Buffer.concat(blocks);
}

const compressors: Record<string, [number, (bytes: Buffer) => Buffer]> = {
  gzip: [Compression.gzip, gzipSync],
  'snappy, one block': [Compression.snappy, snappyCompress],
  'snappy, xerial': [Compression.snappy, xerial],
  lz4: [Compression.lz4, lz4Compress],
  zstd: [Compression.zstd, zstdCompressSync],
};
const samples = {
  text: Buffer.from('{"before":null,"after":{"id":1}}'.repeat(20_000)),
  random: randomBytes(300_000),
  'nothing but zeros': Buffer.alloc(3_000_000),
  'one byte': Buffer.from('x'),
};

for (const [name, [compression, compress]] of Object.entries(compressors)) {
  test(`${name}: what was compressed comes back`, () => {
    for (const [what, bytes] of Object.entries(samples))
      assert.ok(decompress(compression, compress(bytes), 4 << 20).equals(bytes), what);
  });

  test(`${name}: what would become larger than the limit is refused`, () => {
    const bomb = compress(Buffer.alloc(50_000_000));
    const before = process.memoryUsage().arrayBuffers;
    assert.throws(() => decompress(compression, bomb, 1 << 20), {
      name: 'UnreadableRecords',
      message: /more than 1048576 bytes/,
    });
    assert.ok(process.memoryUsage().arrayBuffers - before < 20_000_000);
  });

  test(`${name}: damaged bytes are refused`, () => {
    const bytes = compress(samples.text);
    for (const broken of [bytes.subarray(0, bytes.length >> 1), Buffer.alloc(0), randomBytes(1000)])
      assert.throws(() => decompress(compression, broken, 4 << 20), UnreadableRecords);
    assert.ok(decompress(compression, bytes, 4 << 20).equals(samples.text));
  });
}

test('a compression that is not known is refused', () => {
  assert.throws(() => decompress(5, Buffer.from('x'), 100), { message: /compression 5/ });
});

test('the checksum is CRC-32C, native or not', () => {
  for (const checksum of [crc32c, wasmCrc32c]) {
    // RFC 3720, B.4.
    assert.equal(checksum(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(checksum(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(checksum(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  }
});
