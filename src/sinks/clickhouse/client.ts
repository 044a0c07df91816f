import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  type ClickHouseClient,
  ClickHouseError,
  createClient,
  type ResponseHeaders,
} from '@clickhouse/client';
import { CdcError, type ErrorCode } from '../../core/errors.ts';
import { quoteString } from './names.ts';

/**
 * Everything that correctness depends on is sent with each statement: server defaults differ between versions
 * (26.7 has async_insert=1) and between profiles (that of Altinity's operator does not merge across partitions).
 */
const settings = {
  async_insert: 0,
  wait_end_of_query: 1,
  // Without it the answer that is waited for goes through a temporary file, however short it is.
  http_response_buffer_size: '1048576',
  input_format_null_as_default: 0,
  input_format_skip_unknown_fields: 0,
  insert_null_as_default: 0,
  input_format_binary_read_json_as_string: 1,
  date_time_overflow_behavior: 'throw',
  mutations_sync: '2',
  lightweight_deletes_sync: '2',
  alter_sync: '2',
  // What FINAL gives is the newest row of a key, in whichever partition; without FINAL every row is meant.
  do_not_merge_across_partitions_select_final: 0,
  optimize_move_to_prewhere_if_final: 0,
  final: 0,
  join_use_nulls: 0,
  // A result is whole, and of now.
  use_query_cache: 0,
  limit: '0',
  offset: '0',
  result_overflow_mode: 'throw',
  read_overflow_mode: 'throw',
  timeout_overflow_mode: 'throw',
  group_by_overflow_mode: 'throw',
  sort_overflow_mode: 'throw',
  set_overflow_mode: 'throw',
  join_overflow_mode: 'throw',
  distinct_overflow_mode: 'throw',
  additional_result_filter: '',
  apply_deleted_mask: 1,
  // Nothing that is replicated is too much for it; a batch may reach into many partitions.
  max_partitions_per_insert_block: '0',
  format_binary_max_string_size: '0',
  data_type_default_nullable: 0,
  output_format_json_array_of_rows: 0,
  // Headers that go on and on are more than HTTP clients take.
  send_progress_in_http_headers: 0,
  output_format_json_quote_64bit_integers: 1,
  cancel_http_readonly_queries_on_client_close: 1,
} as const;

/** Statements over ClickHouse's HTTP interface. Failures are `CdcError`s, by ClickHouse's error code. */
export class ClickHouse {
  readonly client: ClickHouseClient;
  readonly #where: string;
  /** What the ids of inserts begin with. */
  readonly #owner: string;
  /** Inserts whose answer was lost: they may be running still. */
  readonly #unsettled = new Set<string>();

  /** `owner`: names who inserts, for `endLeftovers`. */
  constructor(address: { url: string; user: string; password: string }, owner = 'wal-cdc') {
    this.#owner = `${owner}/`;
    this.#where = `ClickHouse at ${new URL(address.url).host} as ${address.user}`;
    this.client = createClient({
      url: address.url,
      username: address.user,
      password: address.password,
      request_timeout: 600_000,
      max_open_connections: 16,
      application: 'wal-cdc',
      clickhouse_settings: Object.fromEntries(
        Object.entries(settings).filter(([, value]) => value !== undefined),
      ),
      log: { level: 127 }, // failures are reported by whoever called
    });
  }

  /** Rows as objects; 64-bit and wider numbers arrive as text. */
  async query<T>(sql: string): Promise<T[]> {
    try {
      const result = await this.client.query({ query: sql, format: 'JSONEachRow' });
      this.#requireClickHouse(result.response_headers);
      return await result.json<T>();
    } catch (error) {
      throw this.#error(error, sql);
    }
  }

  async command(sql: string): Promise<void> {
    await this.#settle();
    await this.#run(sql);
  }

  /** `INSERT … FORMAT …` with `body` as its data. Resolves when every row is durable; the outcome of a failure is unknown. */
  async insert(sql: string, body: Buffer): Promise<void> {
    await this.#settle();
    const id = this.#owner + randomUUID();
    try {
      const { stream, response_headers } = await this.client.exec({
        query: sql,
        query_id: id,
        values: Readable.from([body], { objectMode: false }),
      });
      await drain(stream);
      this.#requireClickHouse(response_headers);
    } catch (error) {
      const failure = this.#error(error, sql);
      if (failure.code === 'SINK_UNREACHABLE') this.#unsettled.add(id);
      throw failure;
    }
  }

