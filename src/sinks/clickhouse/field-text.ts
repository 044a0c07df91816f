import { ByteWriter } from '../../core/byte-writer.ts';
import type { Column } from '../../core/relation.ts';
import { Kind } from '../../core/tuple.ts';
import { readInt32 } from '../../core/tuple-fields.ts';
import { textWriter } from './types/registry.ts';

/**
 * The value of the field at `at` as PostgreSQL's text, or as the envelope has it: null for NULL, `undefined` for one that was
 * left out.
 */
export function fieldText(column: Column, data: Buffer, at: number): string | null | undefined {
  const kind = data[at];
  if (kind === Kind.null) return null;
  if (kind === Kind.unchanged) return undefined;
  const start = at + 5;
  const end = start + readInt32(data, at + 1);
  const write = kind === Kind.binary ? textWriter(column) : undefined;
  if (!write) return data.toString('utf8', start, end);
  const out = new ByteWriter(64);
  write(data, start, end, out);
  return out.written().toString();
}
