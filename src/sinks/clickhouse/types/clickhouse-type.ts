import type { ByteWriter } from '../../../core/byte-writer.ts';

/** A ClickHouse type taken apart: `Decimal(12, 2)` is name `Decimal`, args `['12', '2']`. */
export interface ClickHouseType {
  name: string;
  args: readonly string[];
}

/** Parses what `system.columns.type` says. Sized decimals become `Decimal(P, S)`. */
export function parseType(type: string): ClickHouseType {
  const text = type.trim();
  const open = text.indexOf('(');
  if (open < 0 || !text.endsWith(')')) return { name: text, args: [] };
  const name = text.slice(0, open);
  const args = splitArguments(text.slice(open + 1, -1));
  const precision = decimalPrecision[name];
  if (precision) return { name: 'Decimal', args: [precision, args[0]!] };
  if (name === 'Decimal' && args.length === 1) return { name, args: [args[0]!, '0'] };
  return { name, args };
}

const decimalPrecision: Record<string, string> = {
  Decimal32: '9',
  Decimal64: '18',
  Decimal128: '38',
  Decimal256: '76',
};

function splitArguments(text: string): string[] {
  const args: string[] = [];
  let depth = 0;
  let quote = '';
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote) {
      if (char === '\\') i++;
      else if (char === quote) quote = '';
    } else if (char === "'" || char === '`' || char === '"') quote = char;
    else if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === ',' && depth === 0) {
      args.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  args.push(text.slice(from).trim());
  return args;
}

/** Takes `Nullable` out: `LowCardinality(Nullable(String))` is type `LowCardinality(String)`, nullable. */
export function splitNullable(type: string): { type: string; nullable: boolean } {
  const { name, args } = parseType(type);
  if (name === 'Nullable') return { type: args[0]!, nullable: true };
  if (name === 'LowCardinality') {
    const inner = parseType(args[0]!);
    if (inner.name === 'Nullable') return { type: `LowCardinality(${inner.args[0]})`, nullable: true };
  }
  return { type: type.trim(), nullable: false };
}

/** Puts `Nullable` in where ClickHouse wants it. `canBeNullable` is the codec's: Array and Map stay as they are. */
export function fullType(type: string, canBeNullable: boolean, nullable: boolean): string {
  if (!nullable || !canBeNullable) return type;
  const { name, args } = parseType(type);
  return name === 'LowCardinality' ? `LowCardinality(Nullable(${args[0]}))` : `Nullable(${type})`;
}

export function isNullableType(type: string): boolean {
  const { name } = parseType(type);
  return name !== 'Array' && name !== 'Map';
}

/** How values of a type lie in RowBinary, whatever PostgreSQL type they come from. */
export interface Layout {
  writeDefault(out: ByteWriter): void;
  /** Position behind the value at `pos`. */
  skip(buf: Buffer, pos: number): number;
}

const fixedSizes: Record<string, number> = {
  Bool: 1,
  Int8: 1,
  UInt8: 1,
  Int16: 2,
  UInt16: 2,
  Date: 2,
  Int32: 4,
  UInt32: 4,
  Float32: 4,
  Date32: 4,
  DateTime: 4,
  Int64: 8,
  UInt64: 8,
  Float64: 8,
  DateTime64: 8,
  Time64: 8,
  Int128: 16,
  UInt128: 16,
  UUID: 16,
  Int256: 32,
  UInt256: 32,
};

/** Bytes of `Decimal(precision, …)`. */
export function decimalSize(precision: number): 4 | 8 | 16 | 32 {
  return precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32;
}

/** The layout of `type`, which is without `Nullable` at its top. `undefined` for types that no codec writes. */
export function layoutOf(type: string): Layout | undefined {
  const { name, args } = parseType(type);
  if (name === 'LowCardinality') return layoutOf(args[0]!);
  if (name === 'String') return stringLayout('');
  if (name === 'JSON') return stringLayout('{}');
  if (name === 'Decimal') return fixedLayout(decimalSize(Number(args[0])));
  if (name === 'Array' || name === 'Map') {
    const parts = args.map(nullableSkip);
    if (parts.some(part => part === undefined)) return undefined;
    return sequenceLayout(parts as Layout['skip'][]);
  }
  const size = fixedSizes[name];
  return size === undefined ? undefined : fixedLayout(size);
}

function fixedLayout(size: number): Layout {
  return {
    writeDefault(out) {
      out.reserve(size);
      out.buf.fill(0, out.pos, out.pos + size);
      out.pos += size;
    },
    skip: (_buf, pos) => pos + size,
  };
}

/** JSON is written in its string form too (`input_format_binary_read_json_as_string = 1`). */
function stringLayout(empty: string): Layout {
  const bytes = Buffer.from(empty);
  return {
    writeDefault: out => out.writeString(bytes, 0, bytes.length),
    skip(buf, pos) {
      const size = varUIntSize(buf, pos);
      return pos + size + readVarUInt(buf, pos);
    },
  };
}

function sequenceLayout(parts: readonly Layout['skip'][]): Layout {
  return {
    writeDefault: out => out.writeByte(0),
    skip(buf, pos) {
      let count = readVarUInt(buf, pos);
      let at = pos + varUIntSize(buf, pos);
      for (; count > 0; count--) for (const skip of parts) at = skip(buf, at);
      return at;
    },
  };
}

function nullableSkip(type: string): Layout['skip'] | undefined {
  const split = splitNullable(type);
  const layout = layoutOf(split.type);
  if (!layout || !split.nullable) return layout?.skip;
  return (buf, pos) => (buf[pos] === 1 ? pos + 1 : layout.skip(buf, pos + 1));
}

function varUIntSize(buf: Buffer, pos: number): number {
  let at = pos;
  while (buf[at]! >= 0x80) at++;
  return at - pos + 1;
}

function readVarUInt(buf: Buffer, pos: number): number {
  let value = 0;
  let factor = 1;
  let at = pos;
  for (; buf[at]! >= 0x80; at++) {
    value += (buf[at]! & 0x7f) * factor;
    factor *= 0x80;
  }
  return value + buf[at]! * factor;
}
