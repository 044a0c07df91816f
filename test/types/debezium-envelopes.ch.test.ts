import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Op, RowGroup, Transactions } from '../../src/core/batch.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Column, PgType, Wire } from '../../src/core/relation.ts';
import { Marker } from '../../src/core/tuple.ts';
import { walVersions } from '../../src/core/version.ts';
import { RowEncoder } from '../../src/sinks/clickhouse/row-encoder.ts';
import {
  columnFromClickHouse,
  connectColumn,
} from '../../src/sinks/clickhouse/types/debezium/assumed-columns.ts';
import {
  type ConnectorModes,
  withConnectorModes,
} from '../../src/sinks/clickhouse/types/debezium/connector-modes.ts';
import { codecFor, defaultType, fullType, splitNullable } from '../../src/sinks/clickhouse/types/registry.ts';
import { type Recording, readEnvelopes } from '../fixtures/envelopes.ts';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { envelopeValue, parseExactly, writeTuple } from '../support/envelope-values.ts';
import { asWritten, type Shown, sourceRow } from './recorded-rows.ts';

const builtIn = (name: string): PgType => ({ oid: 20, name, schema: 'pg_catalog', kind: 'base' });
const mood: PgType = { oid: 20000, name: 'mood', schema: 'public', kind: 'enum' };
const arrayOf = (inner: PgType): PgType => ({
  oid: 1000,
  name: `_${inner.name}`,
  schema: inner.schema,
  kind: 'array',
  inner,
});
const numeric = (precision: number, scale: number): number => ((precision << 16) | scale) + 4;

/** What PostgreSQL's catalog says of the recorded tables. */
function catalogType(table: string, column: string): { type: PgType; typmod: number } {
  const [name, typmod = -1] = ({ ...(tables[table] ?? {}) } as Record<string, [string, number?]>)[column] ?? [
    'text',
  ];
  const type =
    name === 'mood'
      ? mood
      : name === 'mood[]'
        ? arrayOf(mood)
        : name.endsWith('[]')
          ? arrayOf(builtIn(name.slice(0, -2)))
          : builtIn(name);
  return { type, typmod };
}

const tables: Record<string, Record<string, [type: string, typmod?: number]>> = {
  t_basic: { id: ['int4'], qty: ['int4'], price: ['numeric', numeric(12, 2)], updated_at: ['timestamptz'] },
  t_cpk: { tenant: ['int4'], id: ['int4'] },
  t_full: { id: ['int4'] },
  t_nopk: { a: ['int4'] },
  t_toast: { id: ['int4'] },
  t_wide: {
    id: ['int8'],
    c_bool: ['bool'],
    c_i2: ['int2'],
    c_i4: ['int4'],
    c_i8: ['int8'],
    c_f4: ['float4'],
    c_f8: ['float8'],
    c_num: ['numeric'],
    c_num_ps: ['numeric', numeric(38, 10)],
    c_num_122: ['numeric', numeric(12, 2)],
    c_money: ['money'],
    c_char: ['bpchar', 9],
    c_bytea: ['bytea'],
    c_json: ['json'],
    c_jsonb: ['jsonb'],
    c_uuid: ['uuid'],
    c_date: ['date'],
    c_time: ['time'],
    c_timetz: ['timetz'],
    c_ts: ['timestamp'],
    c_ts3: ['timestamp', 3],
    c_tstz: ['timestamptz'],
    c_interval: ['interval'],
    c_inet: ['inet'],
    c_cidr: ['cidr'],
    c_macaddr: ['macaddr'],
    c_bit: ['bit', 8],
    c_varbit: ['varbit'],
    c_xml: ['xml'],
    c_point: ['point'],
    c_enum: ['mood'],
    c_int_arr: ['int4[]'],
    c_text_arr: ['text[]'],
    c_num_arr: ['numeric[]', numeric(10, 2)],
    c_uuid_arr: ['uuid[]'],
    c_tstz_arr: ['timestamptz[]'],
    c_enum_arr: ['mood[]'],
    c_jsonb_arr: ['jsonb[]'],
    c_int2d: ['int4[]'],
    c_int4range: ['int4range'],
    c_tstzrange: ['tstzrange'],
    c_oid: ['oid'],
    c_tsvector: ['tsvector'],
  },
};

/** Infinite and BC: String holds them. */
const asString = new Set(['c_date', 'c_ts', 'c_tstz']);

const defaults: ConnectorModes = {
  decimals: 'precise',
  times: 'adaptive',
  binary: 'bytes',
  intervals: 'numeric',
};
const strings: ConnectorModes = {
  decimals: 'string',
  times: 'isostring',
  binary: 'hex',
  intervals: 'string',
};

type ColumnOf = (table: string, name: string, wire: Wire) => Column;

const fromCatalog =
  (modes: ConnectorModes): ColumnOf =>
  (table, name, wire) =>
    withConnectorModes({ name, ...catalogType(table, name), notNull: name === 'id', wire }, modes);

const cases: [what: string, recording: Recording, columnOf: ColumnOf][] = [
  ['without schemas, at the defaults', 'schemas-off', fromCatalog(defaults)],
  ['without schemas, as text', 'schemas-off-decimal-string-isostring-txmeta', fromCatalog(strings)],
  ['with schemas and the catalog', 'schemas-on', fromCatalog(defaults)],
  [
    'with schemas alone',
    'schemas-on',
    (_table, name, wire) => withConnectorModes(connectColumn(wire, name), defaults),
  ],
];

