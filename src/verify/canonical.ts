import type { Column, PgType } from '../core/relation.ts';
import type { OnInvalid } from '../sinks/clickhouse/types/codec.ts';
import { type ClickHouseType, parseClickHouseType } from './clickhouse-type.ts';
import type { Form } from './form.ts';
import { arrayForm, hstoreForm } from './nested-forms.ts';
import {
  boolForm,
  byteaForm,
  decimalForm,
  floatForm,
  integerForm,
  jsonForm,
  textForm,
  uuidForm,
} from './scalar-forms.ts';
import { dateForm, timeForm, timestampForm } from './time-forms.ts';

/**
 * The form in which both databases write the values of a column; see `Form`. `onInvalid` is what the pipeline does about
 * values that the ClickHouse type cannot hold.
 */
export function canonicalForm(column: Column, clickHouseType: string, onInvalid?: OnInvalid): Form {
  const policy = onInvalid === 'null' || onInvalid === 'clamp' ? onInvalid : undefined;
  const pgType = withoutDomains(column.type);
  const target = parseClickHouseType(clickHouseType);
  if (target.name === 'Array') {
    if (pgType.kind === 'array' && pgType.inner)
      return arrayForm(scalarForm(pgType.inner, parseClickHouseType(target.args[0]!)), policy === 'clamp');
    // vector, halfvec: pgvector casts them to real[].
    if (pgType.name === 'vector' || pgType.name === 'halfvec') {
      const form = arrayForm(floatForm, false);
      return { ...form, postgres: value => form.postgres(`(${value})::real[]`) };
    }
  }
  if (target.name === 'Map' && pgType.name === 'hstore') return hstoreForm(pgType.schema);
  return withPolicy(scalarForm(pgType, target), policy);
}

function withPolicy(form: Form, policy: 'null' | 'clamp' | undefined): Form {
  const { fits, clamp } = form;
  if (policy === 'null' && fits)
    return { ...form, postgres: value => `CASE WHEN ${fits(value)} THEN ${form.postgres(value)} END` };
  if (policy === 'clamp' && clamp) return { ...form, postgres: value => form.postgres(`(${clamp(value)})`) };
  return form;
}

/**
 * Pairs that have no form of their own are compared as PostgreSQL's text with ClickHouse's: that may find differences
 * where none are, but hides none.
 */
function scalarForm(type: PgType, target: ClickHouseType): Form {
  const base = withoutDomains(type);
  const pgType = base.kind === 'base' ? base.name : '';
  const { name, args } = target;
  return (
    (name === 'String' && pgType === 'bytea' && byteaForm) ||
    (isNumber(pgType) && numberForm(pgType, name, args)) ||
    (isTime(pgType) && timeFormFor(pgType, name, args)) ||
    (name === 'Bool' && pgType === 'bool' && boolForm) ||
    (name === 'UUID' && pgType === 'uuid' && uuidForm) ||
    (name === 'JSON' && (pgType === 'json' || pgType === 'jsonb') && jsonForm(pgType)) ||
    textForm(pgType, name === 'String')
  );
}

const isNumber = (pgType: string) =>
  /^(int2|int4|int8|oid|xid|cid|xid8|bool|numeric|money|float4|float8)$/.test(pgType);
const isTime = (pgType: string) => /^(date|timestamp|timestamptz|time)$/.test(pgType);

function numberForm(pgType: string, name: string, args: readonly string[]): Form | undefined {
  if (/^U?Int\d+$/.test(name)) return integerForm(pgType);
  if (/^Float\d+$/.test(name) && /^float/.test(pgType)) return floatForm;
  if (name === 'Decimal' && pgType !== 'bool') return decimalForm(Number(args[0]), Number(args[1]));
  return undefined;
}

function timeFormFor(pgType: string, name: string, args: readonly string[]): Form | undefined {
  if ((name === 'Date' || name === 'Date32') && pgType === 'date') return dateForm(name);
  if ((name === 'DateTime' || name === 'DateTime64') && pgType !== 'time')
    return timestampForm(pgType, name === 'DateTime' ? undefined : Number(args[0]));
  if ((name === 'Time' || name === 'Time64') && pgType === 'time')
    return timeForm(name === 'Time' ? 0 : Number(args[0]));
  return undefined;
}

function withoutDomains(type: PgType): PgType {
  return type.kind === 'domain' && type.inner ? withoutDomains(type.inner) : type;
}
