import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { ByteWriter } from '../../core/byte-writer.ts';

/** `wasm/json-kernel.ts`, compiled. Addresses are those of its memory. */
interface Kernel {
  memory: { buffer: ArrayBuffer };
  allocate(bytes: number): number;
  release(address: number): void;
  foundAt(): number;
  read(plan: number, start: number, end: number, out: number): number;
  readRun(
    keyPlan: number,
    plans: number,
    count: number,
    start: number,
    end: number,
    most: number,
    leastDelta: number,
    mostBytes: number,
    out: number,
    outEnd: number,
    records: number,
  ): number;
}

declare const WebAssembly: {
  Module: new (bytes: Buffer) => object;
  Instance: new (module: object) => { exports: unknown };
};

const code = readFileSync(new URL('json-kernel.wasm', import.meta.url));
const kernel = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as Kernel;
const { read: readInKernel, readRun: readRunInKernel } = kernel;

/** The kernel looks at so many bytes behind what it reads, and scribbles on as many behind what it writes. */
const slackBytes = 16;
/** Messages are copied to the kernel in stretches of this size: they stay in the processor's cache. */
const stretchBytes = 64 << 10;
/** A larger message is not read here: the kernel's memory never becomes smaller. */
const largestBytes = 8 << 20;
/** Room for the tuples of a run. */
const runBytes = 64 << 10;
export const mostRecords = 512;
/** Tuples are copied in whole steps, through views that are there already: to make one costs as much as the copy. */
const stepBytes = 64;
const mostSteps = 64;

let heap: Buffer;
let words: DataView;

/** Room in the kernel's memory; what is there is not zero. */
export function allocate(bytes: number): number {
  // Unsigned: the upper half of the memory has addresses, too.
  const address = kernel.allocate(bytes + slackBytes) >>> 0;
  // It may have grown.
  if (heap?.buffer !== kernel.memory.buffer) {
    heap = Buffer.from(kernel.memory.buffer);
    words = new DataView(kernel.memory.buffer);
  }
  return address;
}

/** What the kernel's memory has become. */
export function memoryBytes(): number {
  return kernel.memory.buffer.byteLength;
}

export function release(address: number): void {
  kernel.release(address);
}

/** Fills room from `allocate`. */
export function store(address: number, bytes: Buffer): void {
  heap.set(bytes, address);
}

/** Bytes in the kernel's memory, which is made larger when needed. */
class Room {
  address = 0;
  #bytes = 0;

