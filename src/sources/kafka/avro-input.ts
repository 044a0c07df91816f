import { AvroKind, type AvroType } from './avro-schema.ts';
import { MalformedEnvelope } from './envelope.ts';

/** As deep as JSON is followed: records that contain themselves would go on for ever. */
const maxDepth = 1000;

/** Reads Avro's binary encoding (Avro 1.12, "Binary Encoding") from `bytes[pos..end)`. @throws MalformedEnvelope */
export class AvroInput {
  bytes: Buffer = Buffer.alloc(0);
  pos = 0;
  end = 0;
  readonly #float = new DataView(new ArrayBuffer(8));

  open(bytes: Buffer, pos: number): void {
    this.bytes = bytes;
    this.pos = pos;
    this.end = bytes.length;
  }

  /** Moves on by `length` bytes; returns where they start. */
  take(length: number): number {
    const start = this.pos;
    if (length > this.end - start) throw new MalformedEnvelope('the Avro data ends in the middle');
    this.pos = start + length;
    return start;
  }

  /** An int, or a long that must be small: a length, a count, an index. Longs beyond 2^53 are not exact. */
  number(): number {
    // Most are small.
    const small = this.pos < this.end ? this.bytes[this.pos]! : 0x80;
    if (small < 0x80) {
      this.pos++;
      return (small >> 1) ^ -(small & 1);
    }
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.bytes[this.take(1)]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      factor *= 128;
    }
    throw new MalformedEnvelope('an Avro number of more than ten bytes');
  }

  long(): bigint {
    const start = this.pos;
    const number = this.number();
    if (Number.isSafeInteger(number * 2)) return BigInt(number);
    let zigzag = 0n;
    for (let i = this.pos - 1; i >= start; i--) zigzag = (zigzag << 7n) | BigInt(this.bytes[i]! & 0x7f);
    return BigInt.asIntN(64, zigzag & 1n ? ~(zigzag >> 1n) : zigzag >> 1n);
  }

  /** The length of bytes or a string. */
  length(): number {
    const length = this.number();
    if (length < 0) throw new MalformedEnvelope('a negative length in the Avro data');
    return length;
  }

  float(): number {
    return this.#floats(4).getFloat32(0, true);
  }

  double(): number {
    return this.#floats(8).getFloat64(0, true);
  }

  #floats(size: number): DataView {
    const start = this.take(size);
    for (let i = 0; i < size; i++) this.#float.setUint8(i, this.bytes[start + i]!);
    return this.#float;
  }

  /** The branch of a union that comes next, or the type itself. */
  branch(type: AvroType): AvroType {
    if (type.kind !== AvroKind.union) return type;
    const branch = type.parts[this.number()];
    if (!branch) throw new MalformedEnvelope('an Avro union without such a branch');
    return branch;
  }

  symbol(type: AvroType): Buffer {
    const symbol = type.symbols[this.number()];
    if (!symbol) throw new MalformedEnvelope('an Avro enum without such a symbol');
    return symbol;
  }

  boolean(): boolean {
    const byte = this.bytes[this.take(1)]!;
    if (byte > 1) throw new MalformedEnvelope(`an Avro boolean of ${byte}`);
    return byte === 1;
  }

  /** How many items the next block of an array or map has; 0 at its end. */
  block(): number {
    let count = this.number();
    if (count < 0) {
      count = -count;
      this.length();
    }
    // An item that takes no byte has nothing to say, and there could be billions.
    if (count > this.end - this.pos) throw new MalformedEnvelope('the Avro data ends in the middle');
    return count;
  }

  #skipNumber(): void {
    const { bytes, end } = this;
    let { pos } = this;
    const last = Math.min(end, pos + 10);
    while (pos < last && bytes[pos]! >= 0x80) pos++;
    if (pos === last) this.number();
    else this.pos = pos + 1;
  }

  skip(type: AvroType, depth = 0): void {
    if (depth > maxDepth) throw new MalformedEnvelope(`nested deeper than ${maxDepth}`);
    switch (type.kind) {
      case AvroKind.null:
        return;
      case AvroKind.boolean:
        this.boolean();
        return;
      case AvroKind.int:
      case AvroKind.long:
        this.#skipNumber();
        return;
      case AvroKind.enum:
        this.symbol(type);
        return;
      case AvroKind.float:
        this.take(4);
        return;
      case AvroKind.double:
        this.take(8);
        return;
      case AvroKind.fixed:
        this.take(type.size);
        return;
      case AvroKind.bytes:
      case AvroKind.string:
        this.take(this.length());
        return;
      case AvroKind.record:
        for (const part of type.parts) this.skip(part, depth + 1);
        return;
      case AvroKind.union:
        this.skip(this.branch(type), depth + 1);
        return;
      default: {
        for (let count = this.block(); count > 0; count = this.block())
          for (; count > 0; count--) {
            if (type.kind === AvroKind.map) this.take(this.length());
            this.skip(type.parts[0]!, depth + 1);
          }
      }
    }
  }
}
