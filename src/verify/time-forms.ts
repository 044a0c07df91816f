import type { Form } from './form.ts';

/** What ClickHouse's dates hold; beyond that it clamps silently. */
const dateRanges: Record<string, [string, string]> = {
  Date: ['1970-01-01', '2149-06-06'],
  Date32: ['1900-01-01', '2299-12-31'],
};

export function dateForm(type: string): Form {
  const [min, max] = dateRanges[type]!;
  return {
    postgres: value => `(${value})::text`,
    clickhouse: value => `toString(${value})`,
    ...range(`date '${min}'`, `date '${max}'`),
    plain: true,
    input: text => text,
  };
}

/**
 * DateTime, DateTime64(precision): PostgreSQL's own text against ClickHouse's without trailing zeros. A timestamp without
 * time zone and a date are taken as UTC.
 */
export function timestampForm(pgType: string, precision: number | undefined): Form {
  const [min, max] = instants(precision);
  const literal = (text: string) => `${pgType} '${text}${pgType === 'timestamptz' ? '+00' : ''}'`;
  const holdsFraction = precision !== undefined && precision > 0;
  const fine = holdsFraction ? withoutTrailingZeros : (text: string) => text;
  return {
    postgres: value => (pgType === 'date' ? `(${value})::timestamp::text` : `(${value})::text`),
    clickhouse: value => {
      const text = fine(`toString(${value}, 'UTC')`);
      return pgType === 'timestamptz' ? `concat(${text}, '+00')` : text;
    },
    ...range(literal(min), literal(max), pgType === 'date' ? undefined : coarser(precision ?? 0)),
    plain: true,
    input: text => text,
  };
}

/** Time, Time64(precision). */
export function timeForm(precision: number): Form {
  const tooFine = coarser(precision);
  return {
    postgres: value => `(${value})::text`,
    clickhouse: value => {
      const text = `toString(${value})`;
      return precision > 0 ? withoutTrailingZeros(text) : text;
    },
    ...(tooFine ? { fits: value => `NOT (${tooFine(value)})` } : {}),
    plain: true,
    input: text => text,
  };
}

function withoutTrailingZeros(text: string): string {
  return `trimRight(trimRight(${text}, '0'), '.')`;
}

/** First and last instant of DateTime and DateTime64: years 1 to 9999, less where 64 bits of ticks do not reach. */
function instants(precision: number | undefined): [string, string] {
  if (precision === undefined) return ['1970-01-01 00:00:00', '2106-02-07 06:28:15'];
  if (precision === 9) return ['1677-09-21 00:12:44', '2262-04-11 23:47:15.999999'];
  if (precision === 8) return ['0001-01-01 00:00:00', '4892-10-07 21:52:47.999999'];
  const fraction = '999999'.slice(0, precision);
  return ['0001-01-01 00:00:00', `9999-12-31 23:59:59${fraction && `.${fraction}`}`];
}

/** Condition: the value has more digits of a second than `precision`. */
function coarser(precision: number): ((value: string) => string) | undefined {
  if (precision >= 6) return undefined;
  return value => `extract(microseconds FROM ${value})::int8 % ${10 ** (6 - precision)} <> 0`;
}

function range(
  min: string,
  max: string,
  tooFine?: (value: string) => string,
): Required<Pick<Form, 'fits' | 'clamp'>> {
  return {
    fits: value => `(${value} BETWEEN ${min} AND ${max}${tooFine ? ` AND NOT (${tooFine(value)})` : ''})`,
    clamp: value =>
      `CASE WHEN ${value} < ${min} THEN ${min} WHEN ${value} > ${max} THEN ${max} ELSE ${value} END`,
  };
}
