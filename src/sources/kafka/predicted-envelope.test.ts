import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { envelope } from '../../../test/support/debezium.ts';
import { expectedOf, validJson } from '../../../test/support/envelope-oracle.ts';
import { isSame, readChange, withinRecords } from '../../../test/support/read-change.ts';
import { seed } from '../../../test/support/seed.ts';
import { skipSpace, skipValue } from './json-scan.ts';
import { TopicReader } from './read-envelope.ts';

const placeholder = '__debezium_unavailable_value';

const space = fc.constantFrom('', '', '', ' ', '\n', '\t \r');
const digits = fc.stringMatching(/^(0|[1-9][0-9]{0,20})$/);
const number = fc
  .tuple(fc.constantFrom('', '-'), digits, fc.constantFrom('', '.5', '.125e10', 'E-7', 'e+03'))
  .map(parts => parts.join(''));
const character = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }).map(text => JSON.stringify(text).slice(1, -1)),
  fc.constantFrom(
    '\\"',
    '\\\\',
    '\\/',
    '\\b',
    '\\f',
    '\\n',
    '\\r',
    '\\t',
    '\\u0000',
    '\\u00E4',
    '\\u20ac',
    '\\uD83D\\uDE00',
  ),
);
const string = fc.array(character, { maxLength: 12 }).map(parts => `"${parts.join('')}"`);
/** Without backslashes: Node 24's JSON.parse takes "\\u00e4" for the name "\\\\" of an object before. */
const name = string.filter(text => !JSON.parse(text).includes('\\'));
const { json } = fc.letrec<{ json: string }>(tie => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('null', 'true', 'false', `"${placeholder}"`, `["${placeholder}"]`),
    number,
    string,
    fc
      .tuple(space, fc.array(tie('json'), { maxLength: 3 }))
      .map(([gap, items]) => `[${gap}${items.join(`,${gap}`)}${gap}]`),
    fc
      .tuple(space, fc.array(fc.tuple(name, tie('json')), { maxLength: 3 }))
      .map(
        ([gap, members]) =>
          `{${gap}${members.map(([name, value]) => `${name}${gap}:${gap}${value}`).join(`${gap},`)}}`,
      ),
  ),
}));

const names = fc.uniqueArray(name, { minLength: 1, maxLength: 8, selector: text => JSON.parse(text) });
/** Messages of one table: the same columns with other values, and sometimes with other columns. */
const messages = names.chain(columns =>
  fc.array(
    fc.record({
      columns: fc.oneof({ weight: 5, arbitrary: fc.constant(columns) }, { weight: 1, arbitrary: names }),
      values: fc.array(json, { minLength: 8, maxLength: 8 }),
      old: fc.array(json, { minLength: 8, maxLength: 8 }),
      op: fc.constantFrom('c', 'u', 'r', 'd', 'uo'),
      key: fc.constantFrom(null, 0, 1),
      lsn: fc.nat({ max: 2 ** 40 }),
      gap: space,
    }),
    { minLength: 2, maxLength: 6 },
  ),
);

test(`rows of any JSON are read alike by prediction, exactly and by JSON.parse, by seed ${seed} (WAL_CDC_SEED)`, () => {
  fc.assert(
    fc.property(messages, list => {
      const predicting = new TopicReader({ placeholder });
      const exact = new TopicReader({ placeholder, predict: false });
      for (const { columns, values, old, op, key, lsn, gap } of [...list, ...list]) {
        const row = (cells: string[]) =>
          `{${gap}${columns.map((name, i) => `${name}:${cells[i]}${gap}`).join()}}`;
        const parts = {
          before: op === 'd' || op === 'uo' ? row(old) : 'null',
          after: op === 'd' ? 'null' : row(values),
        };
        const value = JSON.stringify(envelope(op[0]!, '@before', '@after', { lsn })).replace(
          /"@(before|after)"/g,
          (_, name: 'before' | 'after') => parts[name],
        );
        const name = columns[key ?? 0] ?? columns[0]!;
        const message = { key: key === null ? null : Buffer.from(`{${name}:1}`), value: Buffer.from(value) };
        const expected = expectedOf(message);
        const actual = readChange(exact, message);
        assert.ok(isSame(actual, expected), `${value}\n${show(actual)}\n${show(expected)}`);
        assert.deepEqual(readChange(predicting, withinRecords(message)), actual);
      }
    }),
    { seed, numRuns: 150 },
  );
});

test(`what is JSON is decided as JSON.parse does, by seed ${seed} (WAL_CDC_SEED)`, () => {
  const isJson = (src: Buffer) => {
    const end = skipValue(src, skipSpace(src, 0, src.length), src.length, 0);
    return end >= 0 && skipSpace(src, end, src.length) === src.length;
  };
  fc.assert(
    fc.property(
      json,
      fc.nat(),
      fc.nat(),
      fc.constantFrom('', ' ', '"', '\\', ',', '0', '-', '.', 'e', ']', '}', '\n', 'u'),
      (text, at, cut, put) => {
        const bytes = Buffer.from(text);
        assert.ok(isJson(bytes), text);
        assert.equal(isJson(Buffer.from(` ${text}\r\n`)), true);
        const place = at % (bytes.length + 1);
        const mutated = Buffer.concat([
          bytes.subarray(0, place),
          Buffer.from(put),
          bytes.subarray(place + (cut % 4)),
        ]);
        if (!mutated.toString().includes('\ufffd'))
          assert.equal(isJson(mutated), validJson(mutated) !== undefined, mutated.toString());
      },
    ),
    { seed, numRuns: 3000 },
  );
});

function show(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
}
