import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from './byte-writer.ts';
import { CdcError } from './errors.ts';
import {
  changeOrdinal,
  composeVersion,
  envelopeVersions,
  writeChangeVersion,
  writeCopyVersion,
  writeEnvelopeVersion,
} from './version.ts';

const maxDistance = 2n ** 45n - 1n;
const change = fc
  .record({
    epoch: fc.integer({ min: 0, max: 65535 }),
    commit: fc.bigInt({ min: 0n, max: (1n << 56n) - 1n }),
    distance: fc.bigInt({ min: 0n, max: maxDistance }),
    place: fc.integer({ min: 0, max: 2047 }),
  })
  .filter(({ commit, distance }) => distance <= commit);

test('the bytes of a change version are the composed number, little-endian', () => {
  fc.assert(
    fc.property(change, ({ epoch, commit, distance, place }) => {
      const written = writeVersion(epoch, commit, commit - distance, place);
      assert.equal(written, composeVersion(epoch, commit, changeOrdinal(commit, commit - distance, place)));
    }),
  );
});

test('versions order by epoch, commit, change and place', () => {
  fc.assert(
    fc.property(change, change, (a, b) => {
      const order = (x: typeof a) => [BigInt(x.epoch), x.commit, -x.distance, BigInt(x.place)];
      const [left, right] = [order(a), order(b)];
      const i = left.findIndex((value, n) => value !== right[n]);
      const expected = i < 0 ? 0 : left[i]! < right[i]! ? -1 : 1;
      const [va, vb] = [a, b].map(x => writeVersion(x.epoch, x.commit, x.commit - x.distance, x.place)) as [
        bigint,
        bigint,
      ];
      assert.equal(va < vb ? -1 : va > vb ? 1 : 0, expected);
    }),
  );
});

test('a copied row is below every change that commits at its base or later', () => {
  const out = new ByteWriter();
  writeCopyVersion(out, 1, 0, 0x16b3748, 2 ** 40);
  const copied = readVersion(out);
  assert.equal(copied, composeVersion(1, 0x16b3748n, 2n ** 40n));
  assert.ok(writeVersion(1, 0x16b3748n, 0x16b3740n, 0) > copied);
  assert.ok(writeVersion(1, 0x16b3740n, 0x16b3738n, 0) < copied);
});

test('what does not fit into a version is refused, never wrapped', () => {
  const refused = (run: () => unknown) =>
    assert.throws(run, (error: unknown) => error instanceof CdcError && error.code === 'POSITION_RANGE');
  refused(() => composeVersion(1, 1n << 56n, 0n));
  refused(() => writeVersion(1, 1n << 56n, (1n << 56n) - 8n, 0));
  refused(() => writeVersion(1, 1n << 50n, (1n << 50n) - (1n << 45n), 0));
  refused(() => writeVersion(1, 800n, 792n, 2048));
  refused(() => writeVersion(1, 800n, 808n, 0));
});

function writeVersion(epoch: number, commit: bigint, lsn: bigint, place: number): bigint {
  const out = new ByteWriter(16);
  writeChangeVersion(out, epoch, ...half(commit), ...half(lsn), place);
  return readVersion(out);
}

function half(value: bigint): [number, number] {
  return [Number(value >> 32n), Number(value & 0xffffffffn)];
}

function readVersion(out: ByteWriter): bigint {
  return (out.buf.readBigUInt64LE(8) << 64n) | out.buf.readBigUInt64LE(0);
}

test('a change of an envelope is numbered by its LSN behind the commit before it', () => {
  const lsn = fc.bigInt({ min: 0n, max: (1n << 53n) - 1n }).map(n => n * 8n);
  fc.assert(
    fc.property(lsn, lsn, fc.integer({ min: 0, max: 7 }), fc.nat(0xffff), (commit, change, place, epoch) => {
      const out = new ByteWriter();
      writeEnvelopeVersion(out, epoch, ...half(commit), ...half(change), place);
      const written = readVersion(out);
      assert.equal(written, composeVersion(epoch, commit, envelopeVersions.ordinal(commit, change, place)));
      assert.equal(written & ((1n << 56n) - 1n), change + BigInt(place));
    }),
  );
  const out = new ByteWriter();
  assert.throws(() => writeEnvelopeVersion(out, 1, 2 ** 24, 0, 0, 0, 0), { code: 'POSITION_RANGE' });
});
