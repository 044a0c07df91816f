import type { PgType, Wire } from '../../../../core/relation.ts';
import { arrayForm } from './arrays.ts';
import { type BinaryEncoding, byteaForm, unknownTypeForm } from './binary.ts';
import { bitsForm, boolForm } from './bits.ts';
import { dateForm } from './dates.ts';
import { moneyForm, numericForm } from './decimals.ts';
import { floatForm } from './floats.ts';
import { circleForm, geometryForm, lineForm, pointForm, withPostgresNumbers } from './geometry.ts';
import { hstoreForm } from './hstore.ts';
import { intervalForm } from './intervals.ts';
import { semanticTypes, textScale, type WireColumn } from './semantic-types.ts';
import { timeForm, zonedTimeForm } from './times.ts';
import { timestampForm } from './timestamps.ts';
import { sparseVectorForm, vectorForm } from './vectors.ts';
import type { WireForm } from './wire-form.ts';

const text: PgType = { oid: 0, name: 'text', schema: 'pg_catalog', kind: 'base' };

/** How the values of a column of type `type` come when `wire` says it: by its semantic type, else by the PostgreSQL type. */
export function wireForm(type: PgType, typmod: number, wire: Wire): WireForm {
  if (type.kind === 'domain' && type.inner) return wireForm(type.inner, type.innerTypmod ?? -1, wire);
  const hint = wire.setting ? ` (${wire.setting})` : '';
  const column: WireColumn = { base: type.kind === 'enum' ? 'enum' : type.name, typmod, wire, hint };
  if (wire.name !== undefined && Object.hasOwn(semanticTypes, wire.name)) {
    const form = semanticTypes[wire.name]!.form(column);
    return column.base === 'money' ? moneyForm(form, hint) : form;
  }
  if (wire.type === 'array' || (type.kind === 'array' && wire.type !== 'bytes')) {
    const inner = (type.kind === 'array' && type.inner) || text;
    const element = wireForm(inner, typmod, wire.items ?? {});
    return arrayForm(element, inner.name === 'box' ? ';' : ',', hint);
  }
  if (column.base === 'bytea') return byteaForm(encodingOf(wire), hint);
  const own = Object.hasOwn(forms, column.base) ? forms[column.base]!(column) : undefined;
  const isUnknown = wire.type === 'bytes' || (isBinary(type) && !isNumber(wire));
  if (!isUnknown) return own ?? {};
  const form = { ...own, ...unknownTypeForm(encodingOf(wire), hint) };
  return isShape(column.base) ? withPostgresNumbers(form) : form;
}

function encodingOf({ type, parameters }: Wire): BinaryEncoding {
  if (type === 'bytes') return 'base64';
  const encoding = parameters?.[binaryParameter];
  return encoding === 'hex' || encoding === 'base64' ? encoding : 'unknown';
}

function isNumber({ type = '' }: Wire): boolean {
  return /^(int(8|16|32|64)|float|double)$/.test(type);
}

/** Parameter that says how a string has binary data: not part of a schema, it comes from the settings. */
export const binaryParameter = 'wal-cdc.binary';

/** By name of the PostgreSQL type: where the wire has no semantic type. */
const forms: Readonly<Record<string, (column: WireColumn) => WireForm>> = {
  bool: () => boolForm,
  float4: () => floatForm('float4'),
  float8: () => floatForm('float8'),
  numeric: ({ typmod, wire, hint }) => decimals(wire, textScale(typmod), hint),
  money: ({ wire, hint }) => moneyForm(decimals(wire, undefined, hint), hint),
  bit: ({ typmod }) => bitsForm(typmod > 0 ? typmod : undefined),
  varbit: () => bitsForm(undefined),
  date: ({ hint }) => dateForm(hint),
  time: ({ hint }) => timeForm(undefined, hint),
  timetz: ({ hint }) => zonedTimeForm(hint),
  timestamp: ({ hint }) => timestampForm(false, undefined, hint),
  timestamptz: ({ hint }) => timestampForm(true, undefined, hint),
  interval: ({ hint }) => intervalForm(undefined, hint),
  hstore: ({ hint }) => hstoreForm(hint),
  vector: () => vectorForm,
  halfvec: () => vectorForm,
  sparsevec: () => sparseVectorForm,
  geometry: () => geometryForm,
  geography: () => geometryForm,
  point: () => pointForm,
  circle: () => circleForm,
  line: () => lineForm,
  box: () => geometryForm,
  lseg: () => geometryForm,
  path: () => geometryForm,
  polygon: () => geometryForm,
};

function decimals(wire: Wire, scale: number | undefined, hint: string): WireForm {
  const isText = wire.type === 'string';
  return numericForm({
    strings: isText ? 'digits' : 'unknown',
    numbers: isText ? 'refused' : 'double',
    scale,
    hint,
  });
}

/** Types that Debezium writes as objects only since 3.7, and before as it writes those that it does not know. */
function isShape(name: string): boolean {
  return ['circle', 'line', 'box', 'lseg', 'path', 'polygon'].includes(name);
}

const texts = new Set(
  `text varchar bpchar char name citext xml ltree uuid json jsonb enum isbn inet cidr macaddr macaddr8 tsvector
   int4range int8range numrange tsrange tstzrange daterange int2 int4 int8 oid`.split(/\s+/),
);

/** Whether Debezium writes PostgreSQL's text, or a number that is it. Others it does not know (`include.unknown.datatypes`). */
export function isText(type: PgType): boolean {
  return (
    type.kind === 'enum' || (type.kind !== 'composite' && type.kind !== 'multirange' && texts.has(type.name))
  );
}

/** Whether the settings say how Debezium writes strings of the type. */
export function isBinary(type: PgType): boolean {
  return !isText(type) && (isShape(type.name) || !Object.hasOwn(forms, type.name));
}
