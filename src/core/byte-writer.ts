/**
 * A growable buffer that encoders write into: `buf[0..pos)` is what was written.
 * Callers `reserve` before writing fixed-size values and may rewind by setting `pos`.
 */
export class ByteWriter {
  buf: Buffer;
  pos = 0;

  constructor(initialBytes = 1 << 16) {
    this.buf = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** Makes room for `bytes` more. Invalidates earlier references to `buf` when it grows. */
  reserve(bytes: number): void {
    if (this.pos + bytes > this.buf.length) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    // In large steps: memory that is not written to costs nothing, the collection of outgrown buffers does.
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buf.length * 4, this.pos + bytes));
    this.buf.copy(grown, 0, 0, this.pos);
    this.buf = grown;
  }

  writeByte(value: number): void {
    this.reserve(1);
    this.buf[this.pos++] = value;
  }

  /** Appends `src[start..end)`. */
  writeBytes(src: Buffer, start: number, end: number): void {
    const length = end - start;
    this.reserve(length);
    const { buf } = this;
    let { pos } = this;
    if (length <= 32) {
      // A call into native code costs more than a short loop, and a view for `set` more than the copy.
      for (let i = start; i < end; i++) buf[pos++] = src[i]!;
      this.pos = pos;
    } else {
      src.copy(buf, pos, start, end);
      this.pos = pos + length;
    }
  }

  /** LEB128, as ClickHouse's binary formats write lengths. */
  writeVarUInt(value: number): void {
    this.reserve(10);
    const { buf } = this;
    while (value >= 0x80) {
      buf[this.pos++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    buf[this.pos++] = value;
  }

  /** A ClickHouse String: length and bytes. */
  writeString(src: Buffer, start: number, end: number): void {
    this.writeVarUInt(end - start);
    this.writeBytes(src, start, end);
  }

  /** What was written, without a copy: valid until the next write. */
  written(): Buffer {
    return this.buf.subarray(0, this.pos);
  }
}
