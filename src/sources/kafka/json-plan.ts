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

/** Plans are read at their addresses: when nobody has one any more, its room is given back. */
const owners = new FinalizationRegistry<number>(release);

/**
 * How to read messages that are like `message` but for some values, in the form that the kernel follows: little-endian Int32.
 * Number of values; columns of a tuple; whether a value may be unchanged; address of the placeholder's forms. Then for each
 * value, and once more for the end, a step: address and length of what stands before the value, its role (Int8) and the
 * marker of a tuple that starts (Int8), its depth. Then those bytes.
 */
export class Plan {
  readonly address: number;
  /** What tuples may be longer than the message. */
  readonly overhead: number;

  /** `values` in the order in which they stand in `message`. */
  constructor(message: Buffer, values: readonly PlannedValue[], { columns, placeholder }: PlanOptions) {
    const steps = [...values, { start: message.length, end: message.length, role: Role.none, depth: 0 }];
    const literals = headBytes + steps.length * stepBytes;
    const forms = literals + message.length;
    const texts = placeholder?.texts ?? [];
    const tokens = placeholder?.tokens ?? [];
    const all = [...texts, ...tokens];
    const plan = Buffer.alloc(forms + 8 + all.reduce((sum, form) => sum + 8 + form.length, 0));
    this.address = allocate(plan.length);
    this.overhead = 16 + values.length * 5;
    plan.writeInt32LE(values.length, 0);
    plan.writeInt32LE(columns, 4);
    plan.writeInt32LE(placeholder ? 1 : 0, 8);
    plan.writeInt32LE(this.address + forms, 12);
    message.copy(plan, literals);
    let pos = 0;
    for (const [i, { start, end, role, depth, ...rest }] of steps.entries()) {
      const step = headBytes + i * stepBytes;
      plan.writeInt32LE(this.address + literals + pos, step);
      plan.writeInt32LE(start - pos, step + 4);
      plan.writeUInt8(role, step + 8);
      plan.writeUInt8('marker' in rest ? (rest.marker ?? 0) : 0, step + 9);
      plan.writeInt32LE(depth, step + 12);
      pos = end;
    }
    plan.writeInt32LE(texts.length, forms);
    plan.writeInt32LE(tokens.length, forms + 4);
    let at = forms + 8 + all.length * 8;
    for (const [i, form] of all.entries()) {
      plan.writeInt32LE(this.address + at, forms + 8 + i * 8);
      plan.writeInt32LE(form.length, forms + 12 + i * 8);
      at += form.copy(plan, at);
    }
    store(this.address, plan);
    owners.register(this, this.address);
  }
}
