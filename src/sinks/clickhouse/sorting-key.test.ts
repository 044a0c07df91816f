import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSortingKey } from './sorting-key.ts';

test('columns of a sorting key are told from expressions', () => {
  const parse = (text: string) => parseSortingKey(text).map(({ column, sql }) => column ?? { sql });
  assert.deepEqual(parse(''), []);
  assert.deepEqual(parse('id'), ['id']);
  assert.deepEqual(parse('(id)'), ['id']);
  assert.deepEqual(parse('((`a b`)), (a) + (b)'), ['a b', { sql: '(a) + (b)' }]);
  assert.deepEqual(
    parse("`a b`, lower(c), c, `lower(c)`, n.a, `x\\`y\\\\z`, `select`, cityHash64('a, b)', c), -id, (a, b)"),
    [
      'a b',
      { sql: 'lower(c)' },
      'c',
      'lower(c)',
      'n.a',
      'x`y\\z',
      'select',
      { sql: "cityHash64('a, b)', c)" },
      { sql: '-id' },
      { sql: '(a, b)' },
    ],
  );
  assert.deepEqual(parse('`a, b`, `c.d`, 1'), ['a, b', 'c.d', { sql: '1' }]);
});
