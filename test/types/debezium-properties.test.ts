import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Column, PgType, Wire } from '../../src/core/relation.ts';
import type { Encode } from '../../src/sinks/clickhouse/types/codec.ts';
import { connectColumn } from '../../src/sinks/clickhouse/types/debezium/assumed-columns.ts';
import { codecFor } from '../../src/sinks/clickhouse/types/registry.ts';
import { seed } from '../support/seed.ts';
import { named, scaled } from './debezium-golden.ts';

const options = { seed, numRuns: Number(process.env.WAL_CDC_RANDOM_VALUES ?? 300) };

function run(encode: Encode, value: string): Buffer {
  const src = Buffer.from(value);
  const out = new ByteWriter(1);
  encode(src, 0, src.length, out);
  return Buffer.from(out.written());
}

/** Text and, as RowBinary, every ClickHouse type: from the form of an envelope as from PostgreSQL's text. */
function expectSame(
  column: Column,
  kind: 'text' | 'json',
  value: string,
  text: string,
  types: string[],
): void {
  assert.equal(run(codecFor(column, 'String', 'fail').toPostgresText![kind], value).toString(), text);
  for (const type of types) {
    const codec = codecFor(column, type, 'fail');
    assert.deepEqual(run(codec[kind]!, value), run(codec.postgresText, text), `${value} into ${type}`);
  }
}

/** As Java's BigInteger.toByteArray. */
function twosComplement(value: bigint): string {
  let bytes = 1;
  while (BigInt.asIntN(bytes * 8, value) !== value) bytes++;
  const hex = BigInt.asUintN(bytes * 8, value)
    .toString(16)
    .padStart(bytes * 2, '0');
  return Buffer.from(hex, 'hex').toString('base64');
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const point = digits.length - scale;
  const text = scale > 0 ? `${digits.slice(0, point)}.${digits.slice(point)}` : digits;
  return unscaled < 0n ? `-${text}` : text;
}

/** Of every length, so that each path through them is taken. */
const unscaled = (digits: number): fc.Arbitrary<bigint> =>
  fc.integer({ min: 1, max: digits }).chain(length => {
    const bound = 10n ** BigInt(length) - 1n;
    return fc.bigInt({ min: -bound, max: bound });
  });

test(`decimals in Base64 by seed ${seed} (WAL_CDC_SEED)`, () => {
  fc.assert(
    fc.property(unscaled(76), fc.integer({ min: 0, max: 76 }), (value, scale) => {
      const text = decimalText(value, scale);
      const fitting = ['String'];
      if (value > -(10n ** 38n) && value < 10n ** 38n)
        fitting.push(`Decimal(76, ${Math.min(scale + 38, 76)})`);
      if (scale <= 76) fitting.push(`Decimal(76, ${scale})`);
      const types = fitting.filter(type => {
        const room = /, (\d+)/.exec(type);
        return !room || text.replace(/^-|\..*/g, '').length + Number(room[1]) <= 76;
      });
      expectSame(connectColumn(scaled(scale, 76), 'c'), 'text', twosComplement(value), text, types);
      const variable = connectColumn(named('data.VariableScaleDecimal', { type: 'struct' }), 'c');
      const object = JSON.stringify({ scale, value: twosComplement(value) });
      expectSame(variable, 'json', object, text, types);
    }),
    options,
  );
  fc.assert(
    fc.property(unscaled(12), value => {
      const text = decimalText(value, 2);
      const types = ['Decimal(12, 2)', 'Decimal(18, 4)', 'Decimal(38, 10)', 'String'];
      expectSame(connectColumn(scaled(2, 12), 'c'), 'text', twosComplement(value), text, types);
    }),
    options,
  );
});

test('numbers of a decimal, with exponent and without', () => {
  const column = connectColumn(scaled(2, 30), 'c');
  fc.assert(
    fc.property(unscaled(15), fc.boolean(), (value, exponential) => {
      const text = decimalText(value, 2);
      const number = exponential ? Number(text).toExponential().replace('e', 'E') : String(Number(text));
      const same = Number(text) === 0 ? '0.00' : text;
      expectSame(column, 'json', number, same, ['Decimal(30, 2)', 'String']);
    }),
    options,
  );
});

