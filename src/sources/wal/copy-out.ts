import type pg from 'pg';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import { type BackendError, decodeErrorResponse } from './backend-error.ts';
import { CopyFramer } from './copy-framer.ts';
import { RawSession } from './raw-session.ts';

/** Rows of a binary COPY: row i starts at `data[offsets[i]]` with its int16 field count (docs: "COPY", binary format). */
export interface CopyBlock {
  data: Buffer;
  offsets: Uint32Array;
  count: number;
  bytes: number;
  /** Gives the memory back for a later block: the rows are gone then. What is not released is left to the garbage collector. */
  release(): void;
}

/**
 * Runs `COPY … TO STDOUT (FORMAT binary)` on an idle client and yields its rows in blocks of about `blockBytes`.
 * Memory is bounded by two blocks: while nobody takes a block, the socket is paused. Header and trailer are not
 * reported. A server error is thrown as `BackendError` with its SQLSTATE. When the caller leaves early or `signal`
 * aborts, the connection is destroyed: a COPY cannot be abandoned otherwise.
 */
export async function* copyOut(
  client: pg.Client,
  sql: string,
  options: { blockBytes?: number; signal?: AbortSignal } = {},
): AsyncGenerator<CopyBlock> {
  const reader = new CopyReader(client, options.blockBytes ?? 4 << 20);
  const abort = () => reader.fail(new CdcError('COPY_BROKEN', 'the copy was cancelled'));
  options.signal?.addEventListener('abort', abort, { once: true });
  try {
    if (options.signal?.aborted) abort();
    else reader.start(sql);
    for (;;) {
      const block = await reader.next();
      if (!block) break;
      yield block;
    }
  } finally {
    options.signal?.removeEventListener('abort', abort);
    reader.close();
  }
}

class CopyReader {
  readonly #session: RawSession;
  readonly #blockBytes: number;
  readonly #framer: CopyFramer;
  #writer: ByteWriter;
  #offsets: Uint32Array = new Uint32Array(1024);
  #released: { writer: ByteWriter; offsets: Uint32Array } | undefined;
  #count = 0;
  #headerSeen = false;
  #serverError: BackendError | undefined;
  #ready = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(client: pg.Client, blockBytes: number) {
    this.#blockBytes = blockBytes;
    this.#writer = this.#newWriter();
    this.#framer = new CopyFramer({
      writer: () => this.#writer,
      copyData: start => this.#row(start),
      message: (type, body) => this.#message(type, body),
    });
    this.#session = new RawSession(client, (bytes, length) => {
      this.#framer.push(bytes, length);
      if (this.#blockFull) this.#session.pause();
      this.#wake?.();
    });
    this.#session.socket.once('close', this.#onClose);
  }

  readonly #onClose = () => this.fail(new CdcError('SOURCE_UNREACHABLE', 'PostgreSQL closed the connection'));

  start(sql: string): void {
    this.#session.query(sql);
  }

  fail(error: Error): void {
    if (this.#ready) return;
    this.#failure ??= error;
    this.#wake?.();
  }

  /** The next block, or `undefined` at the end of the copy. */
  async next(): Promise<CopyBlock | undefined> {
    while (!this.#blockFull && !this.#ready && !this.#failure) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#failure) throw this.#failure;
    if (this.#ready && this.#serverError) throw this.#serverError;
    if (this.#count === 0) return undefined;
    return this.#handOver();
  }

  /** The consumer keeps the block while the next one fills. */
  #handOver(): CopyBlock {
    const [writer, offsets, count] = [this.#writer, this.#offsets, this.#count];
    const free = this.#released;
    this.#released = undefined;
    this.#writer = free?.writer ?? this.#newWriter();
    this.#offsets = free?.offsets ?? new Uint32Array(offsets.length);
    this.#count = 0;
    this.#framer.switchWriter(this.#writer);
    const bytes = writer.pos;
    this.#session.resume();
    const release = () => {
      writer.pos = 0;
      this.#released = { writer, offsets };
    };
    return { data: writer.buf, offsets, count, bytes, release };
  }

  #newWriter(): ByteWriter {
    return new ByteWriter(this.#blockBytes + (this.#blockBytes >> 2));
  }

  get #blockFull(): boolean {
    return this.#count > 0 && this.#writer.pos >= this.#blockBytes;
  }

  close(): void {
    this.#session.socket.off('close', this.#onClose);
    if (this.#ready) this.#session.release();
    else this.#session.socket.destroy();
  }

  #row(start: number): void {
    const writer = this.#writer;
    if (!this.#headerSeen) {
      // Signature (11), flags (4) and length of the extension (4) precede the first row, in its message.
      this.#headerSeen = true;
      start += 19 + writer.buf.readInt32BE(start + 15);
      if (start >= writer.pos) return;
    }
    if (writer.buf[start] === 0xff && writer.buf[start + 1] === 0xff) return; // the trailer: field count -1
    if (this.#count === this.#offsets.length) {
      const grown = new Uint32Array(this.#count * 2);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.#offsets[this.#count++] = start;
  }

  #message(type: number, body: Buffer): void {
    if (type === 0x45) this.#serverError ??= decodeErrorResponse(body); // 'E'
    if (type === 0x5a) this.#ready = true; // 'Z'
  }
}