for (const [what, recording, columnOf] of cases)
  test(`recorded rows ${what}`, () => checkRecording(recording, columnOf));

test('recorded rows as text, without schemas and catalog', () =>
  checkRecording(
    'schemas-off-decimal-string-isostring-txmeta',
    (table, name, wire) => {
      const { type, typmod } = catalogType(table, name);
      // As a table that mode wal made; what it has as String comes as it is.
      const clickHouse = targetType({ name, type, typmod, notNull: name === 'id', wire });
      return columnFromClickHouse(name, clickHouse, strings);
    },
    asWritten,
  ));

async function checkRecording(
  recording: Recording,
  columnOf: ColumnOf,
  written: Record<string, Shown> = {},
): Promise<void> {
  for (const row of readRows(recording)) {
    const columns = [...row.fields].map(([name, { wire }]) => columnOf(row.table, name, wire));
    const found = await roundTrip(columns, row);
    const expected = {
      ...sourceRow(recording, row.table, row.offset),
      ...written[`${row.table} ${row.offset}`],
    };
    for (const [name, value] of Object.entries(found))
      assert.equal(
        value,
        expected[name] ?? null,
        `${recording} ${row.table} ${row.offset}, column "${name}"`,
      );
  }
}

interface Envelope {
  op: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  source: { table: string };
}

interface Schema {
  fields: (Wire & { field: string; fields?: (Wire & { field: string })[] })[];
}

interface RecordedRow {
  table: string;
  op: string;
  offset: bigint;
  fields: Map<string, { wire: Wire; value: unknown }>;
}

function readRows(recording: Recording): RecordedRow[] {
  return readEnvelopes(recording).flatMap(({ value, offset }): RecordedRow[] => {
    if (value === null || value.includes('__debezium_unavailable_value')) return [];
    const message = parseExactly(value.toString()) as Envelope & { payload?: Envelope; schema?: Schema };
    const { op, before, after, source } = message.payload ?? message;
    if (!['r', 'c', 'u', 'd'].includes(op)) return [];
    const wires = message.schema?.fields.find(({ field }) => field === 'after')?.fields ?? [];
    const fields = Object.entries(after ?? before ?? {}).map(
      ([name, value]) => [name, { wire: wires.find(({ field }) => field === name) ?? {}, value }] as const,
    );
    return [{ table: source.table, op, offset, fields: new Map(fields) }];
  });
}

function targetType(column: Column): string {
  const type = asString.has(column.name) ? 'String' : defaultType(column, { time64: true });
  return fullType(type, codecFor(column, type, 'fail').canBeNullable, !column.notNull);
}

async function roundTrip(columns: Column[], row: RecordedRow): Promise<Shown> {
  const types = columns.map(targetType);
  const relation = { id: 1, schema: 'public', name: row.table, replicaIdentity: 'd' as const, columns };
  const encoder = new RowEncoder(
    relation,
    columns.map((column, i) => ({
      name: column.name,
      codec: codecFor(column, types[i]!, 'fail'),
      nullable: splitNullable(types[i]!).nullable,
      key: false,
      nullIfInvalid: false,
      nullFlag: false,
    })),
    {
      epoch: 0,
      versions: walVersions,
      remedy: '',
      metaColumns: ['_version', '_is_deleted', '_committed_at'],
      key: [],
    },
  );
  const data = new ByteWriter();
  const marker = row.op === 'd' ? Marker.old : Marker.new;
  writeTuple(
    data,
    marker,
    [...row.fields.values()].map(({ value }) => envelopeValue(value)),
  );
  const group = new RowGroup(relation);
  group.add(0, data.pos, row.op === 'd' ? Op.delete : Op.insert, 0, 0, 8, 0);
  const transactions = new Transactions();
  transactions.add(0, 16, 0);
  const out = new ByteWriter();
  encoder.encodeChange(data.buf, group, 0, transactions, out);
  const names = columns.map(({ name }) => `\`${name}\``);
  const definitions = names.map((name, i) => `${name} ${types[i]}`).join(', ');
  await query(
    `CREATE OR REPLACE TABLE recorded (${definitions}, _version UInt128, _is_deleted UInt8, _committed_at DateTime64(6, 'UTC'))
     ENGINE = Memory`,
  );
  await query(`INSERT INTO recorded (${encoder.insertColumns}) FORMAT RowBinary`, out.written());
  const shown = names.map((name, i) =>
    columns[i]!.name === 'c_bytea' ? `hex(${name})` : `toString(${name})`,
  );
  const answer = await query(
    `SELECT ${shown.map((sql, i) => `${sql} AS ${names[i]}`).join(', ')}, _is_deleted FROM recorded FORMAT JSONEachRow`,
  );
  const { _is_deleted: deleted, ...found } = JSON.parse(answer);
  assert.equal(deleted, row.op === 'd' ? 1 : 0);
  return found;
}

async function query(sql: string, body?: Uint8Array): Promise<string> {
  const { origin, username, password } = new URL((await sharedClickHouse()).url);
  const response = await fetch(`${origin}/?query=${encodeURIComponent(sql)}`, {
    method: 'POST',
    headers: { 'X-ClickHouse-User': username, 'X-ClickHouse-Key': decodeURIComponent(password) },
    body: body ? new Uint8Array(body) : null,
  });
  const text = await response.text();
  assert.ok(response.ok, `${sql.slice(0, 300)}: ${text}`);
  return text;
}
