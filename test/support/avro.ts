import avro from 'avsc';

/** Longs as BigInt, as Avro has them. */
const long = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

/** An independent reader and writer of a schema, which is JSON. */
export function avscType(schema: unknown): avro.Type {
  return avro.Type.forSchema(structuredClone(schema) as avro.Schema, {
    // With properties, as Connect writes it, or without.
    typeHook: part => ((part as { type?: unknown }).type === 'long' || part === 'long' ? long : undefined),
    wrapUnions: 'always',
    omitRecordMethods: true,
  });
}

/** Confluent's wire format. */
export function confluent(id: number, data: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(id, 1);
  return Buffer.concat([header, data]);
}

/**
 * What a tuple must have of a value that `avscType` read, whose unions are wrapped: `n`, `t` and text, `j` and JSON with sorted
 * members.
 */
export function expectedAvroValue(value: unknown, schema: unknown): string {
  const json = jsonOf(value, schema, new Map());
  if (json === null) return 'n';
  return typeof json === 'string' ? `t${json}` : `j${formatJson(json)}`;
}

class Digits {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a value and its schema are what they are
function jsonOf(value: any, schema: any, named: Map<string, unknown>): unknown {
  if (Array.isArray(schema)) {
    if (value === null) return null;
    const [branch, content] = Object.entries(value)[0]!;
    return jsonOf(
      content,
      schema.find(candidate => nameOf(candidate) === branch),
      named,
    );
  }
  if (typeof schema === 'string' && named.has(schema)) return jsonOf(value, named.get(schema), named);
  const type = typeof schema === 'string' ? schema : schema.type;
  if (typeof type === 'object') return jsonOf(value, type, named);
  if (schema.name) named.set(schema.name, schema);
  switch (type) {
    case 'null':
      return null;
    case 'int':
    case 'long':
      return new Digits(String(value));
    case 'float':
    case 'double':
      return Number.isFinite(value) ? value : String(value);
    case 'bytes':
    case 'fixed':
      return Buffer.from(value).toString('base64');
    case 'array':
      return value.map((item: unknown) => jsonOf(item, schema.items, named));
    case 'map':
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, jsonOf(item, schema.values, named)]),
      );
    case 'record':
      return Object.fromEntries(
        schema.fields.map(({ name, type }: { name: string; type: unknown }) => [
          name,
          jsonOf(value[name], type, named),
        ]),
      );
    default:
      return value;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the same
function nameOf(schema: any): string {
  if (typeof schema === 'string') return schema;
  return schema.name ? (schema.namespace ? `${schema.namespace}.${schema.name}` : schema.name) : schema.type;
}

function formatJson(json: unknown): string {
  if (json instanceof Digits) return json.text;
  if (Array.isArray(json)) return `[${json.map(formatJson).join()}]`;
  if (Object.is(json, -0)) return '-0.0';
  if (typeof json !== 'object' || json === null) return JSON.stringify(json);
  return `{${Object.entries(json)
    .map(([name, member]) => `${JSON.stringify(name)}:${formatJson(member)}`)
    .join()}}`;
}
