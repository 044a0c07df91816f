import type { ByteWriter } from '../../../core/byte-writer.ts';
import { StacklessError } from '../../../core/errors.ts';

/**
 * Writes the RowBinary form of one value that is not NULL: `src[start..end)` is PostgreSQL's binary (send) or text
 * (output) form. Throws `InvalidValue` when the ClickHouse type cannot hold it; then what it wrote is thrown away.
 */
export type Encode = (src: Buffer, start: number, end: number, out: ByteWriter) => void;

/** How one column is encoded; chosen once per relation. Nullability is the row encoder's. */
export interface Codec {
  /** The ClickHouse type, without `Nullable`, with `LowCardinality` where it has one. */
  type: string;
  /** False for Array and Map: ClickHouse has no NULL of them, `writeDefault` stands for it. */
  canBeNullable: boolean;
  /** `undefined` when the binary form is not decoded here: such columns are requested as text. */
  binary: Encode | undefined;
  /** Takes kind `t` (`core/tuple.ts`): PostgreSQL's text or, where the column has a `wire`, the content of a JSON string. */
  text: Encode;
  /** Takes kind `j`; only of a column with a `wire`. */
  json: Encode | undefined;
  /** Takes PostgreSQL's text, whatever `text` takes. */
  postgresText: Encode;
  /** Only of a column with a `wire`: appends PostgreSQL's text of what `text` and `json` take. */
  toPostgresText: { text: Encode; json: Encode } | undefined;
  /** The empty value of the type: 0, '', [] … (tombstones have it in columns that are not part of the key). */
  writeDefault(out: ByteWriter): void;
  /** Position behind the RowBinary value at `pos` (without its null byte). */
  skip(buf: Buffer, pos: number): number;
}

/** What happens to a value that the ClickHouse type cannot hold (`columns.<…>.onInvalid`). */
export type OnInvalid = 'fail' | 'null' | 'clamp' | 'string';

/** Thrown by `Encode`. Built without a stack trace: a column full of such values must not cost one each. */
export class InvalidValue extends StacklessError {}
