import type { ByteWriter } from '../../core/byte-writer.ts';
import { StacklessError } from '../../core/errors.ts';
import type { Wire } from '../../core/relation.ts';
import { type NextRecords, newStamp } from './json-kernel.ts';

/** A message as Kafka has it. */
export interface KafkaMessage {
  key: Buffer | null;
  value: Buffer | null;
  /** Absent or empty for most messages. */
  headers?: ReadonlyMap<string, Buffer> | undefined;
  /** Of a message that is part of something larger: where it is, for those who need no Buffers of its parts. */
  spans?: MessageSpans;
}

/** Where key and value of a message lie. */
export interface MessageSpans {
  keyBytes: Buffer;
  /** Another number whenever other bytes are in `keyBytes`. */
  keyStamp: number;
  /** -1 when there is no key. */
  keyStart: number;
  keyEnd: number;
  valueBytes: Buffer;
  valueStamp: number;
  /** -1 for a tombstone. */
  valueStart: number;
  valueEnd: number;
}

const nothing = Buffer.alloc(0);

export function spansOf(message: KafkaMessage): MessageSpans {
  if (message.spans) return message.spans;
  const { key, value } = message;
  return {
    keyBytes: key ?? nothing,
    keyStamp: newStamp(),
    keyStart: key ? 0 : -1,
    keyEnd: key?.length ?? -1,
    valueBytes: value ?? nothing,
    valueStamp: newStamp(),
    valueStart: value ? 0 : -1,
    valueEnd: value?.length ?? -1,
  };
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
  /**
   * Nothing to do: heartbeat, transaction metadata, schema change, logical message, tombstone right after its delete, first
   * half of a key change (the old key is deleted with the second half).
   */
  ignored: 3,
  /**
   * A tombstone whose delete did not come just before: it was compacted away, or `ExtractNewRecordState` left it out. A delete
   * (`K` tuple of the message key) was appended; its layout has the key's columns only. A tombstone says nothing else: it
   * comes behind every earlier message of its partition and before every later one, and it has no LSN (0), no time (NaN)
   * and no name of its own: `schema` and `table` are those of the message read last, empty when there was none.
   */
  tombstone: 4,
} as const;

/** What the last `read` found; as it was for what is ignored. */
export class EnvelopeFields {
  /** `Op` of the change (`core/batch.ts`); a snapshot row (`r`) is an insert. */
  op = 0;
  isSnapshot = false;
  /** Whether it is a row that `ExtractNewRecordState` flattened. */
  isFlattened = false;
  /** `source.lsn`, in unsigned halves. */
  lsnHi = 0;
  lsnLo = 0;
  /** First part of `source.sequence`: the end of the commit before, in unsigned halves; both 0 when it is null. */
  lastCommitHi = 0;
  lastCommitLo = 0;
  /** `source.ts_us`, or `ts_ms` of older versions, in µs since 2000-01-01 UTC; NaN when the message does not say it. */
  committedAtUs = Number.NaN;
  /** `source.schema` and `source.table`; empty when a flattened row does not say them. */
  schema = '';
  table = '';
  /** Of the tuples that were appended. */
  layout: Layout = { names: [], wires: [], key: undefined };
}

/**
 * Reads Debezium envelopes of one topic. One reader serves one message at a time; what it found stands in its fields until the
 * next `read`. No object is made per message.
 *
 * What a message may be, each recognised by itself:
 *
 * - a JSON envelope, bare or as `{"schema":…,"payload":…}`; an Avro one (Confluent's wire format);
 * - a row that Debezium's `ExtractNewRecordState` flattened, in either format, if it has `__op` (or `__deleted: "true"`) and
 *   `__lsn`: `add.fields=op,lsn,sequence,source.ts_us,schema,table`, with the default `add.fields.prefix`. Columns of these
 *   names cannot be told from such fields. Without `__sequence` the commit before is taken as null, without `__schema` and
 *   `__table` the names are empty, without a `__source_ts_…` the time is NaN;
 * - a tombstone (null), heartbeat, transaction or schema change message.
 *
 * Key and value need not be of the same format. Text must be valid UTF-8, also where it is escaped: half a surrogate pair is
 * malformed.
 *
 * The bytes of a change: a snapshot row and an insert are `N`. An update is `N`, after the whole old row (`O`) when
 * `before` has it. A delete is `K`: what `before` has beside the key under REPLICA IDENTITY DEFAULT is made up, and nothing in a
 * message tells DEFAULT from FULL; it is `O` when there is no key. A changed key comes as a delete, which is ignored, and an
 * insert, which becomes an update with the old key in `K`. The placeholder of an unchanged value is `u` in updates; in other
 * changes it is a value.
 */
export interface EnvelopeReader extends Readonly<EnvelopeFields> {
  /** What must be there before `read` can be called, if it is not: the schemas of an Avro message. */
  prepare(message: KafkaMessage): Promise<void> | undefined;
  /**
   * Reads a message and, for a change, appends its bytes (`core/tuple.ts`) to `out`. Returns an `EnvelopeKind`.
   * @throws MalformedEnvelope for what is no envelope; `out` is then as it was
   */
  read(message: KafkaMessage, out: ByteWriter): number;
  /**
   * Reads the records that come next in a batch, up to the first that is longer than `mostBytes` or not like messages that were read
   * already: inserts and updates only. Appends their tuples to `out`. Returns how many; `change` tells of each, in turn.
   */
  readAhead?(next: NextRecords, mostBytes: number, out: ByteWriter): number;
  /** Sets the fields to those of record `i` of `readAhead`; false when it, and what follows, must be read by `read`. */
  change?(i: number): boolean;
}

/** A message that cannot be read as an envelope. Built without a stack trace: a topic full of them must not cost one each. */
export class MalformedEnvelope extends StacklessError {}
