import type { PgType, Wire } from '../../../../core/relation.ts';
import { bitsForm } from './bits.ts';
import { dateForm } from './dates.ts';
import { numericForm } from './decimals.ts';
import type { Unit } from './epoch-number.ts';
import { circleForm, geometryForm, lineForm, pointForm } from './geometry.ts';
import { hstoreForm } from './hstore.ts';
import { intervalForm } from './intervals.ts';
import { timeForm, zonedTimeForm } from './times.ts';
import { timestampForm } from './timestamps.ts';
import { sparseVectorForm, vectorForm } from './vectors.ts';
import type { WireForm } from './wire-form.ts';

/** A column as the forms need it. */
export interface WireColumn {
  /** Name of the type, or of the base type of a domain. */
  base: string;
  typmod: number;
  wire: Wire;
  /** Ends the message about a value that is not what `wire` says: names the setting. */
  hint: string;
}

/** What a semantic type of Debezium or Kafka Connect means. */
export interface SemanticType {
  form(column: WireColumn): WireForm;
  /** The PostgreSQL type that has it, where there is no catalog: name and, where the schema says it, typmod. */
  type(wire: Wire): { name: string; kind?: PgType['kind']; typmod?: number };
}

const textForm: WireForm = {};
const text = (name: string): SemanticType => ({ form: () => textForm, type: () => ({ name }) });

/** Scale out of the typmod of a `numeric`; `undefined` when it has none. */
function scaleOf(typmod: number): number | undefined {
  return typmod < 4 ? undefined : (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
}

/** Digits after the point in PostgreSQL's text of a `numeric`. */
export function textScale(typmod: number): number | undefined {
  const scale = scaleOf(typmod);
  return scale === undefined ? undefined : Math.max(scale, 0);
}

/** typmod of `numeric(precision, scale)`. */
export function numericTypmod(precision: number, scale: number): number {
  return ((precision << 16) | (scale & 0x7ff)) + 4;
}

const date: SemanticType = { form: ({ hint }) => dateForm(hint), type: () => ({ name: 'date' }) };
const time = (unit?: Unit): SemanticType => ({
  form: ({ hint }) => timeForm(unit, hint),
  type: () => ({ name: 'time' }),
});
const timestamp = (unit?: Unit): SemanticType => ({
  form: ({ base, hint }) => timestampForm(base === 'timestamptz', unit, hint),
  type: () => ({ name: 'timestamp' }),
});
const interval = (unit?: Unit): SemanticType => ({
  form: ({ hint }) => intervalForm(unit, hint),
  type: () => ({ name: 'interval' }),
});

const decimal: SemanticType = {
  form({ base, typmod, wire, hint }) {
    const scale = wire.parameters?.scale;
    const digits = base === 'numeric' ? textScale(typmod) : undefined;
    if (scale === undefined)
      return numericForm({ strings: 'unknown', numbers: 'exact', scale: digits, hint });
    const strings = { scale: Number(scale) };
    return numericForm({ strings, numbers: 'exact', scale: digits ?? Math.max(strings.scale, 0), hint });
  },
  type({ parameters = {} }) {
    const scale = Number(parameters.scale ?? Number.NaN);
    const precision = Number(parameters['connect.decimal.precision'] ?? Number.NaN);
    // A negative scale comes as PostgreSQL stores it: in eleven bits.
    if (precision > 0 && precision <= 1000 && scale > -1024 && scale < 2048)
      return { name: 'numeric', typmod: numericTypmod(precision, scale) };
    // Only money has a scale without a precision.
    return { name: scale === 2 ? 'money' : 'numeric' };
  },
};

const bits: SemanticType = {
  form({ base, wire }) {
    return bitsForm(base === 'varbit' || !isBounded(wire) ? undefined : Number(wire.parameters!.length));
  },
  type: wire =>
    isBounded(wire) ? { name: 'bit', typmod: Number(wire.parameters!.length) } : { name: 'varbit' },
};

/** Without a limit, the length is the largest Int32. */
function isBounded({ parameters }: Wire): boolean {
  const length = Number(parameters?.length);
  return length > 0 && length < 2 ** 31 - 1;
}

/** Every semantic type that Debezium's connector for PostgreSQL writes. */
export const semanticTypes: Readonly<Record<string, SemanticType>> = {
  'org.apache.kafka.connect.data.Decimal': decimal,
  'io.debezium.data.VariableScaleDecimal': {
    form: ({ hint }) => numericForm({ strings: 'unknown', numbers: 'exact', scale: undefined, hint }),
    type: () => ({ name: 'numeric' }),
  },

  'org.apache.kafka.connect.data.Date': date,
  'io.debezium.time.Date': date,
  'io.debezium.time.IsoDate': date,

  'org.apache.kafka.connect.data.Time': time(3),
  'io.debezium.time.Time': time(3),
  'io.debezium.time.MicroTime': time(6),
  'io.debezium.time.NanoTime': time(9),
  'io.debezium.time.IsoTime': time(),
  'io.debezium.time.ZonedTime': {
    form: ({ hint }) => zonedTimeForm(hint),
    type: () => ({ name: 'timetz' }),
  },

  'org.apache.kafka.connect.data.Timestamp': timestamp(3),
  'io.debezium.time.Timestamp': timestamp(3),
  'io.debezium.time.MicroTimestamp': timestamp(6),
  'io.debezium.time.NanoTimestamp': timestamp(9),
  'io.debezium.time.IsoTimestamp': timestamp(),
  'io.debezium.time.ZonedTimestamp': {
    form: ({ hint }) => timestampForm(true, undefined, hint),
    type: () => ({ name: 'timestamptz' }),
  },

  'io.debezium.time.Interval': interval(),
  'io.debezium.time.MicroDuration': interval(6),
  'io.debezium.time.NanoDuration': interval(9),

  'io.debezium.data.Json': {
    form: ({ base, hint }) => (base === 'hstore' ? hstoreForm(hint) : textForm),
    type: () => ({ name: 'jsonb' }),
  },
  'io.debezium.data.Uuid': text('uuid'),
  'io.debezium.data.Xml': text('xml'),
  'io.debezium.data.Ltree': text('ltree'),
  'io.debezium.data.Tsvector': text('tsvector'),
  'io.debezium.data.Enum': { form: () => textForm, type: () => ({ name: 'enum', kind: 'enum' }) },
  'io.debezium.data.Bits': bits,
  'io.debezium.data.DoubleVector': { form: () => vectorForm, type: () => ({ name: 'vector' }) },
  'io.debezium.data.FloatVector': { form: () => vectorForm, type: () => ({ name: 'halfvec' }) },
  'io.debezium.data.SparseDoubleVector': {
    form: () => sparseVectorForm,
    type: () => ({ name: 'sparsevec' }),
  },
  'io.debezium.data.SparseVector': { form: () => sparseVectorForm, type: () => ({ name: 'sparsevec' }) },
  'io.debezium.data.geometry.Point': { form: () => pointForm, type: () => ({ name: 'point' }) },
  'io.debezium.data.geometry.Circle': { form: () => circleForm, type: () => ({ name: 'circle' }) },
  'io.debezium.data.geometry.Line': { form: () => lineForm, type: () => ({ name: 'line' }) },
  'io.debezium.data.geometry.Geometry': { form: () => geometryForm, type: () => ({ name: 'geometry' }) },
  'io.debezium.data.geometry.Geography': { form: () => geometryForm, type: () => ({ name: 'geography' }) },
};
