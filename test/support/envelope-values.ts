import type { ByteWriter } from '../../src/core/byte-writer.ts';
import { Kind } from '../../src/core/tuple.ts';

/** A value of an envelope as a tuple has it. */
export interface EnvelopeValue {
  kind: typeof Kind.null | typeof Kind.text | typeof Kind.json;
  bytes: Buffer;
}

interface WithSource {
  rawJSON(text: string): unknown;
  parse(text: string, revive: (key: string, value: unknown, context: { source: string }) => unknown): unknown;
}

/** `JSON.parse`, with numbers that print as they were read. */
export function parseExactly(json: string): unknown {
  const exact = JSON as unknown as WithSource;
  return exact.parse(json, (_key, value, { source }) =>
    typeof value === 'number' ? exact.rawJSON(source) : value,
  );
}

/** A part of what `parseExactly` gave. */
export function envelopeValue(value: unknown): EnvelopeValue {
  if (value === null) return { kind: Kind.null, bytes: Buffer.alloc(0) };
  if (typeof value === 'string') return { kind: Kind.text, bytes: Buffer.from(value) };
  return { kind: Kind.json, bytes: Buffer.from(JSON.stringify(value)) };
}

/** Appends a marker and a tuple; returns where the marker stands. */
export function writeTuple(out: ByteWriter, marker: number, values: readonly EnvelopeValue[]): number {
  const at = out.pos;
  out.writeByte(marker);
  out.writeByte(values.length >>> 8);
  out.writeByte(values.length);
  for (const { kind, bytes } of values) {
    out.writeByte(kind);
    if (kind === Kind.null) continue;
    for (const shift of [24, 16, 8, 0]) out.writeByte(bytes.length >>> shift);
    out.writeBytes(bytes, 0, bytes.length);
  }
  return at;
}
