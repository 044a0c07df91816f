import { ByteWriter } from '../../core/byte-writer.ts';
import { Kind } from '../../core/tuple.ts';
import { userEventsTable } from './table.ts';

const headerBytes = 20;

/** One array in PostgreSQL's binary form (array_recv in src/backend/utils/adt/arrayfuncs.c). */
class ArrayParameter {
  readonly #out = new ByteWriter();
  readonly #elementType: number;
  #count = 0;
  #hasNull = 0;

  constructor(elementType: number) {
    this.#elementType = elementType;
    this.clear();
  }

  clear(): void {
    this.#out.pos = headerBytes;
    this.#count = this.#hasNull = 0;
  }

  /** `data[start..end)`: length and value, which tuples have in the same form. */
  add(data: Buffer, start: number, end: number): void {
    this.#out.writeBytes(data, start, end);
    this.#count++;
  }

  addNull(): void {
    this.#out.reserve(4);
    this.#out.buf.writeInt32BE(-1, this.#out.pos);
    this.#out.pos += 4;
    this.#hasNull = 1;
    this.#count++;
  }

  /** Valid until the next change. */
  value(): Buffer {
    const { buf } = this.#out;
    buf.writeInt32BE(1, 0); // dimensions
    buf.writeInt32BE(this.#hasNull, 4);
    buf.writeInt32BE(this.#elementType, 8);
    buf.writeInt32BE(this.#count, 12);
    buf.writeInt32BE(1, 16); // lower bound
    return this.#out.written();
  }
}

/** Rows of changes as one array for each column: parameters of a statement, whose bytes are those of the changes. */
export class RowParameters {
  rows = 0;
  readonly #arrays = userEventsTable.columns.map(column => new ArrayParameter(column.type.oid));

  clear(): void {
    this.rows = 0;
    for (const array of this.#arrays) array.clear();
  }

  /** Adds the tuple of the change that starts at `offset`. */
  add(data: Buffer, offset: number): void {
    let pos = offset + 3; // marker, number of columns
    for (const array of this.#arrays) {
      if (data[pos++] === Kind.null) array.addNull();
      else {
        const start = pos;
        pos += 4 + data.readInt32BE(pos);
        array.add(data, start, pos);
      }
    }
    this.rows++;
  }

  /** In the order of the columns; valid until the next change. */
  values(): Buffer[] {
    return this.#arrays.map(array => array.value());
  }
}
