import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesPattern, parseDottedName, parsePattern, unmatchedPatterns } from './table-patterns.ts';

test('patterns match whole names, case and all', () => {
  for (const [pattern, schema, name, expected] of [
    ['*.*', 'public', 'orders', true],
    ['public.*', 'public', 'orders', true],
    ['public.*', 'publicx', 'orders', false],
    ['public.order*', 'public', 'orders', true],
    ['public.*_20*', 'public', 'events_2024', true],
    ['public.orders', 'public', 'orders2', false],
    ['public.Orders', 'public', 'orders', false],
    ['"We ird.Sch""ema"."select; drop table x;--"', 'We ird.Sch"ema', 'select; drop table x;--', true],
    ['public."*"', 'public', 'orders', false],
    ['public."*"', 'public', '*', true],
    ['public.a+b', 'public', 'a+b', true],
    ['public.a+b', 'public', 'aab', false],
    ['public.*', 'public', 'line\nbreak', true],
    ['*.*', 'pg_catalog', 'pg_class', false],
    ['pg_catalog.*', 'pg_catalog', 'pg_class', false],
    ['*.*', 'information_schema', 'tables', false],
    ['*.*', 'pgbench', 'accounts', true],
  ] as const)
    assert.equal(matchesPattern([pattern], [], schema, name), expected, `${pattern} and ${schema}.${name}`);
});

test('exclude wins', () => {
  assert.equal(matchesPattern(['public.*'], ['*.tmp_*'], 'public', 'tmp_1'), false);
  assert.equal(matchesPattern(['public.*'], ['*.tmp_*'], 'public', 'orders'), true);
});

test('patterns that match nothing are known', () => {
  const tables = [
    { schema: 'public', name: 'orders' },
    { schema: 'pg_catalog', name: 'pg_class' },
  ];
  assert.deepEqual(unmatchedPatterns(['public.*', 'public.ordres', 'pg_catalog.*'], tables), [
    'public.ordres',
    'pg_catalog.*',
  ]);
});

test('what is not schema.table is refused', () => {
  for (const text of [
    '',
    'orders',
    '.',
    'a.',
    '.a',
    'a.b.c',
    'a."b',
    '"a"b.c',
    'a b.c"d',
    ' a.b',
    '"".a',
    'a..b',
  ])
    assert.throws(() => parsePattern(text), SyntaxError, text);
});

test('a quoted pattern matches exactly its own name', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1 });
  const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
  fc.assert(
    fc.property(name, name, name, (schema, table, other) => {
      fc.pre(!schema.startsWith('pg_'));
      const pattern = `${quote(schema)}.${quote(table)}`;
      assert.equal(matchesPattern([pattern], [], schema, table), true);
      assert.equal(matchesPattern([pattern], [], schema, other), other === table);
      assert.deepEqual(parseDottedName(pattern, 2), [schema, table]);
    }),
  );
});
