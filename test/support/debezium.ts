import type { KafkaMessage } from '../../src/sources/kafka/envelope.ts';

/** Parts of a message; JSON unless they are bytes. */
export interface MessageParts {
  key?: unknown;
  value?: unknown;
  headers?: Record<string, string | Buffer>;
}

export function kafkaMessage({ key = { id: 1 }, value = null, headers }: MessageParts): KafkaMessage {
  return {
    key: bytesOf(key),
    value: bytesOf(value),
    headers: headers && new Map(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  };
}

function bytesOf(part: unknown): Buffer | null {
  if (part === null || Buffer.isBuffer(part)) return part;
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part));
}

/** An envelope of table `public.t` as Debezium writes it. */
export function envelope(
  op: string,
  before: unknown,
  after: unknown,
  source: object = {},
): Record<string, unknown> {
  return {
    before,
    after,
    source: {
      version: '3.6.3.Final',
      connector: 'postgresql',
      name: 'cdc',
      ts_ms: 1795355168375,
      snapshot: 'false',
      db: 'postgres',
      sequence: '["24000","24064"]',
      ts_us: 1795355168375129,
      ts_ns: 1795355168375129000,
      schema: 'public',
      table: 't',
      txId: 750,
      lsn: 24064,
      xmin: null,
      origin: null,
      origin_lsn: null,
      ...source,
    },
    transaction: null,
    op,
    ts_ms: 1795355168945,
    ts_us: 1795355168945205,
    ts_ns: 1795355168945205000,
  };
}

/** A row as `ExtractNewRecordState` flattens it. */
export function flattened(row: object, op: string | undefined, added: object = {}): object {
  const deleted = op === undefined ? {} : { __deleted: String(op === 'd') };
  return {
    ...row,
    ...deleted,
    __op: op,
    __lsn: 24064,
    __source_ts_ms: 1795355168375,
    __table: 't',
    ...added,
  };
}

/** `payload` as `JsonConverter` writes it with `schemas.enable=true`. */
export function withSchema(schema: unknown, payload: unknown): object {
  return { schema, payload };
}

/** A Connect schema of a struct. */
export function struct(fields: Record<string, object>, more: object = {}): object {
  const list = Object.entries(fields).map(([field, schema]) => ({ ...schema, field }));
  return { type: 'struct', fields: list, optional: false, ...more };
}

/** The schema of an envelope whose rows are `row`. */
export function envelopeSchema(row: object): object {
  return struct(
    { before: row, after: row, source: struct({}), op: { type: 'string' } },
    { name: 'cdc.public.t.Envelope' },
  );
}
