import type { Recording } from '../fixtures/envelopes.ts';

/** By column, as ClickHouse's `toString` shows it; `hex` of bytea. What is not listed is NULL. */
export type Shown = Record<string, string | null>;

const alpha = { name: 'alpha', updated_at: '2026-01-02 03:04:05.678901' };
const gamma = { id: '3', name: 'gamma', price: '3.33', updated_at: '2026-11-22 13:46:08.421576' };
const delta = { id: '4', name: 'delta', price: '4.44', updated_at: '2026-11-22 13:46:08.423663' };
/** A deleted row has its key alone. `updated_at` is NULL, for which the converter wrote the column's default. */
const deleted = { updated_at: '1970-01-01 00:00:00.000000' };

const wide: Shown = {
  id: '1',
  c_bool: 'true',
  c_i2: '-32768',
  c_i4: '2147483647',
  c_i8: '9223372036854775807',
  c_f4: '1.5',
  c_f8: '2.718281828459045',
  c_num: '123456789012345678901234567890.123456789',
  c_num_ps: '1234567890.0123456789',
  c_num_122: '-12.34',
  c_money: '1234.56',
  c_char: 'ab   ',
  c_varchar: 'var',
  c_text: 'tëxt ☃ "q" \\ \nnl',
  c_bytea: '00FF10',
  c_json: '{"a": 1,  "b":[1,2]}',
  c_jsonb: '{"k": {"n": 12345678901234567890.5}, "s": "☃"}',
  c_uuid: '0190aa00-0000-7000-8000-000000000001',
  c_date: '2026-02-28',
  c_time: '23:59:59.999999',
  // It was moved to UTC.
  c_timetz: '10:00:00+00',
  c_ts: '2026-02-28 12:34:56.123456',
  c_ts3: '2026-02-28 12:34:56.123000',
  c_tstz: '2026-02-28 07:04:56.123456+00',
  c_interval: '1 year 2 mons 3 days 04:05:06.789',
  c_inet: '10.0.0.1/8',
  c_cidr: '192.168.0.0/16',
  c_macaddr: '08:00:2b:01:02:03',
  c_bit: '10101010',
  c_varbit: '101',
  c_xml: '<a>1</a>',
  c_point: '(1.5,-2)',
  c_enum: 'happy',
  c_int_arr: '[1,NULL,3]',
  c_text_arr: `['a','b,c',NULL,'q"x']`,
  c_num_arr: '[1.1,2.2]',
  c_uuid_arr: `['0190aa00-0000-7000-8000-000000000001']`,
  c_tstz_arr: `['2026-02-28 12:34:56.000000']`,
  c_enum_arr: `['ok','sad']`,
  c_jsonb_arr: `['{"a": 1}']`,
  // Lost: it had two dimensions.
  c_int2d: '[NULL,NULL]',
  c_int4range: '[1,10)',
  c_tstzrange: '["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00")',
  c_oid: '4294967295',
  c_tsvector: "'cat' 'fat'",
};
/** NULL arrays are empty. */
const noArrays = Object.fromEntries(
  Object.keys(wide)
    .filter(name => name.endsWith('_arr') || name === 'c_int2d')
    .map(name => [name, '[]']),
);
/** `c_num` was NaN, which only text carries. */
const infinite: Shown = {
  ...noArrays,
  c_f4: 'nan',
  c_f8: 'inf',
  c_date: 'infinity',
  c_ts: 'infinity',
  c_tstz: '-infinity',
};
const early: Shown = {
  ...noArrays,
  c_f8: '-inf',
  c_date: '0044-03-15 BC',
  c_ts: '0001-01-01 00:00:00',
  c_tstz: '9999-12-31 23:59:59.999999+00',
  c_interval: '-1 mons +2 days',
};
/** An interval as a number of microseconds has hours alone. */
const wideInHours = { ...wide, c_interval: '10303:05:06.789' };

