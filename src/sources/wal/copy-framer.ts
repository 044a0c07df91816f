import type { ByteWriter } from '../../core/byte-writer.ts';

const copyDataType = 0x64; // 'd'

/** Who gets what a `CopyFramer` finds. Called synchronously, in order. */
export interface FrameHandler {
  /** Where payloads of CopyData messages are appended; asked for at the start of each message. */
  writer(): ByteWriter;
  /** One CopyData payload lies in `writer().buf[start..writer().pos)`. */
  copyData(start: number): void;
  /** Any other backend message: its type byte and body (valid during the call). */
  message(type: number, body: Buffer): void;
}

/**
 * Splits what a PostgreSQL backend sends in copy mode into messages
 * (protocol: "Message Formats"; type byte, int32 length that counts itself, body).
 * Payloads of CopyData go straight to the handler's writer: one memory copy, no object per message.
 */
export class CopyFramer {
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(5);
  #headerBytes = 0;
  #remaining = 0;
  #writer: ByteWriter | undefined;
  #start = 0;
  #body: Buffer | undefined;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer, length: number): void {
    let pos = 0;
    while (pos < length) {
      if (this.#headerBytes < 5) {
        if (this.#headerBytes === 0 && length - pos >= 5) {
          this.#begin(chunk[pos]!, readInt32(chunk, pos + 1) - 4);
          pos += 5;
        } else {
          this.#header[this.#headerBytes++] = chunk[pos++]!;
          if (this.#headerBytes < 5) continue;
          this.#begin(this.#header[0]!, this.#header.readInt32BE(1) - 4);
        }
      }
      const take = Math.min(this.#remaining, length - pos);
      if (this.#writer) this.#writer.writeBytes(chunk, pos, pos + take);
      else if (take > 0) chunk.copy(this.#body!, this.#body!.length - this.#remaining, pos, pos + take);
      pos += take;
      this.#remaining -= take;
      if (this.#remaining === 0) this.#end();
    }
  }

  /** Continues in another writer: the part of an unfinished payload that lies in the old one moves along. */
  switchWriter(to: ByteWriter): void {
    const from = this.#writer;
    if (this.#headerBytes < 5 || !from) return;
    const start = to.pos;
    to.writeBytes(from.buf, this.#start, from.pos);
    from.pos = this.#start;
    this.#start = start;
    this.#writer = to;
  }

  #begin(type: number, bytes: number): void {
    this.#header[0] = type;
    this.#headerBytes = 5;
    this.#remaining = bytes;
    if (type === copyDataType) {
      this.#writer = this.#handler.writer();
      this.#start = this.#writer.pos;
    } else {
      this.#writer = undefined;
      this.#body = Buffer.alloc(bytes);
    }
  }

  #end(): void {
    this.#headerBytes = 0;
    if (this.#writer) this.#handler.copyData(this.#start);
    else this.#handler.message(this.#header[0]!, this.#body!);
  }
}

function readInt32(buf: Buffer, pos: number): number {
  return (buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!;
}
