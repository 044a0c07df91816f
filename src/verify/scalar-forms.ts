import { clickHouseString, type Form, outputText, postgresString } from './form.ts';

/** Letters up to which a text is compared as it is; longer ones by digest, so that memory stays bounded. */
export const longestText = 8192;

/** Types whose cast to text gives the text that they were stored with, without a call of their output function. */
const storedAsText = new Set(['text', 'varchar', 'name', 'json', 'citext']);

/** Everything that ClickHouse holds as PostgreSQL's text, and pairs that no other form knows. */
export function textForm(pgType: string, isString: boolean): Form {
  return {
    postgres: storedAsText.has(pgType) ? value => `(${value})::text` : outputText,
    clickhouse: value => (isString ? value : `toString(${value})`),
    unbounded: true,
    order: { clickhouse: isString },
    input: text => text,
  };
}

/** PostgreSQL's integers whose index gives them in the order of the numbers. */
const orderedIntegers = new Set(['int2', 'int4', 'int8', 'oid', 'xid8']);

export function integerForm(pgType: string): Form {
  const postgres: Form['postgres'] =
    pgType === 'bool'
      ? value => `(${value})::int::text`
      : pgType === 'numeric'
        ? value => `trim_scale(${value})::text`
        : value => `(${value})::text`;
  const ordered = orderedIntegers.has(pgType);
  return {
    postgres,
    clickhouse: value => `toString(${value})`,
    plain: true,
    ...(ordered ? { order: { postgres: true, clickhouse: true, numeric: true }, input: text => text } : {}),
  };
}

/** By bits of the 64-bit number: -0 is not 0, and every NaN is the same. */
export const floatForm: Form = {
  postgres: value =>
    `CASE WHEN (${value})::float8 = 'NaN' THEN 'NaN' ELSE encode(float8send((${value})::float8), 'hex') END`,
  clickhouse: value =>
    `if(isNaN(${value}), 'NaN', lower(hex(reverse(reinterpretAsFixedString(toFloat64(${value}))))))`,
  plain: true,
  input: floatText,
  readable: floatText,
};

function floatText(bits: string): string {
  if (!/^[0-9a-f]{16}$/.test(bits)) return bits;
  const value = Buffer.from(bits, 'hex').readDoubleBE(0);
  return Object.is(value, -0) ? '-0' : String(value);
}

export const boolForm: Form = {
  postgres: value => `(${value})::bool::text`,
  clickhouse: value => `multiIf(${value}, 'true', NOT ${value}, 'false', NULL)`,
  plain: true,
  input: text => text,
};

/** ClickHouse sorts UUIDs by their second half first: only PostgreSQL's order is that of the text. */
export const uuidForm: Form = {
  postgres: value => `(${value})::text`,
  clickhouse: value => `toString(${value})`,
  plain: true,
  order: { postgres: true },
  input: text => text,
};

/** In hexadecimal; long ones by digest of the bytes, as their hexadecimal form may pass what PostgreSQL can hold. */
export const byteaForm: Form = {
  postgres: value =>
    `CASE WHEN octet_length(${value}) > ${longestText / 2} ` +
    `THEN 'sha256 ' || encode(sha256(${value}), 'hex') || ' of ' || octet_length(${value}) || ' bytes' ` +
    `ELSE ${postgresString('\\x')} || encode(${value}, 'hex') END`,
  clickhouse: value =>
    `if(length(${value}) > ${longestText / 2}, ` +
    `concat('sha256 ', lower(hex(SHA256(${value}))), ' of ', toString(length(${value})), ' bytes'), ` +
    `concat(${clickHouseString('\\x')}, lower(hex(${value}))))`,
  input: text => text,
};

/** By value: the digits after the point that a type prints say nothing. */
export function decimalForm(precision: number, scale: number): Form {
  const digits = '9'.repeat(precision).padStart(scale + 1, '0');
  const max = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  return {
    postgres: value => `trim_scale((${value})::numeric)::text`,
    clickhouse: value => `toString(${value})`,
    fits: value => {
      const number = `(${value})::numeric`;
      return `(abs(${number}) <= ${max} AND scale(trim_scale(${number})) <= ${scale})`;
    },
    // NaN is above everything in PostgreSQL and has no nearest value.
    clamp: value => {
      const number = `(${value})::numeric`;
      return `CASE WHEN ${number} < -${max} THEN -${max} WHEN ${number} > ${max} AND ${number} <> 'NaN' THEN ${max} ELSE ${number} END`;
    },
    plain: true,
    input: text => text,
  };
}

export function jsonForm(pgType: 'json' | 'jsonb'): Form {
  return {
    postgres: value => `(${value})::text`,
    clickhouse: value => `toString(${value})`,
    fits: value => `${pgType}_typeof(${value}) = 'object'`,
    equal: (postgres, clickhouse) => canonicalJson(postgres) === canonicalJson(clickhouse),
  };
}

/**
 * ClickHouse's JSON keeps paths and their values: no members that are null or empty objects, no order, no difference
 * between `{"a.b": 1}` and `{"a": {"b": 1}}`, no `1.0` beside `1`.
 */
function canonicalJson(text: string): string {
  return JSON.stringify(canonicalValue(JSON.parse(text, exactInteger)));
}

/** Integers beyond 2^53 by their digits. The third argument is that of ES2025's "JSON.parse source text access". */
function exactInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source && /^-?\d{16,}$/.test(source) ? { integer: source } : value;
}

function canonicalValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonicalValue);
  if (value === null || typeof value !== 'object') return Object.is(value, -0) ? 0 : value;
  const paths: [string, unknown][] = [];
  collectPaths('', value, paths);
  return paths.sort(([a], [b]) => (a < b ? -1 : 1));
}

function collectPaths(prefix: string, value: object, paths: [string, unknown][]): void {
  for (const [key, member] of Object.entries(value)) {
    if (member === null) continue;
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (typeof member === 'object' && !Array.isArray(member)) collectPaths(path, member, paths);
    else paths.push([path, canonicalValue(member)]);
  }
}
