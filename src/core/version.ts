import type { ByteWriter } from './byte-writer.ts';
import { CdcError } from './errors.ts';
import { formatLsn, type Lsn } from './lsn.ts';

/**
 * `_version` orders all rows of a key: `epoch(16 bits) | commit position(56) | ordinal(56)`, a UInt128.
 *
 * The ordinal of a streamed change is `2^45 - 1 - (commit LSN - change LSN)` in 45 bits and, in 11 bits, the change's
 * place among those that share its LSN. It comes from LSNs, never from a counter of what was received, so that every
 * replay gives the same number.
 */
export const maxPosition: Lsn = (1n << 56n) - 1n;
const maxTransactionBytes = 2 ** 45;
const maxPlace = 2 ** 11;

/** The version as one number, for SQL and checkpoints. */
export function composeVersion(epoch: number, position: Lsn, ordinal: bigint): bigint {
  checkPosition(position);
  return (BigInt(epoch) << 112n) | (position << 56n) | ordinal;
}

export function checkPosition(position: Lsn): void {
  if (position > maxPosition)
    throw new CdcError('POSITION_RANGE', `WAL position ${formatLsn(position)} does not fit into 56 bits`);
}

export function changeOrdinal(commitLsn: Lsn, changeLsn: Lsn, place: number): bigint {
  return ((1n << 45n) - 1n - (commitLsn - changeLsn)) * BigInt(maxPlace) + BigInt(place);
}

/**
 * Appends a UInt128, little-endian. LSNs come as halves, the lower ones signed or not: no bigint is made for a row, and of
 * signed ones no number on the heap.
 */
export function writeChangeVersion(
  out: ByteWriter,
  epoch: number,
  commitHi: number,
  commitLo: number,
  changeHi: number,
  changeLo: number,
  place: number,
): void {
  const distance = (commitHi - changeHi) * 2 ** 32 + ((commitLo >>> 0) - (changeLo >>> 0));
  if (distance < 0 || distance >= maxTransactionBytes || place >= maxPlace || commitHi >= 2 ** 24)
    throw new CdcError(
      'POSITION_RANGE',
      `change at ${hex(changeHi, changeLo)}, place ${place}, of the transaction committed at ${hex(commitHi, commitLo)} does not fit into a version`,
    );
  const ordinal45 = maxTransactionBytes - 1 - distance;
  const low = ((ordinal45 % 2 ** 21) * maxPlace) | place;
  writeParts(out, epoch, commitHi, commitLo, Math.floor(ordinal45 / 2 ** 21), low);
}

/**
 * The same for a change out of a Debezium envelope: the commit position is what the source made of `source.sequence`, the
 * ordinal is the LSN of the change plus its place (LSNs are multiples of 8, and a change has two places).
 */
export function writeEnvelopeVersion(
  out: ByteWriter,
  epoch: number,
  commitHi: number,
  commitLo: number,
  changeHi: number,
  changeLo: number,
  place: number,
): void {
  if (commitHi >= 2 ** 24 || changeHi >= 2 ** 24)
    throw new CdcError(
      'POSITION_RANGE',
      `change at ${hex(changeHi, changeLo)} behind ${hex(commitHi, commitLo)} does not fit into a version`,
    );
  const low = (changeLo >>> 0) + place;
  writeParts(out, epoch, commitHi, commitLo, low < 2 ** 32 ? changeHi : changeHi + 1, low | 0);
}

/** How the changes of a mode are numbered. */
export interface VersionScheme {
  write: typeof writeChangeVersion;
  ordinal: typeof changeOrdinal;
  /** Whether the rows of a table come in the order of their versions. */
  rising: boolean;
}

export const walVersions: VersionScheme = { write: writeChangeVersion, ordinal: changeOrdinal, rising: true };

export const envelopeVersions: VersionScheme = {
  write: writeEnvelopeVersion,
  ordinal: (_commitLsn, changeLsn, place) => changeLsn + BigInt(place),
  rising: false, // they come from several partitions
};

/** Appends the version of a copied row: base position of the copy, in halves, and an ordinal below 2^53. */
export function writeCopyVersion(
  out: ByteWriter,
  epoch: number,
  baseHi: number,
  baseLo: number,
  ordinal: number,
): void {
  writeParts(out, epoch, baseHi, baseLo, Math.floor(ordinal / 2 ** 32), ordinal | 0);
}

/** Appends a version that is one number. */
export function writeVersion(out: ByteWriter, version: bigint): void {
  out.reserve(16);
  out.buf.writeBigUInt64LE(version & 0xffff_ffff_ffff_ffffn, out.pos);
  out.buf.writeBigUInt64LE(version >> 64n, out.pos + 8);
  out.pos += 16;
}

/** Reads what was appended. */
export function readVersion(buf: Buffer, pos: number): bigint {
  return (buf.readBigUInt64LE(pos + 8) << 64n) | buf.readBigUInt64LE(pos);
}

function writeParts(
  out: ByteWriter,
  epoch: number,
  positionHi: number,
  positionLo: number,
  ordinalHi: number,
  ordinalLo: number,
): void {
  out.reserve(16);
  const { buf, pos } = out;
  buf[pos] = ordinalLo;
  buf[pos + 1] = ordinalLo >>> 8;
  buf[pos + 2] = ordinalLo >>> 16;
  buf[pos + 3] = ordinalLo >>> 24;
  buf[pos + 4] = ordinalHi;
  buf[pos + 5] = ordinalHi >>> 8;
  buf[pos + 6] = ordinalHi >>> 16;
  buf[pos + 7] = positionLo;
  buf[pos + 8] = positionLo >>> 8;
  buf[pos + 9] = positionLo >>> 16;
  buf[pos + 10] = positionLo >>> 24;
  buf[pos + 11] = positionHi;
  buf[pos + 12] = positionHi >>> 8;
  buf[pos + 13] = positionHi >>> 16;
  buf[pos + 14] = epoch;
  buf[pos + 15] = epoch >>> 8;
  out.pos = pos + 16;
}

function hex(hi: number, lo: number): string {
  return `${hi.toString(16).toUpperCase()}/${(lo >>> 0).toString(16).toUpperCase()}`;
}
