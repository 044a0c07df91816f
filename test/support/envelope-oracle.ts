import {
  ExactNumber,
  formatExactJson,
  hasLoneSurrogate,
  isDeeperThan,
  parseExactJson,
} from './exact-json.ts';

/** What must come out of a JSON envelope: worked out from `JSON.parse`, with strings and objects, apart from the reader. */
export interface ExpectedChange {
  kind: 'change';
  op: 'insert' | 'update' | 'delete';
  isSnapshot: boolean;
  lsn: bigint;
  lastCommit: bigint;
  committedAtUs: number;
  schema: string;
  table: string;
  names: string[];
  wires: unknown[];
  key: string[] | undefined;
  tuples: { marker: string; values: Record<string, string> }[];
}

export type Expected =
  | ExpectedChange
  | { kind: 'truncate'; lsn: bigint; lastCommit: bigint; schema: string; table: string }
  | { kind: 'ignored' | 'malformed' };

type Json = Record<string, unknown>;

const placeholder = '__debezium_unavailable_value';
const metadata = new Set([
  ...'op deleted ts_ms ts_us ts_ns version connector name snapshot db sequence schema table txId lsn xmin origin'.split(
    ' ',
  ),
  ...['origin_lsn', 'total_order', 'data_collection_order'],
]);

export interface OracleMessage {
  key: Buffer | null;
  value: Buffer;
  headers?: ReadonlyMap<string, Buffer> | undefined;
}

