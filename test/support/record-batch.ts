import { gzipSync } from 'node:zlib';
import { Compression, crc32c } from '../../src/sources/kafka/compression.ts';
import type { KafkaMessage } from '../../src/sources/kafka/envelope.ts';

export interface BatchOptions {
  baseOffset: number;
  /** From the base offset; of each record. */
  offsetDeltas: readonly number[];
  gzip?: boolean;
}

/** A record batch of magic 2 (Kafka docs, "Record Batch"), as a producer writes it. */
export function encodeRecordBatch(
  messages: readonly KafkaMessage[],
  { baseOffset, offsetDeltas, gzip = false }: BatchOptions,
): Buffer {
  const records = Buffer.concat(messages.map((message, i) => encodeRecord(message, offsetDeltas[i]!)));
  const payload = gzip ? gzipSync(records) : records;
  const head = Buffer.alloc(61);
  head.writeBigInt64BE(BigInt(baseOffset), 0);
  head.writeInt32BE(head.length - 12 + payload.length, 8);
  head.writeInt8(2, 16);
  head.writeInt16BE(gzip ? Compression.gzip : Compression.none, 21);
  head.writeInt32BE(offsetDeltas.at(-1)!, 23);
  head.writeBigInt64BE(-1n, 43);
  head.writeInt32BE(messages.length, 57);
  const batch = Buffer.concat([head, payload]);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

function encodeRecord({ key, value, headers }: KafkaMessage, offsetDelta: number): Buffer {
  const body = Buffer.concat([
    Buffer.of(0),
    varint(123_456),
    varint(offsetDelta),
    ...sized(key),
    ...sized(value),
    varint(headers?.size ?? 0),
    ...[...(headers ?? [])].flatMap(([name, bytes]) => [...sized(Buffer.from(name)), ...sized(bytes)]),
  ]);
  return Buffer.concat([varint(body.length), body]);
}

function sized(bytes: Buffer | null): Buffer[] {
  return bytes === null ? [varint(-1)] : [varint(bytes.length), bytes];
}

/** Zigzag. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
