import type { Column, PgType, Wire } from '../../../../core/relation.ts';
import { parseType, splitNullable } from '../clickhouse-type.ts';
import { type ConnectorModes, schemalessWire } from './connector-modes.ts';
import { numericTypmod, semanticTypes } from './semantic-types.ts';

/** Types that are assumed have no OID of a catalog; that of an extension or a user's type must look like one. */
const noOid = 0;
const someUserOid = 16384;

const ofExtensions = new Set(['hstore', 'vector', 'halfvec', 'sparsevec', 'ltree', 'geometry', 'geography']);

function assumedType(name: string, kind: PgType['kind'] = 'base'): PgType {
  return kind === 'enum' || ofExtensions.has(name)
    ? { oid: someUserOid, name, schema: 'public', kind }
    : { oid: noOid, name, schema: 'pg_catalog', kind };
}

interface AssumedType {
  type: PgType;
  typmod: number;
}

function arrayOf({ type: inner, typmod }: AssumedType): AssumedType {
  return { type: { oid: noOid, name: `_${inner.name}`, schema: 'pg_catalog', kind: 'array', inner }, typmod };
}

/** By type of a Connect schema that has no semantic type. */
const connectTypes: Readonly<Record<string, string>> = {
  boolean: 'bool',
  int8: 'int2',
  int16: 'int2',
  int32: 'int4',
  int64: 'int8',
  float: 'float4',
  double: 'float8',
  bytes: 'bytea',
  map: 'hstore',
};

/** A column as the Connect schema of a field describes it, where PostgreSQL's catalog cannot be asked. */
export function connectColumn(wire: Wire, name: string): Column {
  return { name, ...connectType(wire), notNull: wire.optional === false, wire };
}

function connectType(wire: Wire): AssumedType {
  if (wire.name !== undefined && Object.hasOwn(semanticTypes, wire.name)) {
    const { name, kind, typmod = -1 } = semanticTypes[wire.name]!.type(wire);
    return { type: assumedType(name, kind), typmod };
  }
  if (wire.type === 'array' && wire.items) return arrayOf(connectType(wire.items));
  return { type: assumedType(connectTypes[wire.type ?? ''] ?? 'text'), typmod: -1 };
}

/** By name of the ClickHouse type. */
const clickHouseTypes: Readonly<Record<string, string>> = {
  Bool: 'bool',
  UInt8: 'bool',
  Int16: 'int2',
  Int32: 'int4',
  Int64: 'int8',
  Int128: 'int8',
  Int256: 'int8',
  UInt32: 'oid',
  UInt64: 'xid8',
  UInt128: 'xid8',
  UInt256: 'xid8',
  Float32: 'float4',
  Float64: 'float8',
  UUID: 'uuid',
  Date: 'date',
  Date32: 'date',
  DateTime: 'timestamptz',
  DateTime64: 'timestamptz',
  Time64: 'time',
  JSON: 'jsonb',
  Map: 'hstore',
};

/** A column as an existing ClickHouse column of type `type` suggests it, for messages without schema where PostgreSQL's catalog cannot be asked. */
export function columnFromClickHouse(name: string, type: string, modes: ConnectorModes): Column {
  const assumed = clickHouseType(type);
  const isUnsigned = assumed.type.name === 'xid8';
  const wire = isUnsigned ? { type: 'int64' } : schemalessWire(assumed.type, assumed.typmod, modes, true);
  return { name, ...assumed, notNull: !splitNullable(type).nullable, wire };
}

function clickHouseType(clickHouse: string): AssumedType {
  const { name, args } = parseType(splitNullable(clickHouse).type);
  if (name === 'LowCardinality') return clickHouseType(args[0]!);
  if (name === 'Array') return arrayOf(clickHouseType(args[0]!));
  if (name === 'Decimal')
    return { type: assumedType('numeric'), typmod: numericTypmod(Number(args[0]), Number(args[1])) };
  return { type: assumedType(clickHouseTypes[name] ?? 'text'), typmod: -1 };
}
