import type { Wire } from '../../core/relation.ts';
import { columnsOf, type Fields } from './connect-schema.ts';

/** Avro 1.12, "Schema Declaration". */
export const AvroKind = {
  null: 0,
  boolean: 1,
  int: 2,
  long: 3,
  float: 4,
  double: 5,
  bytes: 6,
  string: 7,
  record: 8,
  enum: 9,
  array: 10,
  map: 11,
  union: 12,
  fixed: 13,
} as const;

type KindName = keyof typeof AvroKind;

/** A type in an Avro schema; what a kind does not have is empty. */
export class AvroType {
  readonly kind: number;
  /** As Kafka Connect's Avro converter would have it, from `connect.name` and its like. */
  wire: Wire = {};
  /** Of a record: fields by place. Of a union: its branches. Of arrays and maps: what they consist of. */
  parts: AvroType[] = [];
  /** Of a record. */
  fields: Fields = { names: [], wires: [] };
  /** Of a record without the fields that `ExtractNewRecordState` added. */
  columns: Fields = this.fields;
  places: ReadonlyMap<string, number> = new Map();
  /** Of an enum. */
  symbols: Buffer[] = [];
  /** Of a fixed: bytes. */
  size = 0;

  constructor(kind: number) {
    this.kind = kind;
  }
}

type Json = { [name: string]: unknown };

/** @throws Error when it is no Avro schema */
export function parseAvroSchema(json: string): AvroType {
  return new SchemaParser().parse(JSON.parse(json), '');
}

const primitives: readonly string[] = 'null boolean int long float double bytes string'.split(' ');
const connectTypes: Partial<Record<KindName, string>> = {
  int: 'int32',
  long: 'int64',
  record: 'struct',
  enum: 'string',
  fixed: 'bytes',
};
/** Semantic types of schemas that do not come from Connect. */
const logicalNames: Record<string, string> = {
  date: 'io.debezium.time.Date',
  'time-millis': 'io.debezium.time.Time',
  'time-micros': 'io.debezium.time.MicroTime',
  'timestamp-millis': 'io.debezium.time.Timestamp',
  'timestamp-micros': 'io.debezium.time.MicroTimestamp',
  'local-timestamp-millis': 'io.debezium.time.Timestamp',
  'local-timestamp-micros': 'io.debezium.time.MicroTimestamp',
  uuid: 'io.debezium.data.Uuid',
  decimal: 'org.apache.kafka.connect.data.Decimal',
};

class SchemaParser {
  readonly #named = new Map<string, AvroType>();

  parse(schema: unknown, namespace: string): AvroType {
    if (Array.isArray(schema)) return this.#union(schema, namespace);
    if (typeof schema === 'string')
      return primitives.includes(schema) ? this.#type(schema, {}) : this.#find(schema, namespace);
    if (!isObject(schema)) throw new Error(`${JSON.stringify(schema)} is no Avro type`);
    const { type } = schema;
    // A reference, a union or another type with properties of its own.
    if (typeof type !== 'string') return this.parse(type, namespace);
    switch (type) {
      case 'record':
      case 'error':
        return this.#record(schema, namespace);
      case 'enum': {
        const symbols = listOf(schema, 'symbols').map(symbol => Buffer.from(String(symbol)));
        return Object.assign(this.#name(schema, namespace, this.#type('enum', schema)), { symbols });
      }
      case 'fixed': {
        const size = Number(schema.size);
        if (!Number.isSafeInteger(size) || size < 0) throw new Error(`a fixed of ${schema.size} bytes`);
        return Object.assign(this.#name(schema, namespace, this.#type('fixed', schema)), { size });
      }
      case 'array':
      case 'map': {
        const container = this.#type(type, schema);
        const item = this.parse(type === 'array' ? schema.items : schema.values, namespace);
        container.parts.push(item);
        if (type === 'array') container.wire = { ...container.wire, items: item.wire };
        return container;
      }
      default:
        return primitives.includes(type) ? this.#type(type, schema) : this.#find(type, namespace);
    }
  }

  #type(kind: string, schema: Json): AvroType {
    const type = new AvroType(AvroKind[kind as KindName]);
    type.wire = wireOf(kind as KindName, schema);
    return type;
  }

  #record(schema: Json, namespace: string): AvroType {
    const record = this.#name(schema, namespace, this.#type('record', schema));
    const inside = fullName(schema, namespace).replace(/\.?[^.]*$/, '');
    const names = listOf(schema, 'fields').map(field => {
      if (!isObject(field) || typeof field.name !== 'string') throw new Error('a field without a name');
      record.parts.push(this.parse(field.type, inside));
      return field.name;
    });
    record.fields = { names, wires: record.parts.map(({ wire }) => wire) };
    record.columns = columnsOf(record.fields);
    record.places = new Map(names.map((name, i) => [name, i]));
    return record;
  }

  #union(schemas: unknown[], namespace: string): AvroType {
    const union = new AvroType(AvroKind.union);
    union.parts = schemas.map(schema => this.parse(schema, namespace));
    const value = union.parts.find(({ kind }) => kind !== AvroKind.null);
    const optional = union.parts.some(({ kind }) => kind === AvroKind.null);
    union.wire = { ...value?.wire, optional };
    return union;
  }

  #name(schema: Json, namespace: string, type: AvroType): AvroType {
    this.#named.set(fullName(schema, namespace), type);
    return type;
  }

  #find(name: string, namespace: string): AvroType {
    const type =
      this.#named.get(name.includes('.') || !namespace ? name : `${namespace}.${name}`) ??
      this.#named.get(name);
    if (!type) throw new Error(`type ${name} is not in it`);
    return type;
  }
}

function fullName(schema: Json, namespace: string): string {
  if (typeof schema.name !== 'string') throw new Error(`a ${schema.type} without a name`);
  if (schema.name.includes('.')) return schema.name;
  const space = typeof schema.namespace === 'string' ? schema.namespace : namespace;
  return space ? `${space}.${schema.name}` : schema.name;
}

function wireOf(kind: KindName, schema: Json): Wire {
  const logical = typeof schema.logicalType === 'string' ? logicalNames[schema.logicalType] : undefined;
  const name = schema['connect.name'] ?? logical;
  let parameters = schema['connect.parameters'];
  if (!parameters && name === logicalNames.decimal) parameters = { scale: String(schema.scale ?? 0) };
  const type = schema['connect.type'] ?? connectTypes[kind] ?? kind;
  return {
    type: String(type),
    ...(name !== undefined && { name: String(name) }),
    ...(isObject(parameters) && { parameters: parameters as Record<string, string> }),
    optional: false,
  };
}

function listOf(schema: Json, name: string): unknown[] {
  const list = schema[name];
  if (!Array.isArray(list)) throw new Error(`a ${schema.type} without ${name}`);
  return list;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
