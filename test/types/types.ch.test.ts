import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Column } from '../../src/core/relation.ts';
import { type Codec, InvalidValue } from '../../src/sinks/clickhouse/types/codec.ts';
import {
  codecFor,
  decodesBinary,
  defaultType,
  fullType,
  limitsOf,
} from '../../src/sinks/clickhouse/types/registry.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { freshDatabase, type TestDatabase } from '../support/postgres.ts';
import { seed } from '../support/seed.ts';
import { arrayCases, type TypeCase, typeCases } from './cases.ts';
import { type PostgresValue, pinnedSettings, storeValues } from './postgres-values.ts';

const randomValues = Number(process.env.WAL_CDC_RANDOM_VALUES ?? 300);

/**
 * Every value as PostgreSQL's text and as its binary form becomes the same RowBinary, or the same refusal; what is
 * refused is what `limitsOf` says; and ClickHouse shows what PostgreSQL's text says.
 */
test(`values of every type by seed ${seed} (WAL_CDC_SEED)`, async t => {
  await using db = await freshDatabase();
  await db.client.query(pinnedSettings);
  await query('CREATE DATABASE types');
  for (const [index, typeCase] of [...typeCases, ...arrayCases].entries())
    await t.test([typeCase.type, typeCase.ids].filter(Boolean).join(' '), () =>
      checkType(db, `t${index}`, typeCase),
    );
});

/** `value` read back from a column of type `type`. */
async function insertOne(type: string, value: Buffer): Promise<string> {
  await query(`CREATE OR REPLACE TABLE one (v ${type}) ENGINE = Memory`);
  await query('INSERT INTO one SETTINGS input_format_binary_read_json_as_string = 1 FORMAT RowBinary', value);
  return (await query('SELECT toJSONString(v) FROM one FORMAT TSVRaw')).trim();
}

