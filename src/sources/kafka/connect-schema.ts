import type { Wire } from '../../core/relation.ts';
import { MalformedEnvelope } from './envelope.ts';
import type { ContentSchema } from './envelope-content.ts';
import { isAddedField } from './flattened-row.ts';

/** Fields of a struct and how Debezium writes their values. */
export interface Fields {
  readonly names: readonly string[];
  readonly wires: readonly Wire[];
}

/** A Kafka Connect schema as `JsonConverter` writes it; what is of no use here is left out. */
interface ConnectSchema {
  type: string;
  optional?: boolean;
  name?: string;
  parameters?: Record<string, string>;
  items?: ConnectSchema;
}

interface StructSchema extends ConnectSchema {
  fields: (ConnectSchema & { field: string })[];
}

/** Schemas by their JSON, which messages of a topic repeat. */
export class ConnectSchemas {
  readonly #known = new Map<string, ContentSchema>();

  /** @throws MalformedEnvelope when `json` is no schema of a struct */
  get(json: string): ContentSchema {
    let schema = this.#known.get(json);
    if (!schema) {
      schema = parseConnectSchema(json);
      if (this.#known.size === 100) this.#known.clear();
      this.#known.set(json, schema);
    }
    return schema;
  }
}

function parseConnectSchema(json: string): ContentSchema {
  const schema = JSON.parse(json) as unknown;
  if (!isStruct(schema)) throw new MalformedEnvelope('"schema" does not describe a struct');
  const rows: unknown[] = ['after', 'before'].map(name => schema.fields.find(({ field }) => field === name));
  const row = rows.find(isStruct);
  return { name: schema.name, row: row && fieldsOf(row), columns: columnsOf(fieldsOf(schema)) };
}

function isStruct(schema: unknown): schema is StructSchema {
  if (!isSchema(schema) || schema.type !== 'struct' || !('fields' in schema)) return false;
  const { fields } = schema as { fields: unknown };
  return (
    Array.isArray(fields) &&
    fields.every(field => isSchema(field) && 'field' in field && typeof field.field === 'string')
  );
}

function isSchema(value: unknown): value is ConnectSchema {
  return typeof value === 'object' && value !== null && typeof (value as ConnectSchema).type === 'string';
}

function fieldsOf(schema: StructSchema): Fields {
  return { names: schema.fields.map(({ field }) => field), wires: schema.fields.map(wireOf) };
}

function wireOf(schema: ConnectSchema): Wire {
  const { type, name, parameters, optional, items } = schema;
  return {
    type,
    ...(name !== undefined && { name }),
    ...(parameters && { parameters }),
    optional: optional === true,
    ...(isSchema(items) && { items: wireOf(items) }),
  };
}

/** Without the fields that `ExtractNewRecordState` added to a flattened row. */
export function columnsOf({ names, wires }: Fields): Fields {
  if (!names.some(isAddedField)) return { names, wires };
  const isColumn = (_: unknown, i: number) => !isAddedField(names[i]!);
  return { names: names.filter(isColumn), wires: wires.filter(isColumn) };
}
