import { Kind, Marker } from './tuple.ts';

/** Position behind a TupleData that starts at `pos` with its column count. */
export function skipTuple(data: Buffer, pos: number): number {
  const count = (data[pos]! << 8) | data[pos + 1]!;
  pos += 2;
  for (let c = 0; c < count; c++) pos = skipField(data, pos);
  return pos;
}

/** Position of column `c` in a TupleData. */
export function columnAt(data: Buffer, pos: number, c: number): number {
  pos += 2;
  for (let i = 0; i < c; i++) pos = skipField(data, pos);
  return pos;
}

export function skipField(data: Buffer, pos: number): number {
  const kind = data[pos]!;
  return kind === Kind.null || kind === Kind.unchanged ? pos + 1 : pos + 5 + readInt32(data, pos + 1);
}

export function valueLength(data: Buffer, pos: number): number {
  const kind = data[pos]!;
  return kind === Kind.null || kind === Kind.unchanged ? 0 : readInt32(data, pos + 1);
}

/** Whether the new tuple of an update leaves out a value that its old tuple does not have either. */
export function lacksValues(data: Buffer, offset: number): boolean {
  const marker = data[offset]!;
  if (marker === Marker.old) return false;
  let pos = offset + 1;
  if (marker !== Marker.new) pos = skipTuple(data, pos) + 1;
  const count = (data[pos]! << 8) | data[pos + 1]!;
  pos += 2;
  for (let c = 0; c < count; c++) {
    if (data[pos] === Kind.unchanged) return true;
    pos = skipField(data, pos);
  }
  return false;
}

export function readInt32(buf: Buffer, pos: number): number {
  return (buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!;
}
