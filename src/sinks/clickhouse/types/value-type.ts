import { ByteWriter } from '../../../core/byte-writer.ts';
import { type ClickHouseType, parseType, splitNullable } from './clickhouse-type.ts';
import { type Encode, InvalidValue, type OnInvalid } from './codec.ts';

/** What ClickHouse offers beyond the oldest supported version; probed at start. */
export interface ServerCapabilities {
  time64: boolean;
}

/** Appends PostgreSQL's text of the binary (send) value `src[start..end)`. */
export type WriteText = Encode;

/** Without `binary`, the binary form goes through PostgreSQL's text of it. */
export interface Encoders {
  text: Encode;
  binary?: Encode;
}

/** Which values of the PostgreSQL type the ClickHouse type holds. Compare with the column in SQL; quoted literals. */
export interface Limits {
  min?: string;
  max?: string;
  /** Digits after the decimal point (of the number, or of the seconds) that fit, when more may occur. */
  scale?: number;
  rejectsNaN: boolean;
  rejectsInfinity: boolean;
}

/** One PostgreSQL type with its typmod: how its values become ClickHouse's. */
export interface ValueType {
  /** Without `Nullable`. */
  defaultType(capabilities: ServerCapabilities): string;
  /** `undefined` when the binary form is not decoded here. */
  writeText: WriteText | undefined;
  /**
   * Encoders into `target`; `undefined` when its values cannot all be exact (or refused) there. String as
   * PostgreSQL's text needs no mention.
   */
  encoders?(target: ClickHouseType, onInvalid: OnInvalid): Encoders | undefined;
  limits?(target: ClickHouseType): Limits | undefined;
  /** Of an array. */
  element?: ValueType;
}

/** By `pg_type.typname`; the argument is the typmod. */
export type ValueTypes = Record<string, (typmod: number) => ValueType>;

/** `binary` is `undefined` when the binary form is not decoded here. */
export interface ChosenEncoders {
  text: Encode;
  binary: Encode | undefined;
}

/** The encoders from a PostgreSQL type into a ClickHouse type (without `Nullable` at its top), if the pair is exact. */
export function chooseEncoders(
  from: ValueType,
  clickHouseType: string,
  onInvalid: OnInvalid,
): ChosenEncoders | undefined {
  let target = parseType(clickHouseType);
  if (target.name === 'LowCardinality') target = parseType(target.args[0]!);
  const own = from.encoders?.(target, onInvalid);
  if (own) {
    const { text } = own;
    return { text, binary: own.binary ?? (from.writeText && viaText(from.writeText, text)) };
  }
  if (target.name !== 'String') return undefined;
  return { text: copyString, binary: from.writeText && asString(from.writeText) };
}

export interface ElementEncoders extends ChosenEncoders {
  /** A null byte stands before each element. */
  nullable: boolean;
}

/** As `chooseEncoders` for the elements of an Array or the values of a Map. */
export function chooseElementEncoders(
  from: ValueType,
  clickHouseType: string,
  onInvalid: OnInvalid,
): ElementEncoders | undefined {
  const { type, nullable } = splitNullable(clickHouseType);
  const chosen = chooseEncoders(from, type, onInvalid);
  return chosen && { ...chosen, nullable };
}

export const copyString: Encode = (src, start, end, out) => out.writeString(src, start, end);

/** A String of what `write` appends. */
export function asString(write: WriteText): Encode {
  return (src, start, end, out) => {
    const at = openLength(out);
    write(src, start, end, out);
    closeLength(out, at, out.pos - at - 1);
  };
}

/** Leaves room for a length that is not known yet. */
export function openLength(out: ByteWriter): number {
  out.writeByte(0);
  return out.pos - 1;
}

/** Fills in the length (bytes or elements); moves what follows when one byte does not suffice. */
export function closeLength(out: ByteWriter, at: number, length: number): void {
  if (length < 0x80) {
    out.buf[at] = length;
    return;
  }
  const { pos } = out;
  let extra = 0;
  for (let rest = Math.floor(length / 0x80); rest > 0; rest = Math.floor(rest / 0x80)) extra++;
  out.reserve(extra);
  out.buf.copyWithin(at + 1 + extra, at + 1, pos);
  out.pos = at;
  out.writeVarUInt(length);
  out.pos = pos + extra;
}

export function viaText(write: WriteText, encode: Encode): Encode {
  const text = new ByteWriter(64);
  return (src, start, end, out) => {
    text.pos = 0;
    write(src, start, end, text);
    encode(text.buf, 0, text.pos, out);
  };
}

const longestShown = 100;

/** The text form of a value for a message. */
export function shown(src: Buffer, start: number, end: number): string {
  const text = src.toString('utf8', start, Math.min(end, start + longestShown));
  return end - start > longestShown ? `${text}…` : text;
}

/** The binary form of a value for a message. */
export function shownBinary(write: WriteText, src: Buffer, start: number, end: number): string {
  const text = new ByteWriter(64);
  write(src, start, end, text);
  return shown(text.buf, 0, text.pos);
}

/** For text that PostgreSQL does not print: wrong settings of its session, or a fault. */
export function notA(type: string, src: Buffer, start: number, end: number): InvalidValue {
  return new InvalidValue(`${JSON.stringify(shown(src, start, end))} is not text of type ${type}`);
}
