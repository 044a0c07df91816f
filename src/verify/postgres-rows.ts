import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import { type CopyBlock, copyOut } from '../sources/wal/copy-out.ts';
import { RowReader } from './row-reader.ts';

/** Rows of `SELECT …`, whose columns are all texts, through a binary COPY on `client`. */
export class PostgresRows extends RowReader {
  readonly #blocks: AsyncGenerator<CopyBlock>;
  #block: CopyBlock | undefined;
  #index = 0;

  constructor(client: pg.Client, select: string, fields: number, signal?: AbortSignal) {
    super(fields);
    this.#blocks = copyOut(client, `COPY (${select}) TO STDOUT (FORMAT binary)`, {
      blockBytes: 1 << 20,
      ...(signal ? { signal } : {}),
    });
  }

  advance(): boolean {
    const block = this.#block;
    if (!block || this.#index === block.count) return false;
    const { data } = block;
    this.turn(data);
    let pos = block.offsets[this.#index++]!;
    const { starts, ends } = this;
    const fields = (data[pos]! << 8) | data[pos + 1]!;
    if (fields !== starts.length)
      throw new CdcError('PROTOCOL', `PostgreSQL sent ${fields} fields, ${starts.length} were asked for`);
    pos += 2;
    for (let i = 0; i < fields; i++) {
      const length = (data[pos]! << 24) | (data[pos + 1]! << 16) | (data[pos + 2]! << 8) | data[pos + 3]!;
      pos += 4;
      if (length < 0) starts[i] = -1;
      else {
        starts[i] = pos;
        pos += length;
        ends[i] = pos;
      }
    }
    return true;
  }

  protected async fill(): Promise<boolean> {
    const { value, done } = await this.#blocks.next();
    this.#block = done ? undefined : value;
    this.#index = 0;
    return !done;
  }

  async close(): Promise<void> {
    await this.#blocks.return(undefined);
  }

  /** Waits until the first rows are here: PostgreSQL has sorted by then. */
  async start(): Promise<void> {
    await this.fill();
  }
}
