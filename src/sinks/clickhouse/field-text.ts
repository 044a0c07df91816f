import { ByteWriter } from '../../core/byte-writer.ts';
import type { Column } from '../../core/relation.ts';
import { Kind } from '../../core/tuple.ts';
import { readInt32 } from '../../core/tuple-fields.ts';
import { type Codec, InvalidValue } from './types/codec.ts';
import { textWriter } from './types/registry.ts';

/**
 * The value of the field at `at` as PostgreSQL's text: null for NULL, `undefined` for one that was left out. One of an envelope
 * stays as it is there when `codec` does not say how it is to be read, or it cannot be.
 */
export function fieldText(
  column: Column,
  data: Buffer,
  at: number,
  codec?: Pick<Codec, 'toPostgresText'>,
): string | null | undefined {
  const kind = data[at];
  if (kind === Kind.null) return null;
  if (kind === Kind.unchanged) return undefined;
  const start = at + 5;
  const end = start + readInt32(data, at + 1);
  const write =
    kind === Kind.binary ? textWriter(column) : codec?.toPostgresText?.[kind === Kind.json ? 'json' : 'text'];
  if (!write) return data.toString('utf8', start, end);
  const out = new ByteWriter(64);
  try {
    write(data, start, end, out);
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    return data.toString('utf8', start, end);
  }
  return out.written().toString();
}
