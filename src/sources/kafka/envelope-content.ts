import { Op } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { type Change, ChangeWriter, type Row } from './change-writer.ts';
import type { Fields } from './connect-schema.ts';
import {
  type EnvelopeFields,
  EnvelopeKind,
  type KafkaMessage,
  type Layout,
  MalformedEnvelope,
} from './envelope.ts';
import { setMetadata } from './envelope-metadata.ts';
import { isFlattened, notAnEnvelope, readAddedFields, withoutAddedFields } from './flattened-row.ts';
import type { Layouts } from './layouts.ts';
import type { KeyFields, MessageKey, MessageKeys } from './message-key.ts';
import type { Placeholder } from './placeholder.ts';

/** A struct in a message of any format, taken apart. */
export interface Struct extends Row {
  /** The member `name`, if it is a struct; null if it is null, `undefined` if it is missing or something else. */
  struct(name: string): Struct | null | undefined;
  /** The text of the member `name`, if it is a string, number or boolean; null if it is null, else `undefined`. */
  scalar(name: string): string | null | undefined;
}

/** What a message's schema says of it. */
export interface ContentSchema {
  name: string | undefined;
  /** Rows of an envelope, if it is one. */
  row: Fields | undefined;
  /** The columns of a flattened row. */
  columns: Fields;
}

export const oldKeyHeader = '__debezium.oldkey';
export const newKeyHeader = '__debezium.newkey';

/** Finds out what a message is that was taken apart, and writes its change: the exact way, for every format. */
export class ContentReader {
  readonly #changes: ChangeWriter;
  readonly #keys: MessageKeys;
  readonly #layouts: Layouts;
  readonly #fields: EnvelopeFields;

  constructor(placeholder: Placeholder, keys: MessageKeys, layouts: Layouts, fields: EnvelopeFields) {
    this.#changes = new ChangeWriter(placeholder);
    this.#keys = keys;
    this.#layouts = layouts;
    this.#fields = fields;
  }

  /** Returns an `EnvelopeKind`. @throws MalformedEnvelope; `out` is then as it was, the fields are not */
  read(content: Struct, schema: ContentSchema | undefined, message: KafkaMessage, out: ByteWriter): number {
    if (isFlattened(content)) {
      const { op, metadata } = readAddedFields(content);
      if (!/^[crud]$/.test(op)) throw unknownOp(op);
      setMetadata(metadata, this.#fields);
      this.#fields.isFlattened = true;
      const row = withoutAddedFields(content);
      const [before, after] = op === 'd' ? [row, undefined] : [undefined, row];
      return this.#writeChange(op, before, after, schema?.columns, message, out);
    }
    const source = content.struct('source');
    const op = source ? content.scalar('op') : undefined;
    if (!source || op == null) {
      if (this.#isIgnored(content, schema, message)) return EnvelopeKind.ignored;
      throw notAnEnvelope();
    }
    if (op === 'm') return EnvelopeKind.ignored;
    if (!/^[crudt]$/.test(op)) throw unknownOp(op);
    setMetadata(
      {
        lsn: source.scalar('lsn'),
        sequence: source.scalar('sequence'),
        tsUs: source.scalar('ts_us'),
        tsMs: source.scalar('ts_ms'),
        schema: source.scalar('schema'),
        table: source.scalar('table'),
      },
      this.#fields,
    );
    this.#fields.isFlattened = false;
    if (op === 't') return EnvelopeKind.truncate;
    return this.#writeChange(
      op,
      rowIn(content, 'before'),
      rowIn(content, 'after'),
      schema && rowSchema(schema),
      message,
      out,
    );
  }

  #writeChange(
    op: string,
    before: Row | undefined,
    after: Row | undefined,
    schema: Fields | undefined,
    message: KafkaMessage,
    out: ByteWriter,
  ): number {
    const { headers } = message;
    if (op === 'd' && headers?.has(newKeyHeader)) return EnvelopeKind.ignored;
    const fields = this.#fields;
    const key = this.#keys.fields(message);
    const oldKey = op === 'c' ? headers?.get(oldKeyHeader) : undefined;
    const change: Change = {
      op,
      before,
      after,
      oldKey: oldKey && this.#keys.readHeader(oldKey),
      key: key?.names,
    };
    const at = out.pos;
    try {
      if (op === 'd' && key && !hasAll(before, key)) {
        this.writeDeleteByKey(this.#keys.read(message.key)!, out);
      } else {
        const layout = this.#layout(schema, before, after, key);
        fields.op = this.#changes.write(change, layout.names, out);
        fields.layout = layout;
      }
    } catch (error) {
      out.pos = at;
      throw error;
    }
    fields.isSnapshot = op === 'r';
    return EnvelopeKind.change;
  }

  /** Appends a delete that says no more than the message key: `key` itself is the row. */
  writeDeleteByKey({ fields: { names, wires }, row }: MessageKey, out: ByteWriter): void {
    this.#changes.writeKey(row, names, names, out);
    this.#fields.op = Op.delete;
    this.#fields.layout = this.#layouts.get(names, wires, names);
  }

  #layout(
    schema: Fields | undefined,
    before: Row | undefined,
    after: Row | undefined,
    key: KeyFields | null,
  ): Layout {
    if (!schema) return this.#layouts.get(union(after ?? before, before), undefined, key?.names);
    checkNames(before, schema);
    checkNames(after, schema);
    return this.#layouts.of(schema, key);
  }

  /** Messages that say nothing of a table's rows. */
  #isIgnored(content: Struct, schema: ContentSchema | undefined, message: KafkaMessage): boolean {
    const { names } = content;
    const has = (name: string) => content.indexOf(name) >= 0;
    // Of a transaction's begin or end.
    if (has('status') && has('id') && has('event_count') && has('data_collections'))
      return ['BEGIN', 'END'].includes(content.scalar('status') ?? '');
    // Of DDL.
    if (has('source') && has('tableChanges')) return !has('op');
    if (schema?.name === 'io.debezium.connector.common.Heartbeat') return true;
    const isHeartbeat = names.length === 1 && names[0] === 'ts_ms' && message.key !== null;
    return isHeartbeat && this.#keys.fields(message)?.names.join() === 'serverName';
  }
}

function unknownOp(op: string): MalformedEnvelope {
  return new MalformedEnvelope(`unknown op ${JSON.stringify(op)}`);
}

function rowSchema(schema: ContentSchema): Fields {
  if (!schema.row) throw new MalformedEnvelope('the schema of the envelope has neither "after" nor "before"');
  return schema.row;
}

function rowIn(content: Struct, name: string): Row | undefined {
  const row = content.struct(name);
  if (row === undefined && content.indexOf(name) >= 0) throw new MalformedEnvelope(`"${name}" is not a row`);
  return row ?? undefined;
}

function hasAll(row: Row | undefined, key: KeyFields): boolean {
  if (!row) return false;
  for (const name of key.names) {
    const i = row.indexOf(name);
    if (i < 0 || row.isNull(i)) return false;
  }
  return true;
}

/** The names of `row`, then those that only `other` has. */
function union(row: Row | undefined, other: Row | undefined): readonly string[] {
  if (!row) return [];
  if (!other || other === row) return row.names;
  const more = other.names.filter(name => row.indexOf(name) < 0);
  return more.length === 0 ? row.names : [...row.names, ...more];
}

function checkNames(row: Row | undefined, schema: Fields): void {
  if (!row || row.names === schema.names) return;
  for (const name of row.names)
    if (!schema.names.includes(name))
      throw new MalformedEnvelope(`the row has the field "${name}", which is not in its schema`);
}
