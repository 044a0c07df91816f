import { CdcError } from '../../core/errors.ts';
import { Compression, crc32c, decompress } from './compression.ts';
import type { KafkaMessage, MessageSpans } from './envelope.ts';
import { type NextRecords, newStamp } from './json-kernel.ts';
import { UnreadableRecords } from './unreadable-records.ts';

/** A transaction of a producer whose records do not count, as a fetch response names it. */
export interface AbortedTransaction {
  producerId: number;
  firstOffset: number;
}

/** What `RecordCursor.next` found. */
export const Found = {
  nothing: 0,
  record: 1,
  /** Records from `offset` to `position` that cannot be read; `reason` says why. */
  unreadable: 2,
} as const;

/** Byte offsets within a record batch of magic 2 (Kafka docs, "Record Batch"). */
const batchHeaderBytes = 61;
const lengthAt = 8;
const lengthEndAt = 12;
const leaderEpochAt = 12;
const magicAt = 16;
const crcAt = 17;
const attributesAt = 21;
const lastOffsetDeltaAt = 23;
const producerIdAt = 43;
const recordCountAt = 57;

const isTransactional = 0x10;
const isControl = 0x20;

const contextHeader = Buffer.from('__debezium.context.');
/** Debezium's own headers that tell nothing: four on each message, unless they are switched off. */
const contextByte = contextHeader.indexOf('.context') + 1;

/**
 * Walks the records of a fetched stretch of a partition: record batches of magic 2, without an object for a record. What
 * was found stands in the fields until the next `next`. As a `KafkaMessage` it makes what it is asked for.
 */
export class RecordCursor implements KafkaMessage, MessageSpans, NextRecords {
  /** Where the bytes of the record are: the response, or what was decompressed. */
  bytes: Buffer = Buffer.alloc(0);
  #stamp = newStamp();
  /** -1 where key or value are null. */
  keyStart = -1;
  keyEnd = -1;
  valueStart = -1;
  valueEnd = -1;
  headerCount = 0;
  /** Of the record with key, value and headers. */
  size = 0;
  offset = 0;
  /** Everything before this offset was walked over. */
  position = 0;
  /** Of the batch that `position` is in or behind; -1 before the first. */
  leaderEpoch = -1;
  reason = '';

  readonly #maxBatchBytes: number;
  #fetched: Buffer = this.bytes;
  #fetchedStamp = this.#stamp;
  #at = 0;
  #end = 0;
  #from = 0;
  #aborted: readonly AbortedTransaction[] = [];
  #nextAborted = 0;
  readonly #abortedProducers = new Set<number>();

  #recordAt = 0;
  #recordsEnd = 0;
  #recordsLeft = 0;
  #baseOffset = 0;
  #lastOffset = -1;
  #headersAt = 0;

  /** `maxBatchBytes`: what a compressed batch may become. */
  constructor(maxBatchBytes: number) {
    this.#maxBatchBytes = maxBatchBytes;
  }

  /** Walks `bytes[start..end)`, which was fetched from `offset` on. `aborted` comes in the order of its offsets. */
  open(
    bytes: Buffer,
    start: number,
    end: number,
    offset: number,
    aborted: readonly AbortedTransaction[] = [],
  ): void {
    this.#fetched = bytes;
    this.#fetchedStamp = newStamp();
    this.#at = start;
    this.#end = end;
    this.#from = this.position = offset;
    this.leaderEpoch = -1;
    this.#aborted = aborted;
    this.#nextAborted = 0;
    this.#abortedProducers.clear();
    this.#recordsLeft = 0;
    this.#lastOffset = -1;
  }

