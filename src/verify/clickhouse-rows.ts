import type { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseError, type ClickHouseSettings } from '@clickhouse/client';
import { CdcError } from '../core/errors.ts';
import { RowReader } from './row-reader.ts';

/** Sent with each query: what it means must not depend on the user's profile. */
const settings: ClickHouseSettings = {
  wait_end_of_query: 0,
  output_format_decimal_trailing_zeros: 0,
  date_time_output_format: 'simple',
  max_bytes_before_external_sort: String(256 << 20),
  max_execution_time: 0,
  max_result_rows: '0',
  max_result_bytes: '0',
  // Queries that look keys up name them.
  max_query_size: String(256 << 20),
  max_ast_elements: '10000000',
  max_expanded_ast_elements: '10000000',
  cancel_http_readonly_queries_on_client_close: 1,
};

/** Texts of the fields of a row that was read. */
export type RowTexts = readonly (string | null)[];

/** Where to go on after a break: behind `rows` rows, of which the last had the texts `last`. */
export interface RowPosition {
  rows: number;
  last: RowTexts;
}

/**
 * Rows of a query whose columns are all Nullable(String), in RowBinary: per field a byte that says NULL, a LEB128 length
 * and the bytes.
 *
 * A server waits 30 s (`http_send_timeout`, which no query can change) for a client that does not read, then breaks the
 * connection; this one reads only as fast as PostgreSQL's rows come. So a broken result is continued with a new query,
 * unless nothing arrived since the last one.
 */
export class ClickHouseRows extends RowReader {
  readonly #client: ClickHouseClient;
  readonly #build: (position: RowPosition | undefined) => string;
  readonly #onContinue: () => void;
  readonly #signal: AbortSignal | undefined;
  #stream: Readable | undefined;
  #chunks: AsyncIterator<Buffer> | undefined;
  #exceptionTag: string | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #pos = 0;
  #rowsAtOpen = -1;

  /** `build` makes the query; `onContinue` is told that the rest comes from a new one. */
  constructor(
    client: ClickHouseClient,
    fields: number,
    build: (position: RowPosition | undefined) => string,
    options: { signal?: AbortSignal | undefined; onContinue?: () => void } = {},
  ) {
    super(fields);
    this.#client = client;
    this.#build = build;
    this.#signal = options.signal;
    this.#onContinue = options.onContinue ?? (() => {});
  }

  /** Resolves when the first rows are on their way: the query has taken its view of the table. */
  async open(): Promise<void> {
    const position = this.rows === 0 ? undefined : { rows: this.rows, last: this.#texts() };
    this.#rowsAtOpen = this.rows;
    this.#buffer = Buffer.alloc(0);
    this.#pos = 0;
    const query = `${this.#build(position)} FORMAT RowBinary`;
    try {
      const result = await this.#client.exec({
        query,
        clickhouse_settings: settings,
        ...(this.#signal ? { abort_signal: this.#signal } : {}),
      });
      const tag = result.response_headers['x-clickhouse-exception-tag'];
      this.#exceptionTag = typeof tag === 'string' ? tag : undefined;
      this.#stream = result.stream as Readable;
      // A broken connection is reported by the next read, which may be far off.
      this.#stream.on('error', () => {});
      this.#chunks = this.#stream[Symbol.asyncIterator]();
    } catch (error) {
      throw clickHouseError(error, query);
    }
  }

  #texts(): RowTexts {
    return Array.from(this.starts, (_, field) => this.text(field));
  }

  advance(): boolean {
    const buffer = this.#buffer;
    const { starts, ends } = this.previous;
    let pos = this.#pos;
    for (let i = 0; i < starts.length; i++) {
      if (pos >= buffer.length) return false;
      if (buffer[pos++] === 1) {
        starts[i] = -1;
        continue;
      }
      let length = 0;
      let factor = 1;
      for (; buffer[pos]! >= 0x80; pos++) {
        length += (buffer[pos]! & 0x7f) * factor;
        factor *= 0x80;
      }
      if (pos >= buffer.length) return false;
      length += buffer[pos++]! * factor;
      if (pos + length > buffer.length) return false;
      starts[i] = pos;
      pos += length;
      ends[i] = pos;
    }
    this.#pos = pos;
    this.turn(buffer);
    return true;
  }

  protected async fill(): Promise<boolean> {
    if (!this.#chunks) await this.open();
    try {
      const { value: chunk, done } = await this.#chunks!.next();
      if (done) {
        if (this.#pos < this.#buffer.length) throw new Error('the result ends within a row');
        return false;
      }
      this.#checkException(chunk);
      const rest = this.#buffer.subarray(this.#pos);
      this.#buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      this.#pos = 0;
      return true;
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (error instanceof CdcError || this.rows === this.#rowsAtOpen) throw clickHouseError(error);
      this.#onContinue();
      await this.open();
      return true;
    }
  }

  /** What goes wrong behind the first rows comes as text between two marks with the tag of the response. */
  #checkException(chunk: Buffer): void {
    if (!this.#exceptionTag) return;
    const mark = `__exception__\r\n${this.#exceptionTag}\r\n`;
    const at = chunk.indexOf(mark);
    if (at < 0) return;
    const message = chunk.toString('utf8', at + mark.length).split('\n')[0]!;
    throw new CdcError('SINK_QUERY', `ClickHouse broke off: ${message}`);
  }

  /** Forgets what is behind the current row: the next one comes from a new query. */
  discard(): void {
    this.#stream?.destroy();
    this.#stream = this.#chunks = undefined;
    this.ended = false;
    this.#buffer = Buffer.alloc(0);
    this.#pos = 0;
  }

  async close(): Promise<void> {
    this.#stream?.destroy();
  }
}

/** ClickHouse's error codes (src/Common/ErrorCodes.cpp): no such column, database or table; a table without FINAL. */
const mismatchCodes = new Set(['16', '47', '60', '81', '181']);

function clickHouseError(error: unknown, query = ''): CdcError {
  if (error instanceof CdcError) return error;
  if (!(error instanceof ClickHouseError))
    return new CdcError('SINK_UNREACHABLE', `ClickHouse does not answer: ${(error as Error).message}`, {
      cause: error,
    });
  const code = mismatchCodes.has(error.code)
    ? 'TABLE_MISMATCH'
    : error.code === '497'
      ? 'SINK_PRIVILEGE'
      : 'SINK_QUERY';
  return new CdcError(code, `ClickHouse: ${error.message} (code ${error.code})`, {
    cause: new Error(`statement: ${query.slice(0, 2000)}`, { cause: error }),
  });
}