/** PostgreSQL's text of microseconds since 1970, of the years 1 to 9999. */
function timestampText(micros: bigint): string {
  const seconds = (micros - (((micros % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n;
  const fraction = String(micros - seconds * 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const date = new Date(Number(seconds) * 1000).toISOString().replace('T', ' ').slice(0, 19);
  return fraction ? `${date}.${fraction}` : date;
}

const micros = fc.oneof(
  fc.bigInt({ min: -62135596800000000n, max: 253402300799999999n }),
  fc.bigInt({ min: -2_000_000n, max: 2_000_000n }),
);

test('timestamps in every unit and as text', () => {
  const types = ["DateTime64(6, 'UTC')", "DateTime64(6, 'Asia/Tokyo')", 'String'];
  const of = (name: string) => connectColumn(named(name), 'c');
  fc.assert(
    fc.property(micros, value => {
      const text = timestampText(value);
      expectSame(of('time.MicroTimestamp'), 'json', String(value), text, types);
      const iso = `${text.replace(' ', 'T')}Z`;
      expectSame(of('time.IsoTimestamp'), 'text', iso, text, types);
      expectSame(of('time.ZonedTimestamp'), 'text', iso, `${text}+00`, types);
      if (value > -9223372036854775n && value < 9223372036854775n)
        expectSame(of('time.NanoTimestamp'), 'json', String(value * 1000n), text, types);
      const millis = value / 1000n;
      expectSame(of('time.Timestamp'), 'json', String(millis), timestampText(millis * 1000n), types);
    }),
    options,
  );
});

test('times, dates and intervals', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 86_399_999_999 }),
      fc.integer({ min: -719162, max: 2932896 }),
      (value, days) => {
        const time = timestampText(BigInt(value)).slice(11);
        const types = ['Time64(6)', 'Time64(9)', 'String'];
        expectSame(connectColumn(named('time.MicroTime'), 'c'), 'json', String(value), time, types);
        expectSame(connectColumn(named('time.NanoTime'), 'c'), 'json', `${value}000`, time, types);
        expectSame(connectColumn(named('time.IsoTime'), 'c'), 'text', `${time}Z`, time, types);
        const date = timestampText(BigInt(days) * 86_400_000_000n).slice(0, 10);
        expectSame(connectColumn(named('time.Date'), 'c'), 'json', String(days), date, ['String']);
        expectSame(connectColumn(named('time.IsoDate'), 'c'), 'text', `${date}Z`, date, ['String']);
        expectSame(connectColumn(named('time.MicroDuration'), 'c'), 'json', String(value), time, ['String']);
      },
    ),
    options,
  );
});

test('strings in JSON, escaped in any way', () => {
  const column = connectColumn({ type: 'array', items: { type: 'string' } }, 'c');
  const text = fc.string({ unit: 'binary' }).map(value => value.toWellFormed());
  const escaped = (value: string, all: boolean): string => {
    const json = JSON.stringify(value).replaceAll('/', '\\/');
    return all
      ? json.replace(/[^\x20-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
      : json;
  };
  fc.assert(
    fc.property(fc.array(text), fc.boolean(), (values, all) => {
      const codec = codecFor(column, 'Array(String)', 'fail');
      const out = new ByteWriter();
      out.writeVarUInt(values.length);
      for (const value of values) out.writeString(Buffer.from(value), 0, Buffer.byteLength(value));
      const json = `[${values.map(value => escaped(value, all)).join(all ? ' , ' : ',')}]`;
      assert.deepEqual(run(codec.json!, json), Buffer.from(out.written()));
    }),
    options,
  );
});

test('bytes in Base64 of both alphabets and in hexadecimal digits', () => {
  const bytea: PgType = { oid: 17, name: 'bytea', schema: 'pg_catalog', kind: 'base' };
  const as = (wire: Wire): Column => ({ name: 'c', type: bytea, typmod: -1, notNull: false, wire });
  fc.assert(
    fc.property(fc.uint8Array(), fc.boolean(), (values, padded) => {
      const bytes = Buffer.from(values);
      const hex = bytes.toString('hex');
      const base64 = bytes.toString('base64');
      const forms = [padded ? base64 : base64.replaceAll('=', ''), bytes.toString('base64url')];
      for (const form of forms) expectSame(as({ type: 'bytes' }), 'text', form, `\\x${hex}`, ['String']);
      const wire = { type: 'string', parameters: { 'wal-cdc.binary': 'hex' } };
      expectSame(as(wire), 'text', hex, `\\x${hex}`, ['String']);
    }),
    options,
  );
});
