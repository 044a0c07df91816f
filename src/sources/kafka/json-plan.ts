import { allocate, release, store } from './json-kernel.ts';
import type { Placeholder } from './placeholder.ts';

/** What is done with a value of a planned message; the numbers are known to `wasm/json-kernel.ts`. */
export const Role = {
  /** Nothing: it is checked. */
  none: 0,
  /** A column of the new row, of which the placeholder may stand for an unchanged value. */
  column: 1,
  oldColumn: 2,
  /** A column of the key in an old row, or of a deleted one: never null. */
  keyColumn: 3,
  /** Beside the key of a deleted row: null is written. */
  besideKey: 4,
  lsn: 5,
  sequence: 6,
  /** When the change was committed, in µs or ms since 1970. */
  micros: 7,
  millis: 8,
  op: 9,
} as const;

export interface PlannedValue {
  start: number;
  end: number;
  role: number;
  /** Containers that it lies in. */
  depth: number;
  /** Of the tuple that starts with it. */
  marker?: number;
}

export interface PlanOptions {
  /** Of each tuple. */
  columns: number;
  /** Whether the placeholder stands for a value that did not change. */
  placeholder: Placeholder | undefined;
}

const headBytes = 16;
const stepBytes = 16;

/** Of plans that nobody has any more. */
const owners = new FinalizationRegistry<number>(release);

/**
 * How to read messages that are like `message` but for some values, in the form that the kernel follows: little-endian Int32.
 * Number of values; columns of a tuple; whether a value may be unchanged; address of the placeholder's forms. Then for each
 * value, and once more for the end, a step: address and length of what stands before the value, its role (Int8) and the
 * marker of a tuple that starts (Int8), its depth. Then those bytes. Then the forms: number of texts and of tokens, address and
 * length of each, their bytes.
 */
export class Plan {
  readonly address: number;
  /** What tuples may be longer than the message. */
  readonly overhead: number;

  /** `values` in the order in which they stand in `message`. */
  constructor(message: Buffer, values: readonly PlannedValue[], { columns, placeholder }: PlanOptions) {
    const end: PlannedValue = { start: message.length, end: message.length, role: Role.none, depth: 0 };
    const steps = [...values, end];
    const literals = steps.map(({ start }, i) => message.subarray(steps[i - 1]?.end ?? 0, start));
    const texts = placeholder?.texts ?? [];
    const tokens = placeholder?.tokens ?? [];
    const formsAt = headBytes + steps.length * stepBytes;
    const forms = [...texts, ...tokens];
    let at = formsAt + 8 + forms.length * 8;
    const bytes = [...literals, ...forms].reduce((sum, part) => sum + part.length, at);
    const plan = Buffer.alloc(bytes);
    this.address = allocate(bytes);
    this.overhead = 16 + values.length * 5;
    const append = (part: Buffer, pos: number) => {
      plan.writeUInt32LE(this.address + at, pos);
      plan.writeInt32LE(part.length, pos + 4);
      at += part.copy(plan, at);
    };
    plan.writeInt32LE(values.length, 0);
    plan.writeInt32LE(columns, 4);
    plan.writeInt32LE(placeholder ? 1 : 0, 8);
    plan.writeUInt32LE(this.address + formsAt, 12);
    for (const [i, { role, depth, marker = 0 }] of steps.entries()) {
      const step = headBytes + i * stepBytes;
      append(literals[i]!, step);
      plan.writeUInt8(role, step + 8);
      plan.writeUInt8(marker, step + 9);
      plan.writeInt32LE(depth, step + 12);
    }
    plan.writeInt32LE(texts.length, formsAt);
    plan.writeInt32LE(tokens.length, formsAt + 4);
    for (const [i, form] of forms.entries()) append(form, formsAt + 8 + i * 8);
    store(this.address, plan);
    owners.register(this, this.address, this);
  }

  /** Gives its room back; it must not be used any more. */
  release(): void {
    owners.unregister(this);
    release(this.address);
  }
}
