import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type pg from 'pg';
import type { PgType } from '../../src/core/relation.ts';
import { startCdcReplication } from '../support/kafka/cdc-replication.ts';
import { withoutKafka } from '../support/kafka/java.ts';
import { createMarksSql, Marks } from '../support/kafka/marks.ts';
import { freshDatabase } from '../support/postgres.ts';
import { arrayCases, type TypeCase, typeCases } from '../types/cases.ts';
import { caseLosses, fatalValues, type Loss, losses, missingColumns } from '../types/debezium-losses.ts';
import { pinnedSettings } from '../types/postgres-values.ts';

interface TypedColumn {
  name: string;
  /** In SQL. */
  type: string;
  inputs: readonly string[];
  /** SQL of a value with `$` for the input text. */
  convert: string;
  losses: readonly Pick<Loss, 'was' | 'is' | 'phase'>[];
  /** Whether it is an array of which ClickHouse's arrays do not hold everything; they cannot be NULL instead. */
  isTextOnly: boolean;
}

/** Floats have thousands of values, which `test/types` tries. */
const mostValues = 40;
const cases: readonly TypeCase[] = [
  ...typeCases,
  ...arrayCases,
  { type: 'hstore', setup: 'CREATE EXTENSION hstore', values: ['', 'a=>1, b=>NULL', '"=>"=>"\\"", ""=>""'] },
  ...['name[]', 'xml[]', 'varbit[]', 'point[]'].map(type => ({ type, values: ['{}'] })),
];

/** What is added to the id of a value that the connector's snapshot has, for the ones that are inserted and updated later. */
const inserted = 1000;
const updated = 2000;

test('values of every type come through Debezium, but for those that it changes', {
  skip: withoutKafka,
}, async () => {
  await using db = await freshDatabase();
  const { client } = db;
  await client.query(`${pinnedSettings}; ${createMarksSql}; CREATE EXTENSION isn`);
  for (const { setup } of cases) if (setup) await client.query(setup);
  const columns = [...caseColumns(), ...(await recordedColumns(client))];
  await fill(client, 'exact', columns);
  await client.query(
    'CREATE TABLE fitted (LIKE exact INCLUDING ALL); INSERT INTO fitted SELECT * FROM exact',
  );
  const options = columns.flatMap(({ name, isTextOnly }) => [
    [`public.exact.${name}`, { type: 'String', onInvalid: 'null' }],
    [`public.fitted.${name}`, { ...(isTextOnly ? { type: 'String' } : {}), onInvalid: 'null' }],
  ]);
  const settings = { columns: JSON.stringify(Object.fromEntries(options)) };
  await using replication = await startCdcReplication(db, { settings });
  const names = columns.map(({ name }) => name).join(', ');
  for (const table of ['exact', 'fitted']) {
    await client.query(`INSERT INTO ${table} SELECT id + ${inserted}, ${names} FROM ${table}`);
    await client.query(
      `INSERT INTO ${table} (id) SELECT id + ${updated} FROM ${table} WHERE id < ${inserted}`,
    );
    await client.query(
      `UPDATE ${table} t SET (${names}) = (SELECT ${names} FROM ${table} s WHERE s.id = t.id - ${updated}) WHERE id > ${updated}`,
    );
  }
  await new Marks(replication).pass(client, 'the connector');

  const result = await replication.verify();
  assert.deepEqual(result.stopped, []);
  const differing = (table: string): Map<string, string> => {
    const found = result.tables.find(({ name }) => name === table)!;
    assert.equal(found.error, undefined);
    assert.equal(found.differing.length, found.differingCount, 'all are named');
    assert.equal(found.rows, 3 * rowCount(columns));
    const cells = found.differing.flatMap(({ key, kind, columns }) => {
      assert.equal(kind, 'different');
      return columns!.map(
        cell => [`${key.id} ${cell.name}`, change(cell.postgres, cell.clickhouse)] as const,
      );
    });
    return new Map(cells);
  };
  const exact = differing('exact');
  assert.deepEqual(exact, await expectedChanges(client, columns));
  // Types other than String may be narrower than what was lost.
  const unexpected = [...differing('fitted')].filter(([cell]) => !exact.has(cell));
  assert.deepEqual(unexpected, []);
});

