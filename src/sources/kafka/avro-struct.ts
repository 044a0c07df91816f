import type { ByteWriter } from '../../core/byte-writer.ts';
import type { AvroInput } from './avro-input.ts';
import { AvroKind, type AvroType } from './avro-schema.ts';
import { writeAvroValue } from './avro-value.ts';
import type { Struct } from './envelope-content.ts';

/** A record in an Avro message: where its fields lie. One object per place in a schema, used for one message after another. */
export class AvroStruct implements Struct {
  readonly type: AvroType;
  readonly #input: AvroInput;
  readonly #starts: Float64Array;
  /** Of the outermost record: those that are records as well. */
  readonly #members: (AvroStruct | undefined)[];

  constructor(type: AvroType, input: AvroInput, isOutermost = true) {
    this.type = type;
    this.#input = input;
    this.#starts = new Float64Array(type.parts.length);
    this.#members = type.parts.map(part => {
      const record = [part, ...part.parts].find(({ kind }) => kind === AvroKind.record);
      const isMember = isOutermost && (part.kind === AvroKind.record || part.kind === AvroKind.union);
      return isMember && record ? new AvroStruct(record, input, false) : undefined;
    });
  }

  get names(): readonly string[] {
    return this.type.fields.names;
  }

  /** Finds the fields of the record that comes next in the input. @throws MalformedEnvelope when it is cut off */
  locate(): void {
    const { parts } = this.type;
    const input = this.#input;
    for (let i = 0; i < parts.length; i++) {
      this.#starts[i] = input.pos;
      const member = this.#members[i];
      if (!member) {
        input.skip(parts[i]!);
        continue;
      }
      const branch = input.branch(parts[i]!);
      if (branch === member.type) member.locate();
      else input.skip(branch);
    }
  }

  indexOf(name: string): number {
    return this.type.places.get(name) ?? -1;
  }

  isNull(i: number): boolean {
    return this.#enter(i).kind === AvroKind.null;
  }

  write(i: number, out: ByteWriter): void {
    this.#input.pos = this.#starts[i]!;
    writeAvroValue(this.#input, this.type.parts[i]!, out);
  }

  struct(name: string): AvroStruct | null | undefined {
    const i = this.indexOf(name);
    if (i < 0) return undefined;
    const type = this.#enter(i);
    if (type.kind === AvroKind.null) return null;
    const member = this.#members[i];
    return type === member?.type ? member : undefined;
  }

  scalar(name: string): string | null | undefined {
    const i = this.indexOf(name);
    if (i < 0) return undefined;
    const type = this.#enter(i);
    switch (type.kind) {
      case AvroKind.null:
        return null;
      case AvroKind.string: {
        const length = this.#input.length();
        const start = this.#input.take(length);
        return this.#input.bytes.toString('utf8', start, start + length);
      }
      case AvroKind.int:
      case AvroKind.long:
        return this.#input.long().toString();
      case AvroKind.boolean:
        return String(this.#input.boolean());
      case AvroKind.enum:
        return this.#input.symbol(type).toString();
      default:
        return undefined;
    }
  }

  /** Goes to the value of field `i`; returns its type. */
  #enter(i: number): AvroType {
    this.#input.pos = this.#starts[i]!;
    return this.#input.branch(this.type.parts[i]!);
  }
}
