import { type AbortedTransaction, readInt64 } from './record-cursor.ts';

/** What a fetch brought of one partition; its record batches are `bytes[start..end)` of the response. */
export interface FetchedPartition {
  /** Topic id from version 13 on, before that its name. */
  topic: string;
  partition: number;
  errorCode: number;
  highWatermark: number;
  /** Where the first transaction starts that is open still; nothing behind it is sent. */
  lastStableOffset: number;
  logStartOffset: number;
  aborted: AbortedTransaction[];
  /** The log was cut to here: what was fetched behind it was replaced. */
  divergesAt: number | undefined;
  start: number;
  end: number;
}

export interface FetchResponse {
  errorCode: number;
  throttleMs: number;
  partitions: FetchedPartition[];
}

/** The fields differ with the version (Kafka docs, "Fetch API"): from 12 on they are compact and have tags. */
export function decodeFetchResponse(bytes: Buffer, at: number, version: number): FetchResponse {
  const reader = new FieldReader(bytes, at, version >= 12);
  const response: FetchResponse = { throttleMs: reader.int32(), errorCode: 0, partitions: [] };
  if (version >= 7) {
    response.errorCode = reader.int16();
    reader.skip(4); // session
  }
  for (let topics = reader.length(); topics > 0; topics--) {
    const topic = version >= 13 ? reader.uuid() : reader.string();
    for (let count = reader.length(); count > 0; count--) {
      response.partitions.push(decodePartition(reader, topic, version));
    }
    reader.tags();
  }
  return response;
}

function decodePartition(reader: FieldReader, topic: string, version: number): FetchedPartition {
  const fetched: FetchedPartition = {
    topic,
    partition: reader.int32(),
    errorCode: reader.int16(),
    highWatermark: reader.int64(),
    lastStableOffset: reader.int64(),
    logStartOffset: version >= 5 ? reader.int64() : -1,
    aborted: [],
    divergesAt: undefined,
    start: 0,
    end: 0,
  };
  for (let count = reader.length(); count > 0; count--) {
    fetched.aborted.push({ producerId: reader.int64(), firstOffset: reader.int64() });
    reader.tags();
  }
  fetched.aborted.sort((a, b) => a.firstOffset - b.firstOffset);
  if (version >= 11) reader.skip(4); // preferred read replica: only for clients that name their rack
  const bytes = Math.max(0, reader.length());
  fetched.start = reader.at;
  fetched.end = reader.at + bytes;
  reader.skip(bytes);
  reader.tags((tag, at) => {
    // 0: the epoch and its end where the logs part.
    if (tag === 0) fetched.divergesAt = readInt64(reader.bytes, at + 4);
  });
  return fetched;
}

class FieldReader {
  readonly bytes: Buffer;
  at: number;
  readonly #compact: boolean;

  constructor(bytes: Buffer, at: number, compact: boolean) {
    this.bytes = bytes;
    this.at = at;
    this.#compact = compact;
  }

  int16(): number {
    return this.bytes.readInt16BE((this.at += 2) - 2);
  }

  int32(): number {
    return this.bytes.readInt32BE((this.at += 4) - 4);
  }

  int64(): number {
    return readInt64(this.bytes, (this.at += 8) - 8);
  }

  uuid(): string {
    return formatUuid(this.bytes.toString('hex', this.at, (this.at += 16)));
  }

  string(): string {
    const length = this.#compact ? this.#unsigned() - 1 : this.int16();
    return this.bytes.toString('utf8', this.at, (this.at += length));
  }

  /** Of an array or of bytes; -1 when there is none. */
  length(): number {
    return this.#compact ? this.#unsigned() - 1 : this.int32();
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  tags(take?: (tag: number, at: number) => void): void {
    if (!this.#compact) return;
    for (let count = this.#unsigned(); count > 0; count--) {
      const tag = this.#unsigned();
      const length = this.#unsigned();
      take?.(tag, this.at);
      this.at += length;
    }
  }

  #unsigned(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes.readUInt8(this.at++);
      value |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    return value >>> 0;
  }
}

/** As the client library writes topic ids. */
function formatUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
