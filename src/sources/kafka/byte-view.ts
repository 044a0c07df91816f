/** The bytes of an ArrayBuffer, to be read and written one or four at a time; positions count from its start. */
export class ByteView {
  bytes: Buffer = Buffer.alloc(0);
  words: DataView = new DataView(this.bytes.buffer);
  #seen: Buffer | undefined;
  #under: ArrayBufferLike | undefined;

  /** Looks at what lies under `buffer`: it starts at `buffer.byteOffset`. A view is made only when that is another one. */
  lookAt(buffer: Buffer): void {
    if (buffer === this.#seen) return;
    this.#seen = buffer;
    const under = buffer.buffer;
    if (under === this.#under) return;
    this.bytes = Buffer.from(under as ArrayBuffer);
    this.words = new DataView(under);
    this.#under = under;
  }
}