  reserve(bytes: number): void {
    if (bytes <= this.#bytes) return;
    if (this.#bytes > 0) release(this.address);
    this.#bytes = bytes;
    this.address = allocate(bytes);
  }
}

const input = new Room();
/** What is in `input`. */
let inputStamp = -1;
let inputStart = 0;
let inputEnd = 0;

const output = new Room();
output.reserve(runBytes);

let stamps = 0;

/** A number for bytes that lie in a Buffer: another one whenever they are others. */
export function newStamp(): number {
  return ++stamps;
}

function load(bytes: Buffer, stamp: number, start: number, end: number): void {
  input.reserve(end - start);
  bytes.copy(heap, input.address, start, end);
  inputStamp = stamp;
  inputStart = start;
  inputEnd = end;
}

/**
 * Reads a message by a plan (json-plan.ts). Returns the bytes of the tuples that were made, or -1 when it is not as planned,
 * no valid UTF-8 or very large. `found` is then `message`'s.
 */
export function read(
  plan: number,
  bytes: Buffer,
  stamp: number,
  start: number,
  end: number,
  overhead: number,
): number {
  if (end - start > largestBytes) return -1;
  if (stamp !== inputStamp || start < inputStart || end > inputEnd)
    load(bytes, stamp, start, Math.max(end, Math.min(start + stretchBytes, bytes.length)));
  output.reserve(end - start + overhead + stepBytes);
  const from = input.address + start - inputStart;
  const behind = readInKernel(plan, from, from + end - start, output.address) >>> 0;
  if (behind === 0) return -1;
  if (found.isText(message) && !isUtf8(bytes.subarray(start, end))) return -1;
  return behind - output.address;
}

/** Of the beginning of `output`, by length in steps. */
let outputViews: Uint8Array[] = [];

/** Appends the tuples that were read last, `bytes` of them; scribbles behind them. */
export function takeTuples(bytes: number, out: ByteWriter): void {
  const steps = Math.ceil(bytes / stepBytes);
  out.reserve(steps * stepBytes);
  if (steps < mostSteps) {
    if (outputViews[0]?.buffer !== heap.buffer || outputViews[0].byteOffset !== output.address)
      outputViews = [new Uint8Array(heap.buffer, output.address, 0)];
    outputViews[steps] ??= new Uint8Array(heap.buffer, output.address, steps * stepBytes);
    out.buf.set(outputViews[steps]!, out.pos);
  } else heap.copy(out.buf, out.pos, output.address, output.address + bytes);
  out.pos += bytes;
}

/** Where the kernel leaves what it found in a message that was read alone. */
export const message = kernel.foundAt();

/** What was found in a message: at `message`, or at `recordAt`, until the next one or the next run is read. */
export const found = {
  lsn: (at: number): number => words.getFloat64(at, true),
  /** First part of `source.sequence`; 0 for null. */
  lastCommit: (at: number): number => words.getFloat64(at + 8, true),
  /** In µs since 1970; NaN when the message does not say it. */
  committedAtUs: (at: number): number => words.getFloat64(at + 16, true),
  /** The letter of the message's `op`, or 0. */
  op: (at: number): number => words.getInt32(at + 24, true),
  /** Whether a value was the placeholder and `u` was written for it. */
  unchanged: (at: number): boolean => (words.getInt32(at + 28, true) & 1) !== 0,
  /** Whether there is text other than ASCII: it was not checked to be UTF-8. */
  isText: (at: number): boolean => (words.getInt32(at + 28, true) & 2) !== 0,
  // Of a record of a run.
  /** Index of its plan. */
  plan: (at: number): number => words.getInt32(at + 32, true),
  /** Where its tuples end in those of the run. */
  tuplesEnd: (at: number): number => words.getInt32(at + 36, true),
  offsetDelta: (at: number): number => words.getInt32(at + 40, true),
  /** From where the run starts. */
  valueStart: (at: number): number => words.getInt32(at + 44, true),
  valueEnd: (at: number): number => words.getInt32(at + 48, true),
  recordEnd: (at: number): number => words.getInt32(at + 52, true),
};

const recordBytes = 56;
const records = allocate(mostRecords * recordBytes);
/** Plans that a run may have. */
export const mostPlans = 16;
const plans = allocate(mostPlans * 4);

export function recordAt(i: number): number {
  return records + i * recordBytes;
}

/** Records of a batch (Kafka docs, "Record") that come next. */
export interface NextRecords {
  /** Where they lie; `newStamp` says more of `stamp`. */
  bytes: Buffer;
  stamp: number;
  recordsStart: number;
  recordsEnd: number;
  recordsLeft: number;
  /** Those before it were read already; may be negative. */
  leastOffsetDelta: number;
}

/**
 * Reads records, `most` of them, up to the first that is not as planned, has a header that says that the key changed, or is longer
 * than `mostBytes`. `keyPlan` is 0 for records without a key. Returns how many; what was found is at `recordAt`.
 */
export function readRun(
  keyPlan: number,
  addresses: readonly number[],
  next: NextRecords,
  most: number,
  mostBytes: number,
): number {
  const { bytes, stamp, recordsStart: start, recordsEnd: end } = next;
  // What of it is not there is for the next message to load, which is read alone.
  if (stamp !== inputStamp || start < inputStart || start >= inputEnd)
    load(bytes, stamp, start, Math.min(end, start + stretchBytes));
  for (let i = 0; i < addresses.length; i++) words.setUint32(plans + i * 4, addresses[i]!, true);
  const from = input.address - inputStart;
  return readRunInKernel(
    keyPlan,
    plans,
    addresses.length,
    from + start,
    from + Math.min(end, inputEnd),
    Math.min(next.recordsLeft, most),
    next.leastOffsetDelta,
    mostBytes,
    output.address,
    output.address + runBytes,
    records,
  );
}
