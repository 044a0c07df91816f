import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fixture } from './fixture.ts';
import { typeCases, type VerifyTypeCase } from './type-cases.ts';

interface Row {
  id: number;
  column: string;
  typeCase: VerifyTypeCase;
  postgres: string;
  right: string;
  wrong: string;
}

/** A row for each value that ClickHouse might wrongly have; in each only one column is not NULL. */
const rows: Row[] = typeCases.flatMap((typeCase, i) => {
  const isNested = /^(Array|Map)\(/.test(typeCase.clickhouse);
  const empty = typeCase.clickhouse.startsWith('Map') ? 'map()' : '[]';
  const values = [...typeCase.values];
  if (isNested) values.push(['NULL', empty, []]);
  else if (!typeCase.onInvalid) values.push(['NULL', 'NULL', [typeCase.values[0]![1]]]);
  return values.flatMap(([postgres, right, wrong]) => {
    const wrongs = isNested || right === 'NULL' ? wrong : [...wrong, 'NULL'];
    return (wrongs.length > 0 ? wrongs : [right]).map(other => ({
      id: 0,
      column: `c${i}`,
      typeCase,
      postgres,
      right,
      wrong: other,
    }));
  });
});
for (const [i, row] of rows.entries()) row.id = i + 1;

test('every type: equal values are equal, each wrong cell is found and named', async t => {
  await using fixture = await Fixture.create();
  const { client } = fixture.db;
  await client.query(`
    CREATE EXTENSION citext; CREATE EXTENSION hstore;
    CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);`);
  await client.query(
    `CREATE TABLE t (id int PRIMARY KEY, ${typeCases.map(({ type }, i) => `c${i} ${type}`).join(', ')})`,
  );
  for (const [i, { type }] of typeCases.entries()) {
    const values = rows.filter(row => row.typeCase === typeCases[i]);
    await client
      .query(values.map(row => `INSERT INTO t (id, c${i}) VALUES (${row.id}, ${row.postgres})`).join('; '))
      .catch(error => assert.fail(`${type}: ${error.message}`));
  }

  const types = Object.fromEntries(typeCases.map(({ clickhouse }, i) => [`c${i}`, nullable(clickhouse)]));
  const right = await fixture.target('public', 't', { id: 'Int32', ...types }, { target: 'right' });
  const wrong = await fixture.target('public', 't', { id: 'Int32', ...types }, { target: 'wrong' });
  for (const name of Object.keys(types)) {
    const own = rows.filter(row => row.column === name);
    for (const side of ['right', 'wrong'] as const)
      await fixture
        .query(
          `INSERT INTO ${fixture.database}.${side} (id, ${name}) VALUES ${own.map(row => `(${row.id}, ${row[side]})`).join(', ')}`,
        )
        .catch(error => assert.fail(`${own[0]!.typeCase.clickhouse}: ${error.message}`));
  }
  const onInvalid = Object.fromEntries(
    typeCases.flatMap(({ onInvalid }, i) => (onInvalid ? [[`c${i}`, onInvalid]] : [])),
  );
  const result = await fixture.verify(
    [
      { ...right, onInvalid },
      { ...wrong, onInvalid },
    ],
    { maxDiffering: 10_000 },
  );
  const [equal, differing] = result.tables;
  assert.equal(equal!.error?.message ?? differing!.error?.message, undefined);
  assert.deepEqual(equal!.differing, []);
  assert.equal(equal!.equal, rows.length);

  const mutated = rows.filter(row => row.wrong !== row.right);
  const found = new Map(differing!.differing.map(row => [Number(row.key.id), row]));
  for (const row of mutated) {
    const what = `${row.typeCase.type} ${row.postgres.slice(0, 50)}: ${row.wrong.slice(0, 50)}`;
    const { kind, columns } = found.get(row.id) ?? {};
    assert.equal(kind, 'different', what);
    assert.deepEqual(
      columns?.map(column => column.name),
      [row.column],
      what,
    );
    assert.notEqual(columns![0]!.postgres, columns![0]!.clickhouse, what);
  }
  assert.equal(differing!.differingCount, mutated.length);
  assert.equal(result.equal, false);
  t.diagnostic(`${typeCases.length} pairs of types, ${mutated.length} wrong cells found`);
});

function nullable(type: string): string {
  if (/^(Array|Map)\(/.test(type)) return type;
  return type.startsWith('LowCardinality(')
    ? `LowCardinality(Nullable(${type.slice(15)})`
    : `Nullable(${type})`;
}