const change = (was: string | null, is: string | null) => `${was} became ${is}`;
const rowCount = (columns: readonly TypedColumn[]) => Math.max(...columns.map(({ inputs }) => inputs.length));

/** By `ID COLUMN` of table `exact`. */
async function expectedChanges(
  client: pg.Client,
  columns: readonly TypedColumn[],
): Promise<Map<string, string>> {
  const { rows } = await client.query<(string | null)[]>({
    text: `SELECT id, ${columns.map(({ name }) => name).join(', ')} FROM exact ORDER BY id`,
    rowMode: 'array',
    types: { getTypeParser: () => (value: string) => value },
  });
  const changes = new Map<string, string>();
  for (const [id, ...values] of rows) {
    const phase = Number(id) < inserted ? 'snapshot' : 'stream';
    for (const [i, { name, losses }] of columns.entries()) {
      const text = values[i]!;
      if (text === null) continue;
      const loss = losses.find(
        ({ was, phase: only }) => (was === text || was === 'any') && (only === undefined || only === phase),
      );
      if (loss) changes.set(`${id} ${name}`, change(text, loss.is === 'refused' ? null : loss.is));
    }
  }
  return changes;
}

function caseColumns(): TypedColumn[] {
  return cases.map(({ type, values, onlyAs, convert = `$::${type}` }, i) => ({
    name: `k${i}`,
    type,
    inputs: values.filter(value => !fatalValues[type]?.includes(value)).slice(0, mostValues),
    convert,
    losses: caseLosses[type] ?? [],
    isTextOnly: onlyAs !== undefined,
  }));
}

/** Those of `test/fixtures/values`. */
async function recordedColumns(client: pg.Client): Promise<TypedColumn[]> {
  const file = readFileSync(join(import.meta.dirname, '../fixtures/values/table.jsonl'), 'utf8');
  const lines = file
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line)) as {
    name: string;
    type: PgType;
    typmod: number;
    values: string[];
  }[];
  const columns: TypedColumn[] = [];
  for (const { name, type, typmod, values } of lines) {
    const { rows } = await client.query<{ type: string }>('SELECT format_type($1, $2) AS type', [
      type.oid,
      typmod,
    ]);
    // OIDs of types that are not PostgreSQL's own are those of another database.
    const ofHere = type.kind === 'array' ? `${type.inner!.name}[]` : type.name;
    const sqlType = type.schema === 'pg_catalog' ? rows[0]!.type : ofHere;
    const own = losses.filter(
      loss =>
        loss.columns.includes(name) &&
        (loss.modes === 'all' || loss.modes.includes('isostring')) &&
        loss.unless === undefined,
    );
    columns.push({
      name,
      type: sqlType,
      inputs: values,
      convert: `$::${sqlType}`,
      losses: missingColumns.includes(name) ? [{ was: 'any', is: null }] : own,
      isTextOnly: type.kind === 'array' && values.some(value => /infinity|^\{\{|^\[/.test(value)),
    });
  }
  return columns;
}

/** A row for each number of a value; columns with fewer of them have NULL. */
async function fill(client: pg.Client, table: string, columns: readonly TypedColumn[]): Promise<void> {
  await client.query(
    `CREATE TABLE ${table} (id int PRIMARY KEY, ${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`,
  );
  const values = columns.map(({ convert }, i) => convert.replaceAll('$', `(x${i})`));
  const inputs = columns.map((_, i) => `$${i + 1}::text[]`);
  await client.query(
    `INSERT INTO ${table} SELECT i, ${values.join(', ')}
       FROM unnest(${inputs.join(', ')}) WITH ORDINALITY AS u(${columns.map((_, i) => `x${i}`).join(', ')}, i)`,
    columns.map(({ inputs }) => inputs),
  );
}