/** The text of a valid JSON document; `undefined` for what is none or cannot be read. */
export function validJson(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    JSON.parse(text);
    if (isDeeperThan(1000, text)) return undefined;
    return hasLoneSurrogate(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

export function expectedOf(message: OracleMessage): Expected {
  try {
    return read(message);
  } catch (error) {
    if (error instanceof Malformed) return { kind: 'malformed' };
    throw error;
  }
}

class Malformed extends Error {
  constructor() {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super();
    Error.stackTraceLimit = limit;
  }
}

function check(condition: unknown): asserts condition {
  if (!condition) throw new Malformed();
}

function read({ key, value, headers }: OracleMessage): Expected {
  const { row: content, schema } = unwrap(value);
  check(content);
  if (['__op', '__deleted', '__lsn', '__source_lsn'].some(name => name in content)) {
    const added = (name: string) => textOf(content[`__${name}`]);
    const op = added('deleted') === 'true' ? 'd' : added('op');
    check(op != null && /^[crud]$/.test(op));
    const meta = metaOf({
      lsn: added('lsn') ?? added('source_lsn'),
      sequence: added('sequence') ?? added('source_sequence'),
      us: added('source_ts_us'),
      ms: added('source_ts_ms'),
      schema: added('schema') ?? added('source_schema'),
      table: added('table') ?? added('source_table'),
    });
    const row = Object.fromEntries(Object.entries(content).filter(([name]) => !isAdded(name)));
    const fields = schema && fieldsOf(schema).filter(({ field }) => !isAdded(field));
    return changeOf(
      op,
      op === 'd' ? row : undefined,
      op === 'd' ? undefined : row,
      fields,
      meta,
      key,
      headers,
    );
  }
  const { source } = content;
  const op = isObject(source) ? textOf(content.op) : undefined;
  if (!isObject(source) || op == null) {
    check(isIgnored(content, schema, key));
    return { kind: 'ignored' };
  }
  if (op === 'm') return { kind: 'ignored' };
  check(/^[crudt]$/.test(op));
  const of = (name: string) => textOf(source[name]);
  const meta = metaOf({
    lsn: of('lsn'),
    sequence: of('sequence'),
    us: of('ts_us'),
    ms: of('ts_ms'),
    schema: of('schema'),
    table: of('table'),
  });
  if (op === 't') {
    const { lsn, lastCommit, schema, table } = meta;
    return { kind: 'truncate', lsn, lastCommit, schema, table };
  }
  const rowOf = (name: string) => {
    const row = content[name] ?? undefined;
    check(row === undefined || isObject(row));
    return row;
  };
  const rowSchema =
    schema &&
    ['after', 'before']
      .map(name => fieldsOf(schema).find(({ field }) => field === name))
      .find(field => field && isStruct(field));
  check(!schema || rowSchema);
  return changeOf(op, rowOf('before'), rowOf('after'), rowSchema && fieldsOf(rowSchema), meta, key, headers);
}

interface Meta {
  lsn: bigint;
  lastCommit: bigint;
  committedAtUs: number;
  schema: string;
  table: string;
}

function metaOf(
  texts: Record<'lsn' | 'sequence' | 'us' | 'ms' | 'schema' | 'table', string | null | undefined>,
): Meta {
  check(texts.lsn != null);
  const lsn = lsnOf(texts.lsn);
  let lastCommit = 0n;
  if (texts.sequence != null) {
    check(validJson(Buffer.from(texts.sequence)) !== undefined);
    const pair = JSON.parse(texts.sequence);
    check(Array.isArray(pair) && pair.length === 2 && typeof pair[1] === 'string');
    lsnOf(pair[1]);
    check(pair[0] === null || typeof pair[0] === 'string');
    if (pair[0] !== null) lastCommit = lsnOf(pair[0]);
  }
  const time = texts.us ?? texts.ms;
  check(time == null || /^-?\d{1,16}$/.test(time));
  const committedAtUs =
    time == null ? Number.NaN : Number(time) * (texts.us == null ? 1000 : 1) - 946_684_800_000_000;
  return { lsn, lastCommit, committedAtUs, schema: texts.schema ?? '', table: texts.table ?? '' };
}

function lsnOf(text: string): bigint {
  check(/^\d{1,20}$/.test(text));
  const lsn = BigInt(text);
  check(lsn < 2n ** 64n);
  return lsn;
}

interface Field {
  field: string;
  type: string;
  name?: string;
  parameters?: unknown;
  optional?: boolean;
  items?: Field;
  fields?: Field[];
}

function changeOf(
  op: string,
  before: Json | undefined,
  after: Json | undefined,
  fields: Field[] | undefined,
  meta: Meta,
  keyBytes: Buffer | null,
  headers: ReadonlyMap<string, Buffer> | undefined,
): Expected {
  if (op === 'd' && headers?.has('__debezium.newkey')) return { kind: 'ignored' };
  const messageKey = keyBytes === null ? null : unwrap(keyBytes);
  const keyRow = messageKey?.row ?? undefined;
  const key = keyRow && Object.keys(keyRow);
  if (messageKey?.schema)
    for (const name of key ?? []) check(fieldsOf(messageKey.schema).some(({ field }) => field === name));
  const header = op === 'c' ? headers?.get('__debezium.oldkey') : undefined;
  const oldKey = header && unwrap(validJson(header) === undefined ? escapeControls(header) : header).row;
  check(!header || oldKey);
  let names = Object.keys(after ?? before ?? {});
  for (const name of Object.keys(before ?? {})) if (!names.includes(name)) names.push(name);
  let wires: unknown[] = names.map(() => ({}));
  const has = (row: Json | undefined, name: string) => row !== undefined && own(row, name) != null;
  const change = { kind: 'change', isSnapshot: op === 'r', ...meta, key } as const;
  const tuple = (marker: string, row: Json, only?: string[], mayBeUnchanged = false) => ({
    marker,
    values: Object.fromEntries(
      names.map(name => [
        name,
        only && !only.includes(name) ? 'n' : expectedValue(own(row, name), mayBeUnchanged),
      ]),
    ),
  });
  const keyTuple = (row: Json, columns: string[]) => {
    for (const name of columns) check(has(row, name) && names.includes(name));
    return tuple('K', row, columns);
  };
  if (op === 'd' && keyRow && !key!.every(name => has(before, name))) {
    names = key!;
    wires = names.map(name =>
      messageKey!.schema ? wireOf(fieldsOf(messageKey!.schema).find(({ field }) => field === name)!) : {},
    );
    return { ...change, op: 'delete', names, wires, tuples: [keyTuple(keyRow, names)] };
  }
  if (fields) {
    for (const name of names) check(fields.some(({ field }) => field === name));
    names = fields.map(({ field }) => field);
    wires = fields.map(wireOf);
  }
  if (op === 'd') {
    check(before);
    return {
      ...change,
      op: 'delete',
      names,
      wires,
      tuples: [key ? keyTuple(before, key) : tuple('O', before)],
    };
  }
  check(after);
  if (op === 'u') {
    const fresh = tuple('N', after, undefined, true);
    const isWhole =
      before &&
      (key ?? []).every(name => has(before, name)) &&
      names.every(name => fresh.values[name] !== 'u' || has(before, name));
    return { ...change, op: 'update', names, wires, tuples: isWhole ? [tuple('O', before), fresh] : [fresh] };
  }
  if (oldKey) {
    const tuples = [keyTuple(oldKey, Object.keys(oldKey)), tuple('N', after, undefined, true)];
    return { ...change, op: 'update', names, wires, tuples };
  }
  return { ...change, op: 'insert', names, wires, tuples: [tuple('N', after)] };
}

function expectedValue(value: unknown, mayBeUnchanged: boolean): string {
  if (value === null || value === undefined) return 'n';
  if (typeof value === 'string') {
    const base64 = Buffer.from(placeholder).toString('base64');
    const forms = [
      placeholder,
      base64,
      Buffer.from(placeholder).toString('hex'),
      JSON.stringify({ [placeholder]: placeholder }),
    ];
    return mayBeUnchanged && forms.includes(value) ? 'u' : `t${value}`;
  }
  const json = formatExactJson(value);
  if (mayBeUnchanged && json === JSON.stringify([placeholder])) return 'u';
  return `j${json}`;
}

function wireOf({ type, name, parameters, optional, items }: Field): unknown {
  return {
    type,
    ...(name !== undefined && { name }),
    ...(parameters ? { parameters } : {}),
    optional: optional === true,
    ...(typeof items?.type === 'string' && { items: wireOf(items) }),
  };
}

function isAdded(name: string): boolean {
  return /^__(source|transaction)_/.test(name) || (name.startsWith('__') && metadata.has(name.slice(2)));
}

function isIgnored(content: Json, schema: Field | undefined, key: Buffer | null): boolean {
  if (['status', 'id', 'event_count', 'data_collections'].every(name => name in content))
    return content.status === 'BEGIN' || content.status === 'END';
  if ('source' in content && 'tableChanges' in content) return !('op' in content);
  if (schema?.name === 'io.debezium.connector.common.Heartbeat') return true;
  if (Object.keys(content).join() !== 'ts_ms' || key === null) return false;
  return Object.keys(unwrap(key).row ?? {}).join() === 'serverName';
}

/** A document, without the schema around it. */
function unwrap(bytes: Buffer): { row: Json | null; schema: Field | undefined } {
  const text = validJson(bytes);
  check(text !== undefined);
  const document = parseExactJson(text);
  if (document === null) return { row: null, schema: undefined };
  check(isObject(document));
  const { schema, payload } = document;
  const isWrapper =
    Object.keys(document).sort().join() === 'payload,schema' &&
    isObjectOrNull(schema) &&
    isObjectOrNull(payload);
  if (!isWrapper) return { row: document, schema: undefined };
  if (payload === null || schema === null) return { row: payload as Json | null, schema: undefined };
  const struct = JSON.parse(formatExactJson(schema)) as Field;
  check(isStruct(struct));
  return { row: payload as Json, schema: struct };
}

function fieldsOf(schema: Field): Field[] {
  check(isStruct(schema));
  return schema.fields!;
}

function isStruct(schema: Field): boolean {
  return (
    schema.type === 'struct' &&
    Array.isArray(schema.fields) &&
    schema.fields.every(field => typeof field?.type === 'string' && typeof field.field === 'string')
  );
}

function textOf(value: unknown): string | null | undefined {
  if (value instanceof ExactNumber) return value.source;
  if (typeof value === 'boolean') return String(value);
  return typeof value === 'string' || value === null ? value : undefined;
}

function isObject(value: unknown): value is Json {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
  );
}

function isObjectOrNull(value: unknown): boolean {
  return value === null || isObject(value);
}

function own(row: Json, name: string): unknown {
  return Object.hasOwn(row, name) ? row[name] : undefined;
}

/** Connect's header converter leaves them as they are. */
function escapeControls(header: Buffer): Buffer {
  const text = Array.from(header.toString('latin1'), char =>
    char < ' ' ? JSON.stringify(char).slice(1, -1) : char,
  );
  return Buffer.from(text.join(''), 'latin1');
}
