import { isUtf8 } from 'node:buffer';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { Kind } from '../../core/tuple.ts';
import type { AvroInput } from './avro-input.ts';
import { AvroKind, type AvroType } from './avro-schema.ts';
import { MalformedEnvelope } from './envelope.ts';

/**
 * Appends the next value as a tuple has it: what Kafka Connect's JSON converter would write for it. Bytes become base64 text, a
 * float that JSON has no number for becomes text; arrays, maps and records become JSON without spaces.
 */
export function writeAvroValue(input: AvroInput, type: AvroType, out: ByteWriter): void {
  const value = input.branch(type);
  if (value.kind === AvroKind.null) {
    out.writeByte(Kind.null);
    return;
  }
  const at = out.pos;
  out.reserve(5);
  out.pos += 5;
  const kind = writeContent(input, value, out);
  out.buf[at] = kind;
  out.buf.writeInt32BE(out.pos - at - 5, at + 1);
}

/** The value as text; as in a JSON string if it is one. Returns its `Kind`. */
function writeContent(input: AvroInput, type: AvroType, out: ByteWriter): number {
  switch (type.kind) {
    case AvroKind.string:
      writeUtf8(input, input.length(), out);
      return Kind.text;
    case AvroKind.bytes:
      writeBase64(input, input.length(), out);
      return Kind.text;
    case AvroKind.fixed:
      writeBase64(input, type.size, out);
      return Kind.text;
    case AvroKind.enum: {
      const symbol = input.symbol(type);
      out.writeBytes(symbol, 0, symbol.length);
      return Kind.text;
    }
    case AvroKind.int:
    case AvroKind.long:
      writeAscii(out, input.long().toString());
      return Kind.json;
    case AvroKind.float:
    case AvroKind.double: {
      const isFloat = type.kind === AvroKind.float;
      const value = isFloat ? input.float() : input.double();
      return writeFloat(value, isFloat ? floatText(value) : String(value), out);
    }
    case AvroKind.boolean:
      writeAscii(out, input.boolean() ? 'true' : 'false');
      return Kind.json;
    default:
      writeContainer(input, type, out);
      return Kind.json;
  }
}

/** What is nested too deep or cut off was found when the message was taken apart. */
function writeContainer(input: AvroInput, type: AvroType, out: ByteWriter): void {
  if (type.kind === AvroKind.record) {
    type.parts.forEach((part, i) => {
      writeAscii(out, i > 0 ? ',' : '{');
      writeQuoted(out, type.fields.names[i]!);
      out.writeByte(58);
      writeJson(input, part, out);
    });
    writeAscii(out, type.parts.length === 0 ? '{}' : '}');
    return;
  }
  const isMap = type.kind === AvroKind.map;
  const at = out.pos;
  out.writeByte(isMap ? 123 : 91);
  for (let count = input.block(); count > 0; count = input.block())
    for (; count > 0; count--) {
      if (out.pos > at + 1) out.writeByte(44);
      if (isMap) {
        const from = out.pos;
        writeUtf8(input, input.length(), out);
        quoteFrom(out, from);
        out.writeByte(58);
      }
      writeJson(input, type.parts[0]!, out);
    }
  out.writeByte(isMap ? 125 : 93);
}

/** The next value as JSON. */
function writeJson(input: AvroInput, type: AvroType, out: ByteWriter): void {
  const value = input.branch(type);
  const at = out.pos;
  if (value.kind === AvroKind.null) writeAscii(out, 'null');
  else if (writeContent(input, value, out) === Kind.text) quoteFrom(out, at);
}

/** Makes a JSON string of what was written from `at` on. */
function quoteFrom(out: ByteWriter, at: number): void {
  const text = out.buf.toString('utf8', at, out.pos);
  out.pos = at;
  writeQuoted(out, text);
}

function writeQuoted(out: ByteWriter, text: string): void {
  const quoted = JSON.stringify(text);
  out.reserve(quoted.length * 3);
  out.pos += out.buf.write(quoted, out.pos);
}

function writeUtf8(input: AvroInput, length: number, out: ByteWriter): void {
  const start = input.take(length);
  const { bytes } = input;
  let seen = 0;
  for (let i = start; i < start + length; i++) seen |= bytes[i]!;
  if (seen >= 0x80 && !isUtf8(bytes.subarray(start, start + length)))
    throw new MalformedEnvelope('a string in the Avro data is no valid UTF-8');
  out.writeBytes(bytes, start, start + length);
}

function writeBase64(input: AvroInput, length: number, out: ByteWriter): void {
  const start = input.take(length);
  writeAscii(out, input.bytes.toString('base64', start, start + length));
}

/** JSON has no NaN and no infinities: Connect writes them as text. */
function writeFloat(value: number, text: string, out: ByteWriter): number {
  writeAscii(out, Object.is(value, -0) ? '-0.0' : text);
  return Number.isFinite(value) ? Kind.json : Kind.text;
}

/** The shortest text that reads back as the same float of 32 bits. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  let digits = 1;
  while (Math.fround(Number(value.toPrecision(digits))) !== value) digits++;
  return String(Number(value.toPrecision(digits)));
}

function writeAscii(out: ByteWriter, text: string): void {
  out.reserve(text.length);
  out.pos += out.buf.write(text, out.pos, 'latin1');
}
