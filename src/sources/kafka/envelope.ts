import type { ByteWriter } from '../../core/byte-writer.ts';
import type { Wire } from '../../core/relation.ts';

/** A message as Kafka has it. */
export interface KafkaMessage {
  key: Buffer | null;
  value: Buffer | null;
  /** Absent or empty for most messages. */
  headers?: ReadonlyMap<string, Buffer> | undefined;
}

/** Fields of a row as a topic's messages have them; one object per shape, never changed once made. */
export interface Layout {
  /** In the order of the tuples. */
  names: readonly string[];
  /** By place; `{}` where messages carry no schema. */
  wires: readonly Wire[];
  /** Fields of the message key, in its order; `undefined` when messages have none. */
  key: readonly string[] | undefined;
}

/** What a message is. */
export const EnvelopeKind = {
  /** A row was inserted, updated, deleted or read by a snapshot: its bytes were appended. */
  change: 1,
  truncate: 2,
  /** Nothing to do: heartbeat, transaction metadata, logical message, tombstone after a delete, first half of a key change. */
  ignored: 3,
} as const;

/**
 * Reads Debezium envelopes of one topic. One reader serves one message at a time; what it found stands in its fields until the
 * next `read`. No object is made per message.
 */
export interface EnvelopeReader {
  /**
   * Reads a message and, for a change, appends its bytes (`core/tuple.ts`) to `out`. Returns an `EnvelopeKind`.
   * @throws MalformedEnvelope for what is no envelope; `out` is then as it was
   */
  read(message: KafkaMessage, out: ByteWriter): number;
  /** `Op` of the change (`core/batch.ts`); a snapshot row (`r`) is an insert. */
  readonly op: number;
  readonly isSnapshot: boolean;
  /** `source.lsn`, in halves. */
  readonly lsnHi: number;
  readonly lsnLo: number;
  /** First part of `source.sequence`: the end of the commit before; both 0 when it is null. */
  readonly lastCommitHi: number;
  readonly lastCommitLo: number;
  /** `source.ts_us`, or `ts_ms` of older versions, in µs since 2000-01-01 UTC. */
  readonly committedAtUs: number;
  /** `source.schema` and `source.table`. */
  readonly schema: string;
  readonly table: string;
  /** Of the tuples that were appended. */
  readonly layout: Layout;
}

/** A message that cannot be read as an envelope. Built without a stack trace: a topic full of them must not cost one each. */
export class MalformedEnvelope extends Error {
  constructor(reason: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(reason);
    Error.stackTraceLimit = limit;
    this.name = 'MalformedEnvelope';
  }
}
