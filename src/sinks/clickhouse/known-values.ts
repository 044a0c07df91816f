import type { ByteWriter } from '../../core/byte-writer.ts';
import type { RowEncoder, UnchangedValues } from './row-encoder.ts';

/** What the objects themselves take, about. */
const entryOverheadBytes = 200;
const valueOverheadBytes = 120;

/**
 * PostgreSQL stores nothing out of line that is not longer than a pointer to it, 20 bytes and more: encoded, with a null byte
 * and a length. What stands for such a value in an envelope is no placeholder but the new value itself.
 */
const longestInline = 22;

interface Entry {
  /** One encoded value per column of `KnownValues.columns`. */
  values: Buffer[];
  bytes: number;
  /** Whether the row had these values at this place in the stream; others serve one stretch only. */
  sure: boolean;
}

/**
 * Encoded values, by key, of the columns that updates may leave out. They are of the row as the stream left it last, so a
 * row that is updated again and again is looked up once.
 */
export class KnownValues {
  /** Places of the columns in a tuple. */
  readonly columns: readonly number[];
  /** The one that was used longest ago comes first. */
  readonly #entries = new Map<string, Entry>();
  readonly #unsure = new Set<string>();
  readonly #own = new Map<number, readonly (Buffer | undefined)[]>();
  #bytes = 0;

  /** By place in `columns`: what a value is that an envelope seems to leave out, but cannot have. */
  readonly #placeholders: readonly (Buffer | undefined)[];

  constructor(columns: readonly number[], placeholders: readonly (Buffer | undefined)[] = []) {
    this.columns = columns;
    this.#placeholders = placeholders;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  isSure(key: string): boolean {
    return this.#entries.get(key)?.sure ?? false;
  }

  set(key: string, values: Buffer[], sure: boolean): void {
    this.delete(key);
    let bytes = entryOverheadBytes + key.length;
    for (const value of values) bytes += valueOverheadBytes + value.length;
    this.#entries.set(key, { values, bytes, sure });
    this.#bytes += bytes;
    if (!sure) this.#unsure.add(key);
  }

  /** Values of one row of the stretch alone; `undefined` where it needs none. */
  setOwn(row: number, values: readonly (Buffer | undefined)[]): void {
    this.#own.set(row, values);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#bytes -= entry.bytes;
    this.#entries.delete(key);
    this.#unsure.delete(key);
  }

  /** What the row encoder asks for the columns of one row; `undefined` when neither row nor key has values. */
  reader(row: number, key: string): UnchangedValues | undefined {
    const values = this.#own.get(row) ?? this.#entries.get(key)?.values;
    if (!values) return undefined;
    return (column, out) => {
      const n = this.columns.indexOf(column);
      let bytes = values[n];
      if (!bytes) return false;
      if (this.#placeholders[n] && bytes.length <= longestInline) bytes = this.#placeholders[n];
      out.writeBytes(bytes, 0, bytes.length);
      return true;
    };
  }

  /** Remembers the values of the row that was encoded last. */
  remember(key: string, encoder: RowEncoder, out: ByteWriter, sure: boolean): void {
    const { columnStarts } = encoder;
    let length = 0;
    for (const c of this.columns) length += columnStarts[c + 1]! - columnStarts[c]!;
    const bytes = Buffer.allocUnsafeSlow(length);
    let pos = 0;
    const values = this.columns.map(c => {
      const start = pos;
      pos += out.buf.copy(bytes, pos, columnStarts[c]!, columnStarts[c + 1]!);
      return bytes.subarray(start, pos);
    });
    this.set(key, values, sure);
  }

  /** Ends a stretch: what is not sure is forgotten, and what was used longest ago while there are more than `maxBytes`. */
  endStretch(maxBytes: number): void {
    this.#own.clear();
    for (const key of [...this.#unsure]) this.delete(key);
    for (const key of this.#entries.keys()) {
      if (this.#bytes <= maxBytes) break;
      this.delete(key);
    }
  }
}