  /** Goes to the next record. @throws CdcError BROKER_PROTOCOL for bytes that are not what the broker should send */
  next(): number {
    for (;;) {
      if (this.#recordsLeft > 0) {
        this.#recordsLeft--;
        if (!this.#record()) return this.#unreadable('a record that is not what its batch says');
        this.position = this.offset + 1;
        if (this.offset >= this.#from) return Found.record;
        continue;
      }
      if (this.#lastOffset >= this.position) this.position = this.#lastOffset + 1;
      if (!this.#batchIsWhole()) return Found.nothing;
      try {
        this.#batch();
      } catch (error) {
        if (!(error instanceof UnreadableRecords)) throw error;
        return this.#unreadable(error.message);
      }
    }
  }

  get recordsStart(): number {
    return this.#recordAt;
  }

  get recordsEnd(): number {
    return this.#recordsEnd;
  }

  get recordsLeft(): number {
    return this.#recordsLeft;
  }

  get stamp(): number {
    return this.#stamp;
  }

  get leastOffsetDelta(): number {
    return Math.max(this.#from - this.#baseOffset, -1);
  }

  /** Goes behind `count` records, the last of which ends `bytes` behind where the next one is, and has `offsetDelta`. */
  skip(count: number, bytes: number, offsetDelta: number): void {
    this.#recordsLeft -= count;
    this.#recordAt += bytes;
    this.offset = this.#baseOffset + offsetDelta;
    this.position = this.offset + 1;
  }

  get baseOffset(): number {
    return this.#baseOffset;
  }

  get spans(): MessageSpans {
    return this;
  }

  get keyBytes(): Buffer {
    return this.bytes;
  }

  get valueBytes(): Buffer {
    return this.bytes;
  }

  get keyStamp(): number {
    return this.#stamp;
  }

  get valueStamp(): number {
    return this.#stamp;
  }

  get key(): Buffer | null {
    return this.keyStart < 0 ? null : this.bytes.subarray(this.keyStart, this.keyEnd);
  }

  get value(): Buffer | null {
    return this.valueStart < 0 ? null : this.bytes.subarray(this.valueStart, this.valueEnd);
  }

  /** Without Debezium's context; of equal names the last. */
  get headers(): ReadonlyMap<string, Buffer> | undefined {
    if (this.headerCount === 0) return undefined;
    let headers: Map<string, Buffer> | undefined;
    this.#eachHeader((start, end, value) => {
      if (this.#isContext(start, end)) return;
      headers ??= new Map();
      headers.set(this.bytes.toString('utf8', start, end), value ?? Buffer.alloc(0));
    });
    return headers;
  }

  /** Every header, as it is. */
  allHeaders(): [name: string, value: Buffer | null][] {
    const headers: [string, Buffer | null][] = [];
    this.#eachHeader((start, end, value) =>
      headers.push([this.bytes.toString('utf8', start, end), value && Buffer.from(value)]),
    );
    return headers;
  }

  #isContext(start: number, end: number): boolean {
    const { bytes } = this;
    return (
      end - start > contextHeader.length &&
      bytes[start + contextByte] === contextHeader[contextByte] &&
      bytes.compare(contextHeader, 0, contextHeader.length, start, start + contextHeader.length) === 0
    );
  }

  #eachHeader(take: (start: number, end: number, value: Buffer | null) => void): void {
    const returnTo = this.#recordAt;
    this.#recordAt = this.#headersAt;
    for (let i = 0; i < this.headerCount; i++) {
      const start = this.#recordAt + sizeOfVarint(this.bytes, this.#recordAt);
      const end = start + this.#varint();
      this.#recordAt = end;
      const length = this.#varint();
      const valueStart = this.#recordAt;
      if (length > 0) this.#recordAt += length;
      take(start, end, length < 0 ? null : this.bytes.subarray(valueStart, this.#recordAt));
    }
    this.#recordAt = returnTo;
  }

  /** A response may end in the middle of a batch. */
  #batchIsWhole(): boolean {
    const at = this.#at;
    if (at + batchHeaderBytes > this.#end) return false;
    return at + lengthEndAt + this.#fetched.readInt32BE(at + lengthAt) <= this.#end;
  }

  /** Opens the batch at `#at` and goes behind it; leaves no records of one that does not count. */
  #batch(): void {
    const fetched = this.#fetched;
    const at = this.#at;
    const end = at + lengthEndAt + fetched.readInt32BE(at + lengthAt);
    this.#baseOffset = readInt64(fetched, at);
    if (fetched[at + magicAt] !== 2)
      throw protocolError(
        `record batch at offset ${this.#baseOffset} has format ${fetched[at + magicAt]}, not 2`,
      );
    if (
      end < at + batchHeaderBytes ||
      crc32c(fetched.subarray(at + attributesAt, end)) !== fetched.readUInt32BE(at + crcAt)
    )
      throw protocolError(`record batch at offset ${this.#baseOffset} does not fit its checksum`);
    this.#at = end;
    this.#lastOffset = this.#baseOffset + fetched.readInt32BE(at + lastOffsetDeltaAt);
    this.leaderEpoch = fetched.readInt32BE(at + leaderEpochAt);
    const attributes = fetched.readInt16BE(at + attributesAt);
    const counts = this.#counts(at, attributes);
    if (!counts || this.#lastOffset < this.#from) return;
    const compression = attributes & 7;
    if (compression === Compression.none) {
      this.bytes = fetched;
      this.#stamp = this.#fetchedStamp;
      this.#recordAt = at + batchHeaderBytes;
      this.#recordsEnd = end;
    } else {
      const compressed = fetched.subarray(at + batchHeaderBytes, end);
      this.bytes = decompress(compression, compressed, this.#maxBatchBytes);
      this.#stamp = newStamp();
      this.#recordAt = 0;
      this.#recordsEnd = this.bytes.length;
    }
    this.#recordsLeft = fetched.readInt32BE(at + recordCountAt);
  }

  /** Whether the records of a batch are messages: not those of an aborted transaction, nor the marker of its end. */
  #counts(at: number, attributes: number): boolean {
    if ((attributes & (isTransactional | isControl)) === 0) return true;
    const aborted = this.#aborted;
    while (
      this.#nextAborted < aborted.length &&
      aborted[this.#nextAborted]!.firstOffset <= this.#lastOffset
    ) {
      this.#abortedProducers.add(aborted[this.#nextAborted++]!.producerId);
    }
    const producerId = readInt64(this.#fetched, at + producerIdAt);
    if ((attributes & isControl) === 0) return !this.#abortedProducers.has(producerId);
    // Commit and abort end the transaction alike.
    this.#abortedProducers.delete(producerId);
    return false;
  }

  /** Reads the record at `#recordAt`; false when it does not stay within its batch. */
  #record(): boolean {
    const length = this.#varint();
    const end = this.#recordAt + length;
    if (length < 0 || end > this.#recordsEnd) return false;
    this.size = length;
    this.#recordAt++; // attributes: none are defined
    this.#skipVarint(); // timestamp
    this.offset = this.#baseOffset + this.#varint();
    const keyBytes = this.#varint();
    this.keyStart = keyBytes < 0 ? -1 : this.#recordAt;
    if (keyBytes > 0) this.#recordAt += keyBytes;
    this.keyEnd = this.#recordAt;
    const valueBytes = this.#varint();
    this.valueStart = valueBytes < 0 ? -1 : this.#recordAt;
    if (valueBytes > 0) this.#recordAt += valueBytes;
    this.valueEnd = this.#recordAt;
    if (this.#recordAt >= end) return false;
    this.headerCount = this.#varint();
    this.#headersAt = this.#recordAt;
    this.#recordAt = end;
    return this.headerCount >= 0;
  }

  #unreadable(reason: string): number {
    this.#recordsLeft = 0;
    this.offset = Math.max(this.position, this.#baseOffset);
    this.position = this.#lastOffset + 1;
    this.reason = reason;
    return Found.unreadable;
  }

  /** A zigzag varint of 32 bits. */
  #varint(): number {
    const { bytes } = this;
    let byte = bytes[this.#recordAt++]!;
    if (byte < 128) return (byte >>> 1) ^ -(byte & 1);
    let value = byte & 127;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = bytes[this.#recordAt++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    return (value >>> 1) ^ -(value & 1);
  }

  #skipVarint(): void {
    while (this.bytes[this.#recordAt++]! >= 128);
  }
}

function sizeOfVarint(bytes: Buffer, at: number): number {
  let size = 1;
  while (bytes[at++]! >= 128) size++;
  return size;
}

/** Offsets and producer ids are below 2^53. */
export function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

/** The offset behind the last whole batch of `bytes[start..end)` and its epoch, from headers alone. */
export function lastBatch(
  bytes: Buffer,
  start: number,
  end: number,
): { nextOffset: number; leaderEpoch: number } | undefined {
  let last = -1;
  for (let at = start; at + batchHeaderBytes <= end; ) {
    const next = at + lengthEndAt + bytes.readInt32BE(at + lengthAt);
    if (next > end || next < at + batchHeaderBytes) break;
    last = at;
    at = next;
  }
  if (last < 0) return undefined;
  return {
    nextOffset: readInt64(bytes, last) + bytes.readInt32BE(last + lastOffsetDeltaAt) + 1,
    leaderEpoch: bytes.readInt32BE(last + leaderEpochAt),
  };
}

function protocolError(message: string): CdcError {
  return new CdcError('BROKER_PROTOCOL', message);
}