test('hstore becomes a Map T43', async () => {
  await using db = await freshDatabase();
  await db.client.query(`${pinnedSettings}; CREATE EXTENSION hstore`);
  const word = fc.string({ unit: 'grapheme', maxLength: 8 }).map(text => text.replaceAll('\0', ''));
  const random = fc.dictionary(word, fc.option(word), { maxKeys: 5 });
  const maps = [
    {},
    { a: null, b: 'NULL', '"': '\\', '=>': ', ', '': '' },
    ...fc.sample(random, { numRuns: 60, seed }),
  ];
  const literal = (map: Record<string, string | null>): string =>
    Object.entries(map)
      .map(entry =>
        entry.map(text => (text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`)).join('=>'),
      )
      .join(',');
  const { column, values } = await storeValues(db.client, 'maps', 'hstore', maps.map(literal));
  const asMap = codecFor(column, defaultType(column, { time64: true }), 'fail');
  const asText = codecFor(column, 'String', 'fail');
  for (const [i, value] of values.entries()) {
    const found = await insertOne(asMap.type, encodeBoth(asMap, value) as Buffer);
    assert.deepEqual(JSON.parse(found), { ...maps[i] });
    encodeBoth(asText, value);
  }
});

test('JSON takes what the JSON type of ClickHouse takes T32 T33', async () => {
  const jsonb: Column = {
    name: 'v',
    type: { oid: 3802, name: 'jsonb', schema: 'pg_catalog', kind: 'base' },
    typmod: -1,
    notNull: true,
  };
  const codec = codecFor(jsonb, 'JSON', 'fail');
  const asString = codecFor(jsonb, 'String', 'fail');
  for (const text of jsonTexts) {
    const result = encode(codec, 'text', Buffer.from(text));
    // A String has the same form: what the codec refuses, ClickHouse must refuse as well.
    const inserted = insertOne('JSON', encode(asString, 'text', Buffer.from(text)) as Buffer);
    if (result instanceof InvalidValue) await assert.rejects(inserted, /Code: 117|INCORRECT_DATA/, text);
    else await inserted;
  }
  assert.ok(encode(codec, 'text', Buffer.from('null')) instanceof InvalidValue, 'ClickHouse would store {}');
  assert.equal(await insertOne('Nullable(JSON)', Buffer.from([1])), '\\N');
});

const jsonTexts = [
  '{}',
  ' {"x" : [1, [2, "]"], {"y": null}] } ',
  '{"a":null}',
  '{"a":{},"b":{"c":{}}}',
  '{"a":1,"a":{"b":2}}',
  '{"":{"a":1},"a":1}',
  '{"a":18446744073709551615,"b":-9223372036854775808}',
  '{"a":"\\u0000\\"{"}',
  '{"a":1.10,"b":1e300,"c":123456789012345678901234567890.5}',
  '[1]',
  '"s"',
  '123',
  '{"a":1,"a":2}',
  '{"a.b":1,"a":{"b":2}}',
  '{"a":[{"x":1,"x":2}]}',
  '{"a":18446744073709551616}',
  '{"a":[-9223372036854775809]}',
  '{"a":1e400}',
  '{"a":"\\ud800"}',
  '{"\\udc00":1}',
];

async function checkType(db: TestDatabase, table: string, typeCase: TypeCase): Promise<void> {
  if (typeCase.setup) await db.client.query(typeCase.setup);
  const inputs = [...typeCase.values];
  if (typeCase.random) inputs.push(...fc.sample(typeCase.random, { numRuns: randomValues, seed }));
  const { column, values } = await storeValues(db.client, table, typeCase.type, inputs, typeCase.convert);
  assert.equal(decodesBinary(column.type), typeCase.binary !== false);
  const defaults = defaultType(column, { time64: true });
  for (const target of typeCase.onlyAs ?? new Set([defaults, 'String', ...(typeCase.alsoAs ?? [])])) {
    const codec = codecFor(column, target, 'fail');
    const results = values.map(value => encodeBoth(codec, value));
    const fits = await fittingValues(db, table, column, target);
    for (const [i, result] of results.entries())
      assert.equal(
        result instanceof InvalidValue,
        !fits[i],
        `${target} ${fits[i] ? 'holds' : 'does not hold'} ${values[i]!.text}: ${result}`,
      );
    await checkInClickHouse(`types.${table}`, typeCase, codec, values, results);
    await query(`DROP TABLE types.${table}`);
  }
}

/** The RowBinary that both forms give, or the refusal. */
function encodeBoth(codec: Codec, value: PostgresValue): Buffer | InvalidValue {
  const fromText = encode(codec, 'text', value.text);
  if (codec.binary)
    assert.deepEqual(encode(codec, 'binary', value.binary), fromText, `${codec.type}: ${value.text}`);
  return fromText;
}

function encode(codec: Codec, form: 'text' | 'binary', bytes: Buffer): Buffer | InvalidValue {
  const out = new ByteWriter(16);
  // Inside other bytes, so that a look beyond the value shows.
  const src = Buffer.concat([Buffer.from('1\\"'), bytes, Buffer.from('1,\\"')]);
  try {
    codec[form]!(src, 3, 3 + bytes.length, out);
  } catch (error) {
    if (error instanceof InvalidValue) return error;
    throw error;
  }
  assert.equal(codec.skip(out.written(), 0), out.pos, 'skip leads behind the value');
  return Buffer.from(out.written());
}

/** What PostgreSQL finds within the limits, value by value. */
async function fittingValues(
  db: TestDatabase,
  table: string,
  column: Column,
  target: string,
): Promise<readonly boolean[]> {
  const limits = limitsOf(column, target);
  const type = column.type.name;
  const conditions = ['true'];
  if (limits?.min) conditions.push(`v >= ${limits.min}`);
  if (limits?.max) conditions.push(`v <= ${limits.max}`);
  if (limits?.rejectsNaN) conditions.push(`v <> 'NaN'`);
  if (limits?.rejectsInfinity) conditions.push(`v NOT IN ('infinity', '-infinity')`);
  if (limits?.scale !== undefined)
    conditions.push(type === 'numeric' ? `v = round(v, ${limits.scale})` : `v = v::${type}(${limits.scale})`);
  const { rows } = await db.client.query(
    `SELECT ${conditions.join(' AND ')} AS fits FROM ${table} ORDER BY id`,
  );
  return rows.map(row => row.fits);
}

async function checkInClickHouse(
  table: string,
  typeCase: TypeCase,
  codec: Codec,
  values: readonly PostgresValue[],
  results: readonly (Buffer | InvalidValue)[],
): Promise<void> {
  const columnType = fullType(codec.type, codec.canBeNullable, true);
  await query(`CREATE TABLE ${table} (id Int32, v ${columnType}) ENGINE = Memory`);
  const rows = new ByteWriter();
  const writeRow = (id: number, write: () => void): void => {
    rows.writeBytes(Buffer.from(Int32Array.of(id).buffer), 0, 4);
    if (codec.canBeNullable) rows.writeByte(0);
    write();
  };
  results.forEach((result, id) => {
    if (result instanceof Buffer) writeRow(id, () => rows.writeBytes(result, 0, result.length));
  });
  writeRow(-1, () => codec.writeDefault(rows));
  await query(`INSERT INTO ${table} FORMAT RowBinary`, rows.written());

  const isText = codec.type === 'String' || codec.type === 'LowCardinality(String)';
  const isArray = codec.type.startsWith('Array');
  const { read = () => 'toString(v)', shows = (text: string) => text } = typeCase;
  const scalar = isText && typeCase.type !== 'bytea' ? 'v' : read(codec.type);
  const answer = await query(
    `SELECT id, ${isArray ? `arrayMap(v -> ${scalar}, v)` : scalar} FROM ${table} WHERE id >= 0 ORDER BY id
     FORMAT JSONCompactEachRow`,
  );
  const found = answer
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as [number, unknown]);
  const expected = values.flatMap((value, id): [number, unknown][] => {
    if (results[id] instanceof InvalidValue) return [];
    if (isArray) return [[id, value.elements!.map(element => element && shows(element, codec.type))]];
    return [[id, isText ? value.text.toString() : shows(value.text.toString(), codec.type)]];
  });
  assert.deepEqual(found, expected);
}

async function query(sql: string, body?: Uint8Array): Promise<string> {
  const { origin, username, password } = new URL((await sharedClickHouse()).url);
  const response = await fetch(`${origin}/?query=${encodeURIComponent(sql)}`, {
    method: 'POST',
    headers: { 'X-ClickHouse-User': username, 'X-ClickHouse-Key': decodeURIComponent(password) },
    body: body ? new Uint8Array(body) : null,
  });
  const text = await response.text();
  assert.ok(response.ok, `${sql.slice(0, 200)}: ${text}`);
  return text;
}
