import { Op, RowGroup, type Transactions } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { isFaultOfRow } from '../../core/errors.ts';
import { Marker } from '../../core/tuple.ts';
import { skipTuple } from '../../core/tuple-fields.ts';
import { microsOfPostgres, type RowEncoder, type UnchangedValues } from './row-encoder.ts';

/** A change by itself: where its bytes are, and what its batch says of it. For what happens to few rows only. */
export interface LoneChange {
  data: Buffer;
  offset: number;
  /** `Op` */
  op: number;
  /** Of an update that of the tombstone of its old key. */
  version: bigint;
  /** µs since 1970. */
  committedAtUs: bigint;
}

/** One of the rows that a change makes. */
export interface ChangePart {
  /** Where its tuple is, and where the tuple that has values which that one leaves out; -1 for none. */
  tuple: number;
  old: number;
  /** 1 for the tombstone of a delete or of an old key. */
  deleted: 0 | 1;
  /** Beyond the version of the change. */
  place: 0 | 1;
}

/** Row `i` of a group. */
export function loneChange(
  encoder: RowEncoder,
  data: Buffer,
  group: RowGroup,
  i: number,
  transactions: Transactions,
): LoneChange {
  const at = i * RowGroup.stride;
  return {
    data,
    offset: group.index[at]!,
    op: group.index[at + RowGroup.opAndPlace]! & 0xff,
    version: encoder.versionOf(group, i, transactions),
    committedAtUs: microsOfPostgres(transactions.committedAtUs[group.index[at + RowGroup.transaction]!]!),
  };
}

/** The rows that a change makes: its row or tombstone, before it the tombstone of the key that an update changed. */
export function changeParts(encoder: RowEncoder, { data, offset, op }: LoneChange): ChangePart[] {
  const first = offset + 1;
  if (op !== Op.update) return [{ tuple: first, old: -1, deleted: op === Op.delete ? 1 : 0, place: 0 }];
  if (data[offset] === Marker.new) return [{ tuple: first, old: -1, deleted: 0, place: 1 }];
  const fresh = skipTuple(data, first) + 1;
  const old = data[offset] === Marker.old ? first : -1;
  const row: ChangePart = { tuple: fresh, old, deleted: 0, place: 1 };
  if (!encoder.keyChanged(data, first, fresh)) return [row];
  return [{ tuple: first, old: -1, deleted: 1, place: 0 }, row];
}

/** Appends all rows of a change. Throws when one of them cannot be encoded; then what stands in `out` is of no use. */
export function encodeLone(
  encoder: RowEncoder,
  change: LoneChange,
  out: ByteWriter,
  unchanged?: UnchangedValues,
): void {
  for (const part of changeParts(encoder, change)) encoder.encodePart(part, change, out, unchanged);
}

/** Appends those rows of a change that can be encoded, though not all of them can. */
export function encodeWhatFits(
  encoder: RowEncoder,
  change: LoneChange,
  out: ByteWriter,
  unchanged?: UnchangedValues,
): void {
  for (const part of changeParts(encoder, change)) {
    const { pos } = out;
    try {
      encoder.encodePart(part, change, out, unchanged);
    } catch (error) {
      if (!isFaultOfRow(error)) throw error;
      out.pos = pos;
    }
  }
}

/**
 * Appends what is left of an update whose row is not written: the tombstone of the key that it changed, if it did. Of an
 * update whose unchanged values exist nowhere any more nothing stands for the row itself, which a later change removes or
 * writes again: in a replay it may be there already, at this very version.
 */
export function encodeTombstone(encoder: RowEncoder, change: LoneChange, out: ByteWriter): void {
  for (const part of changeParts(encoder, change))
    if (part.deleted === 1) encoder.encodePart(part, change, out);
}
