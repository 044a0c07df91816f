import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { avscType, expectedAvroValue } from '../../../test/support/avro.ts';
import { decodeChange } from '../../../test/support/change-bytes.ts';
import { formatExactJson, parseExactJson } from '../../../test/support/exact-json.ts';
import { seed } from '../../../test/support/seed.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { AvroInput } from './avro-input.ts';
import { parseAvroSchema } from './avro-schema.ts';
import { AvroStruct } from './avro-struct.ts';
import { MalformedEnvelope } from './envelope.ts';

interface Sample {
  schema: unknown;
  values: fc.Arbitrary<unknown>;
}

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const leaves: Sample[] = [
  { schema: 'boolean', values: fc.boolean() },
  { schema: 'int', values: fc.integer() },
  {
    schema: 'long',
    values: fc.oneof(
      fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      fc.bigInt(-100n, 100n),
      fc.constantFrom(2n ** 53n, -(2n ** 53n), 2n ** 52n),
    ),
  },
  {
    schema: { type: 'long', 'connect.name': 'io.debezium.time.MicroTimestamp' },
    values: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  },
  { schema: 'double', values: fc.double() },
  { schema: 'string', values: text },
  {
    schema: { type: 'bytes', 'connect.name': 'org.apache.kafka.connect.data.Decimal' },
    values: fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes)),
  },
];

let names = 0;
/** Schemas with values that fit; each named type has a name of its own. */
const sample: fc.Arbitrary<Sample> = fc.letrec<{ sample: Sample }>(tie => ({
  sample: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...leaves),
    fc.integer({ min: 1, max: 9 }).map(size => ({
      schema: { type: 'fixed', name: `F${names++}`, size },
      values: fc.uint8Array({ minLength: size, maxLength: size }).map(bytes => Buffer.from(bytes)),
    })),
    fc.uniqueArray(fc.constantFrom('A', 'B', 'C', 'D'), { minLength: 1 }).map(symbols => ({
      schema: { type: 'enum', name: `E${names++}`, symbols },
      values: fc.constantFrom(...symbols),
    })),
    tie('sample').map(({ schema, values }) => ({
      schema: { type: 'array', items: schema },
      values: fc.array(values, { maxLength: 4 }),
    })),
    tie('sample').map(({ schema, values }) => ({
      schema: { type: 'map', values: schema },
      values: fc.dictionary(
        text.filter(key => key !== '__proto__' && !/^\d+$/.test(key)),
        values,
        { maxKeys: 4, noNullPrototype: true },
      ),
    })),
    fc.array(tie('sample'), { minLength: 1, maxLength: 4 }).map(parts => ({
      schema: {
        type: 'record',
        name: `R${names++}`,
        fields: parts.map(({ schema }, i) => ({ name: `f${i}`, type: schema })),
      },
      values: fc.record(Object.fromEntries(parts.map(({ values }, i) => [`f${i}`, values]))),
    })),
    fc.tuple(tie('sample'), fc.boolean()).map(([part, nullFirst]) => nullable(part, nullFirst)),
  ),
})).sample;

function nullable({ schema, values }: Sample, nullFirst: boolean): Sample {
  if (Array.isArray(schema)) return { schema, values };
  const { name, type } = schema as { name?: string; type?: string };
  const branch = name ?? type ?? (schema as string);
  return {
    schema: nullFirst ? ['null', schema] : [schema, 'null'],
    values: fc.option(values.map(value => ({ [branch]: value }))),
  };
}

const rows = fc.array(sample, { minLength: 1, maxLength: 5 }).chain(parts =>
  fc.record({
    schema: fc.constant({
      type: 'record',
      name: `Row${names++}`,
      fields: parts.map(({ schema }, i) => ({ name: `c${i}`, type: schema })),
    }),
    row: fc.record(Object.fromEntries(parts.map(({ values }, i) => [`c${i}`, values]))),
  }),
);

function writeRow(struct: AvroStruct): { kind: string; text?: string }[] {
  const out = new ByteWriter();
  out.writeBytes(Buffer.of(0x4e, 0, struct.names.length), 0, 3);
  struct.names.forEach((_, i) => {
    struct.write(i, out);
  });
  return decodeChange(out.written())[0]!.values;
}

test(`Avro values of any schema are written as avsc reads them, by seed ${seed} (WAL_CDC_SEED)`, () => {
  fc.assert(
    fc.property(rows, fc.infiniteStream(fc.nat()), ({ schema, row }, random) => {
      const bytes = avscType(schema).toBuffer(row);
      const input = new AvroInput();
      const struct = new AvroStruct(parseAvroSchema(JSON.stringify(schema)), input);
      input.open(bytes, 0);
      struct.locate();
      assert.equal(input.pos, bytes.length);
      const decoded = avscType(schema).fromBuffer(bytes);
      const expected = schema.fields.map(({ name, type }) => expectedAvroValue(decoded[name], type));
      const actual = writeRow(struct).map(
        ({ kind, text }) => kind + (kind === 'j' ? formatExactJson(parseExactJson(text!)) : (text ?? '')),
      );
      assert.deepEqual(
        actual,
        expected.map(value =>
          value[0] === 'j' ? `j${formatExactJson(parseExactJson(value.slice(1)))}` : value,
        ),
      );
      // What is damaged is malformed or something else, and nothing worse.
      for (const nth of [0, 1, 2, 3]) {
        const damaged = Buffer.from(bytes.subarray(0, nth === 0 ? bytes.length - 1 : bytes.length));
        const at = random.next().value;
        if (damaged.length > 0 && nth > 0) damaged[at % damaged.length] = at >>> 8;
        try {
          input.open(damaged, 0);
          struct.locate();
          writeRow(struct);
        } catch (error) {
          assert.ok(error instanceof MalformedEnvelope, String(error));
        }
      }
    }),
    { seed, numRuns: 500 },
  );
});