/** What the source had, by topic and offset: derived by hand from the recordings, which have the same rows in several modes. */
const rows: Partial<Record<Recording, Record<string, Shown>>> = {
  'schemas-off': {
    't_basic 0': { ...alpha, id: '1', qty: '1', price: '10.5' },
    't_basic 2': { ...alpha, id: '1', qty: '2', price: '99999999.99' },
    't_basic 3': { ...deleted, id: '1' },
    't_basic 5': { ...alpha, id: '101', qty: '2', price: '99999999.99' },
    't_basic 6': { ...deleted, id: '2' },
    't_basic 8': { ...gamma, qty: '3', extra: 'e' },
    't_basic 9': { ...delta, qty: '4' },
    't_basic 11': { ...gamma, qty: '7' },
    't_basic 12': { ...delta, qty: '7' },
    't_cpk 1': { tenant: '1', id: '1' },
    't_full 0': { id: '1', name: 'old' },
    't_full 2': { id: '1', name: 'new' },
    't_nopk 1': { a: '1', b: 'y' },
    't_nopk 2': { a: '1', b: 'y' },
    't_toast 0': { id: '1', small: 's1', big: 'x'.repeat(3000) },
    't_toast 3': { id: '1', small: 's3', big: 'short' },
    't_wide 0': wideInHours,
    't_wide 2': { ...infinite, id: '3' },
    't_wide 3': { ...early, id: '4', c_interval: '-682:30:00' },
  },
  'schemas-on': {
    't_basic 0': { ...alpha, id: '1', qty: '1', price: '10.5' },
    't_basic 3': { ...deleted, id: '1' },
    't_basic 8': { ...gamma, qty: '3', extra: 'e' },
    't_wide 0': wideInHours,
    't_wide 2': { ...infinite, id: '3' },
  },
  'schemas-off-decimal-string-isostring-txmeta': {
    't_basic 0': { ...alpha, id: '101', qty: '2', price: '99999999.99' },
    't_basic 1': { ...gamma, qty: '3' },
    't_basic 3': { ...alpha, id: '101', qty: '7', price: '99999999.99' },
    't_basic 4': { ...gamma, qty: '7' },
    't_toast 0': { id: '1', small: 's2', big: 'short' },
    't_toast 1': { id: '1', small: 's3', big: 'short' },
    // A snapshot loses the era of dates.
    't_wide 2': { ...early, id: '4', c_date: '0044-03-15' },
    't_wide 3': { ...wide, c_text: 'changed' },
    't_wide 6': { ...infinite, id: '7', c_num: 'NaN' },
    't_wide 7': { ...early, id: '8' },
  },
};

export function sourceRow(recording: Recording, table: string, offset: bigint): Shown {
  return rows[recording]![`${table} ${offset}`]!;
}

/** Of columns that are String in ClickHouse, where nothing else is known of them: as Debezium wrote them. */
export const asWritten: Record<string, Shown> = {
  't_wide 2': {
    c_date: '0044-03-15Z',
    c_ts: '0001-01-01T00:00:00Z',
    c_tstz: '9999-12-31T23:59:59.999999Z',
    c_interval: 'P0Y-1M2DT0H0M0S',
  },
  't_wide 3': {
    c_bytea: Buffer.from('00ff10').toString('hex'),
    c_date: '2026-02-28Z',
    c_timetz: '10:00:00Z',
    c_ts: '2026-02-28T12:34:56.123456Z',
    c_tstz: '2026-02-28T07:04:56.123456Z',
    c_interval: 'P1Y2M3DT4H5M6.789S',
    c_bit: 'qg==',
    c_varbit: 'BQ==',
    c_point: '{"x":1.5,"y":-2.0,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":null}',
  },
  't_wide 6': {
    c_num: 'NAN',
    c_date: '-5877611-06-21Z',
    c_ts: '+294247-01-10T04:00:25.2Z',
    c_tstz: '-infinity',
  },
  't_wide 7': {
    c_date: '-0043-03-15Z',
    c_ts: '0001-01-01T00:00:00Z',
    c_tstz: '9999-12-31T23:59:59.999999Z',
    c_interval: 'P0Y-1M2DT0H0M0S',
  },
};
