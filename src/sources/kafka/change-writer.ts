import { Op } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { MalformedEnvelope } from './envelope.ts';
import type { Placeholder } from './placeholder.ts';

/** Values by name, in a message that was taken apart: a row, or a key. */
export interface Row {
  readonly names: readonly string[];
  /** Place of a name; -1 when the row does not have it. */
  indexOf(name: string): number;
  isNull(i: number): boolean;
  /** Appends the value as a tuple has it: kind and, unless it is null, length and bytes. */
  write(i: number, out: ByteWriter): void;
}

/** A change, taken apart. */
export interface Change {
  /** c, r, u or d. */
  op: string;
  before: Row | undefined;
  after: Row | undefined;
  /** The key before, of an insert that is the second half of a key change. */
  oldKey: Row | undefined;
  key: readonly string[] | undefined;
}

/** Writes changes of any format into the bytes of a batch, by the rules that `EnvelopeReader` states. */
export class ChangeWriter {
  readonly #placeholder: Placeholder;
  /** Whether the last tuple has a value that is unchanged. */
  #unchanged = false;

  constructor(placeholder: Placeholder) {
    this.#placeholder = placeholder;
  }

  /** Appends the tuples of `change`, whose columns are `names`; returns its `Op`. */
  write(change: Change, names: readonly string[], out: ByteWriter): number {
    const { op, before, after, oldKey, key } = change;
    if (op === 'd') {
      if (!before) throw new MalformedEnvelope('a delete without "before"');
      if (key) this.writeKey(before, key, names, out);
      else this.#writeTuple(Marker.old, before, names, false, out);
      return Op.delete;
    }
    if (!after) throw new MalformedEnvelope(`op "${op}" without "after"`);
    const at = out.pos;
    if (op === 'u') {
      const isWhole = before !== undefined && !key?.some(name => isMissing(before, name));
      if (isWhole) this.#writeTuple(Marker.old, before, names, false, out);
      const fresh = out.pos;
      this.#writeTuple(Marker.new, after, names, true, out);
      if (isWhole && this.#unchanged && !hasUnchangedValues(before, out.buf, fresh, names)) {
        out.buf.copyWithin(at, fresh, out.pos);
        out.pos -= fresh - at;
      }
      return Op.update;
    }
    if (op === 'c' && oldKey) {
      this.writeKey(oldKey, oldKey.names, names, out);
      this.#writeTuple(Marker.new, after, names, true, out);
      return Op.update;
    }
    this.#writeTuple(Marker.new, after, names, false, out);
    return Op.insert;
  }

  /** Appends a `K` tuple: of `row`, the columns in `key`; null for the others. */
  writeKey(row: Row, key: readonly string[], names: readonly string[], out: ByteWriter): void {
    for (const name of key)
      if (isMissing(row, name)) throw new MalformedEnvelope(`no value of the key's column "${name}"`);
      else if (!names.includes(name))
        throw new MalformedEnvelope(`the key's column "${name}" is not in the row`);
    startTuple(Marker.key, names.length, out);
    for (const name of names)
      if (key.includes(name)) row.write(row.indexOf(name), out);
      else out.writeByte(Kind.null);
  }

  #writeTuple(
    marker: number,
    row: Row,
    names: readonly string[],
    mayBeUnchanged: boolean,
    out: ByteWriter,
  ): void {
    this.#unchanged = false;
    startTuple(marker, names.length, out);
    for (let c = 0; c < names.length; c++) {
      const i = row.names[c] === names[c] ? c : row.indexOf(names[c]!);
      if (i < 0) {
        out.writeByte(Kind.null);
        continue;
      }
      const at = out.pos;
      row.write(i, out);
      if (mayBeUnchanged && isPlaceholder(this.#placeholder, out.buf, at, out.pos)) {
        out.pos = at;
        out.writeByte(Kind.unchanged);
        this.#unchanged = true;
      }
    }
  }
}

function startTuple(marker: number, columns: number, out: ByteWriter): void {
  out.reserve(3);
  out.buf[out.pos++] = marker;
  out.buf[out.pos++] = columns >> 8;
  out.buf[out.pos++] = columns;
}

export function isMissing(row: Row, name: string): boolean {
  const i = row.indexOf(name);
  return i < 0 || row.isNull(i);
}

/** Whether the value of a tuple in `buf[start..end)` is the placeholder. */
export function isPlaceholder(placeholder: Placeholder, buf: Buffer, start: number, end: number): boolean {
  if (buf[start] === Kind.text) return placeholder.isText(buf, start + 5, end);
  return buf[start] === Kind.json && placeholder.isToken(buf, start + 5, end);
}

/** Whether `before` has what the new tuple at `pos` leaves out: an unchanged value is large, so it is never null. */
function hasUnchangedValues(before: Row, buf: Buffer, pos: number, names: readonly string[]): boolean {
  pos += 3;
  for (const name of names) {
    const kind = buf[pos++];
    if (kind === Kind.unchanged && isMissing(before, name)) return false;
    if (kind !== Kind.unchanged && kind !== Kind.null) pos += 4 + buf.readInt32BE(pos);
  }
  return true;
}