test('floats of 32 bits have as many digits as they need', () => {
  const schema = { type: 'record', name: 'R', fields: [{ name: 'f', type: 'float' }] };
  const input = new AvroInput();
  const struct = new AvroStruct(parseAvroSchema(JSON.stringify(schema)), input);
  const bytes = Buffer.alloc(4);
  for (const [value, expected] of [
    [0.1, '0.1'],
    [1.5, '1.5'],
    [16777216, '16777216'],
    [1e30, '1e+30'],
    [1e-45, '1e-45'],
    [-0, '-0.0'],
    [3.4028234663852886e38, '3.4028235e+38'],
  ] as const) {
    bytes.writeFloatLE(value);
    input.open(bytes, 0);
    struct.locate();
    assert.deepEqual(writeRow(struct), [{ kind: 'j', text: expected }]);
  }
  for (const value of [Number.NaN, Infinity, -Infinity]) {
    bytes.writeFloatLE(value);
    input.open(bytes, 0);
    struct.locate();
    assert.deepEqual(writeRow(struct), [{ kind: 't', text: String(value) }]);
  }
});

test('floats that JSON has no number for are text within arrays', () => {
  const schema = {
    type: 'record',
    name: 'R',
    fields: [{ name: 'f', type: { type: 'array', items: 'double' } }],
  };
  const input = new AvroInput();
  const struct = new AvroStruct(parseAvroSchema(JSON.stringify(schema)), input);
  input.open(avscType(schema).toBuffer({ f: [Number.NaN, -0, 1e21, -Infinity] }), 0);
  struct.locate();
  assert.deepEqual(writeRow(struct), [{ kind: 'j', text: '["NaN",-0.0,1e+21,"-Infinity"]' }]);
});

test('arrays in blocks with sizes, and records that contain themselves', () => {
  const schema = {
    type: 'record',
    name: 'List',
    fields: [
      { name: 'items', type: { type: 'array', items: 'int' } },
      { name: 'next', type: ['null', 'List'] },
    ],
  };
  const input = new AvroInput();
  const struct = new AvroStruct(parseAvroSchema(JSON.stringify(schema)), input);
  // Two items in a block with its size, one in a block without; another list; its end.
  input.open(Buffer.of(3, 4, 2, 4, 2, 6, 0, 2, 0, 0), 0);
  struct.locate();
  assert.deepEqual(writeRow(struct), [
    { kind: 'j', text: '[1,2,3]' },
    { kind: 'j', text: '{"items":[],"next":null}' },
  ]);
  input.open(Buffer.alloc(10_000, Buffer.of(0, 2)), 0);
  assert.throws(() => struct.locate(), /nested deeper than 1000/);
  input.open(Buffer.of(0xfe, 0xff, 0xff, 0xff, 0x0f, 0), 0);
  assert.throws(() => struct.locate(), /ends in the middle/);
});

test('names are found in their namespace', () => {
  const type = parseAvroSchema(
    JSON.stringify({
      type: 'record',
      name: 'a.b.Outer',
      fields: [
        { name: 'x', type: { type: 'fixed', name: 'Inner', size: 2 } },
        { name: 'y', type: 'Inner' },
        { name: 'z', type: ['null', 'a.b.Inner'] },
        { name: 'w', type: { type: 'enum', name: 'Mood', namespace: 'c', symbols: ['OK'] } },
        { name: 'v', type: 'c.Mood' },
      ],
    }),
  );
  assert.deepEqual(
    type.fields.wires.map(({ type, optional }) => `${type} ${optional}`),
    ['bytes false', 'bytes false', 'bytes true', 'string false', 'string false'],
  );
});

test('logical types that do not come from Connect get the semantic types of Debezium', () => {
  const logical = (type: string, logicalType: string, more: object = {}) => ({ type, logicalType, ...more });
  const types = [
    logical('int', 'date'),
    logical('long', 'timestamp-micros'),
    logical('long', 'timestamp-millis'),
    logical('bytes', 'decimal', { precision: 5, scale: 2 }),
    logical('string', 'uuid'),
    { type: 'int', 'connect.type': 'int16' },
  ];
  const { fields } = parseAvroSchema(
    JSON.stringify({ type: 'record', name: 'R', fields: types.map((type, i) => ({ name: `f${i}`, type })) }),
  );
  assert.deepEqual(fields.wires, [
    { type: 'int32', name: 'io.debezium.time.Date', optional: false },
    { type: 'int64', name: 'io.debezium.time.MicroTimestamp', optional: false },
    { type: 'int64', name: 'io.debezium.time.Timestamp', optional: false },
    {
      type: 'bytes',
      name: 'org.apache.kafka.connect.data.Decimal',
      parameters: { scale: '2' },
      optional: false,
    },
    { type: 'string', name: 'io.debezium.data.Uuid', optional: false },
    { type: 'int16', optional: false },
  ]);
});
