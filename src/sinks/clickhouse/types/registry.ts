import { CdcError } from '../../../core/errors.ts';
import type { Column, PgType } from '../../../core/relation.ts';
import { arrayType } from './arrays.ts';
import { bits } from './bits.ts';
import { bools } from './bool.ts';
import { byteas } from './bytea.ts';
import { isNullableType, layoutOf, parseType, splitNullable } from './clickhouse-type.ts';
import type { Codec, OnInvalid } from './codec.ts';
import { dates } from './date.ts';
import { chooseWireEncoders, textOf } from './debezium/wire-form.ts';
import { wireForm } from './debezium/wire-forms.ts';
import { floats } from './floats.ts';
import { hstores } from './hstore.ts';
import { integers } from './integers.ts';
import { jsons } from './json.ts';
import { moneys } from './money.ts';
import { networks } from './network.ts';
import { numerics } from './numeric.ts';
import { multirangeType, rangeType } from './ranges.ts';
import { systemTypes } from './system.ts';
import { enumText, extensionTexts, textOnly, texts } from './text.ts';
import { times } from './time.ts';
import { timestamps } from './timestamp.ts';
import { uuids } from './uuid.ts';
import {
  chooseEncoders,
  type Limits,
  type ServerCapabilities,
  type ValueType,
  type ValueTypes,
  type WriteText,
} from './value-type.ts';
import { vectors } from './vector.ts';

export { fullType, splitNullable } from './clickhouse-type.ts';
export type { Limits, ServerCapabilities } from './value-type.ts';

/** Types of `pg_catalog`. */
const builtIn: ValueTypes = {
  ...integers,
  ...floats,
  ...numerics,
  ...bools,
  ...uuids,
  ...texts,
  ...byteas,
  ...jsons,
  ...dates,
  ...timestamps,
  ...times,
  ...moneys,
  ...networks,
  ...bits,
  ...systemTypes,
};

/** Types of extensions, in any schema. */
const extensions: ValueTypes = { ...extensionTexts, ...hstores, ...vectors };

/** OIDs from here on are users'. */
const firstUserOid = 16384;

function valueType(type: PgType, typmod: number): ValueType {
  if (type.schema === 'pg_catalog' && type.oid < firstUserOid && Object.hasOwn(builtIn, type.name))
    return builtIn[type.name]!(typmod);
  const { inner } = type;
  switch (type.kind) {
    case 'enum':
      return enumText;
    case 'domain':
      return inner ? valueType(inner, type.innerTypmod ?? -1) : textOnly;
    case 'array':
      return inner ? arrayType(valueType(inner, typmod), inner.name === 'box' ? ';' : ',') : textOnly;
    case 'range':
      return inner ? rangeType(valueType(inner, -1)) : textOnly;
    case 'multirange':
      return inner ? multirangeType(valueType(inner, -1)) : textOnly;
    case 'base':
      return type.oid >= firstUserOid && Object.hasOwn(extensions, type.name)
        ? extensions[type.name]!(typmod)
        : textOnly;
    default:
      return textOnly;
  }
}

/** The ClickHouse type, without `Nullable`, that holds every value of the column, or refuses it. */
export function defaultType(column: Column, capabilities: ServerCapabilities): string {
  return valueType(column.type, column.typmod).defaultType(capabilities);
}

/**
 * How the column's values get into a ClickHouse column of type `clickHouseType` (as `system.columns` says, with or
 * without `Nullable`). A column with a `wire` takes them as Debezium writes them: see `withConnectorModes`. Throws
 * `CdcError` TYPE_MISMATCH when that type cannot hold them exactly.
 */
export function codecFor(column: Column, clickHouseType: string, onInvalid: OnInvalid): Codec {
  const from = valueType(column.type, column.typmod);
  const { type } = splitNullable(clickHouseType);
  const layout = layoutOf(type);
  const encoders = layout && (column.wire ? wireEncoders : plainEncoders)(column, from, type, onInvalid);
  if (!encoders) throw mismatch(column, from, clickHouseType);
  return { type, canBeNullable: isNullableType(type), ...encoders, ...layout };
}

type CodecEncoders = Pick<Codec, 'binary' | 'text' | 'json' | 'postgresText' | 'toPostgresText'>;

function plainEncoders(
  _column: Column,
  from: ValueType,
  type: string,
  onInvalid: OnInvalid,
): CodecEncoders | undefined {
  const chosen = chooseEncoders(from, type, onInvalid);
  return chosen && { ...chosen, json: undefined, postgresText: chosen.text, toPostgresText: undefined };
}

function wireEncoders(
  column: Column,
  from: ValueType,
  type: string,
  onInvalid: OnInvalid,
): CodecEncoders | undefined {
  const form = wireForm(column.type, column.typmod, column.wire!);
  const chosen = chooseWireEncoders(from, form, type, onInvalid);
  return chosen && { ...chosen, binary: undefined, toPostgresText: textOf(form) };
}

function mismatch(column: Column, from: ValueType, clickHouseType: string): CdcError {
  const fitting = [...new Set([from.defaultType({ time64: true }), 'String'])].join(' or ');
  return new CdcError(
    'TYPE_MISMATCH',
    `column "${column.name}" is ${describe(column.type)} in PostgreSQL, which ClickHouse type ${clickHouseType} cannot hold exactly`,
    { hint: `Use ${fitting}; docs/types.md lists what fits.` },
  );
}

/** Whether the binary (send) form of the type is decoded here. */
export function decodesBinary(type: PgType): boolean {
  return valueType(type, -1).writeText !== undefined;
}

/** Appends PostgreSQL's text of a binary value; `undefined` when the binary form is not decoded here. */
export function textWriter(column: Column): WriteText | undefined {
  return valueType(column.type, column.typmod).writeText;
}

/** Which of the column's values fit into the ClickHouse type; `undefined` when all do. For arrays it does not say. */
export function limitsOf(column: Column, clickHouseType: string): Limits | undefined {
  let target = parseType(splitNullable(clickHouseType).type);
  if (target.name === 'LowCardinality') target = parseType(target.args[0]!);
  return valueType(column.type, column.typmod).limits?.(target);
}

function describe(type: PgType): string {
  if (type.kind === 'array' && type.inner) return `${describe(type.inner)}[]`;
  if (type.kind === 'domain' && type.inner) return `${type.name} (a domain over ${describe(type.inner)})`;
  return type.kind === 'base' ? type.name : `${type.name} (${type.kind})`;
}