  /** Ends inserts of `owner` that a process which is gone has left: they could still land behind a later statement. */
  async endLeftovers(): Promise<void> {
    await this.#run(`KILL QUERY WHERE startsWith(query_id, ${quoteString(this.#owner)}) SYNC`);
  }

  /** ClickHouse carries on with an insert whose client is gone. What comes next must come after it. */
  async #settle(): Promise<void> {
    if (this.#unsettled.size === 0) return;
    const ids = [...this.#unsettled];
    await this.#run(`KILL QUERY WHERE query_id IN (${ids.map(quoteString).join(', ')}) SYNC`);
    for (const id of ids) this.#unsettled.delete(id);
  }

  async #run(sql: string): Promise<void> {
    try {
      const { response_headers } = await this.client.command({ query: sql });
      this.#requireClickHouse(response_headers);
    } catch (error) {
      throw this.#error(error, sql);
    }
  }

  /** The raw bytes of a result in the format that `sql` names. */
  async bytes(sql: string, limits: Record<string, string | number> = {}): Promise<Buffer> {
    try {
      const { stream, response_headers } = await this.client.exec({
        query: sql,
        clickhouse_settings: limits,
      });
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      this.#requireClickHouse(response_headers);
      return Buffer.concat(chunks);
    } catch (error) {
      throw this.#error(error, sql);
    }
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  /** A proxy may answer 200 with a page of its own: then nothing was done. */
  #requireClickHouse(headers: ResponseHeaders): void {
    if (headers['x-clickhouse-query-id'] === undefined)
      throw new CdcError('SINK_UNREACHABLE', `${this.#where} does not answer: something else does`, {
        hint: 'See what stands between: the answer was 200, and not from ClickHouse.',
      });
  }

  #error(error: unknown, sql: string): CdcError {
    if (error instanceof CdcError) return error;
    if (error instanceof ClickHouseError) {
      const message = `${this.#where}: ${error.message} (code ${error.code}, ${error.type ?? 'unknown type'})`;
      return new CdcError(sinkErrorCode(Number(error.code)), message, { cause: error });
    }
    const { code, message = '' } = error as NodeJS.ErrnoException;
    // Of a proxy it is a page.
    const reason = (message || code || String(error)).replaceAll(/\s+/g, ' ').slice(0, 200);
    return new CdcError('SINK_UNREACHABLE', `${this.#where} does not answer: ${reason}`, {
      cause: new Error(`statement: ${sql.slice(0, 200)}`, { cause: error }),
    });
  }
}

/** ClickHouse's error codes (src/Common/ErrorCodes.cpp) that mean something for the pipeline. */
const errorCodes: [ErrorCode, number[]][] = [
  ['SINK_AUTH', [192, 193, 194, 516]],
  ['SINK_PRIVILEGE', [164, 497]],
  // no space, no memory, too many parts, quotas; files that cannot be written; errors of the operating system
  ['SINK_FULL', [75, 173, 201, 241, 243, 252, 425, 1000, 1001]],
  // time-outs, sockets, too many queries, shutting down, read-only replica, quorum, Keeper, S3, unknown outcome
  ['SINK_UNREACHABLE', [3, 159, 198, 202, 203, 209, 210, 225, 236, 242, 279, 285, 286, 319, 394, 499, 999]],
  // no such column, type mismatch, unknown database or table, what cannot be parsed; a column twice or not to be written, Nested, what
  // a table cannot do, a view that throws, a constraint
  ['TABLE_MISMATCH', [6, 15, 16, 27, 33, 44, 47, 53, 60, 81, 117, 190, 344, 349, 395, 469]],
];

function sinkErrorCode(code: number): ErrorCode {
  return errorCodes.find(([, codes]) => codes.includes(code))?.[0] ?? 'SINK_QUERY';
}

function drain(stream: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on('end', resolve);
    stream.on('error', reject);
    stream.resume();
  });
}
