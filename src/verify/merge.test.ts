import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seed } from '../../test/support/seed.ts';
import type { ComparedTable } from './compared-table.ts';
import { compareBytes, compareIntegers, mergeRows } from './merge.ts';
import { RowReader } from './row-reader.ts';

/** Rows out of memory, `perFill` of them at a time. */
class GivenRows extends RowReader {
  readonly #rows: readonly (string | null)[][];
  readonly #perFill: number;
  #available = 0;
  closed = false;

  constructor(rows: readonly (string | null)[][], fields: number, perFill = 2) {
    super(fields);
    this.#rows = rows;
    this.#perFill = perFill;
  }

  advance(): boolean {
    if (this.rows >= Math.min(this.#available, this.#rows.length)) return false;
    const row = this.#rows[this.rows]!;
    this.turn(Buffer.from(row.map(text => text ?? '').join('')));
    let pos = 0;
    for (const [i, text] of row.entries()) {
      this.starts[i] = text === null ? -1 : pos;
      pos += Buffer.byteLength(text ?? '');
      this.ends[i] = pos;
    }
    return true;
  }

  protected async fill(): Promise<boolean> {
    if (this.#available >= this.#rows.length) return false;
    this.#available += this.#perFill;
    return true;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const text = { form: {} };
const integer = { form: { order: { numeric: true } } };

function tableOf(columns: object[], key: number[], keyless = false): ComparedTable {
  return {
    source: { schema: 'public', name: 't' },
    columns,
    key,
    keyless,
  } as unknown as ComparedTable;
}

async function merged(
  table: ComparedTable,
  postgres: (string | null)[][],
  clickHouse: (string | null)[][],
  tombstones: string[][] = [],
): Promise<string[]> {
  const found: string[] = [];
  const fields = table.columns.length;
  const a = new GivenRows(postgres, fields);
  const b = new GivenRows(clickHouse, fields + 1, 3);
  const row = (reader: RowReader) => table.columns.map((_, i) => reader.text(i) ?? 'NULL').join(' ');
  await mergeRows(table, a, b, new GivenRows(tombstones, table.key.length), {
    both: newer => found.push(`${row(a)} = ${row(b)}${newer ? ' newer' : ''}`),
    postgresOnly: later => found.push(`${row(a)} missing${later ? ' later' : ''}`),
    clickHouseOnly: newer => found.push(`${row(b)} only${newer ? ' newer' : ''}`),
  });
  return found;
}

test('rows of one side are told from rows of both, newer ones from those at rest', async () => {
  assert.deepEqual(
    await merged(
      tableOf([integer, text], [0]),
      [
        ['-10', 'a'],
        ['-9', 'b'],
        ['9', 'c'],
        ['10', 'd'],
      ],
      [
        ['-11', 'x', '0'],
        ['-9', 'y', '1'],
        ['9', 'c', '0'],
        ['11', 'z', '1'],
      ],
      [['-10'], ['-10'], ['8'], ['11']],
    ),
    [
      '-11 x only',
      '-10 a missing later',
      '-9 b = -9 y newer',
      '9 c = 9 c',
      '10 d missing',
      '11 z only newer',
    ],
  );
});

test('equal keys pair up one by one, NULLs come last', async () => {
  assert.deepEqual(
    await merged(
      tableOf([text, text], [0, 1], true),
      [
        ['a', 'b'],
        ['a', 'b'],
        ['a', null],
        [null, 'a'],
      ],
      [
        ['a', 'b', '0'],
        ['a', null, '0'],
        ['a', null, '0'],
        [null, null, '0'],
      ],
    ),
    ['a b = a b', 'a b missing', 'a NULL = a NULL', 'a NULL only', 'NULL a missing', 'NULL NULL only'],
  );
});

test('a result that is not in the order of its key is refused', async () => {
  await assert.rejects(
    merged(tableOf([integer], [0]), [['10'], ['9']], []),
    /PostgreSQL does not give the rows/,
  );
  await assert.rejects(
    merged(
      tableOf([text], [0]),
      [],
      [
        ['9', '0'],
        ['10', '0'],
      ],
    ),
    /ClickHouse does not give the rows of public.t in the order/,
  );
});

test(`a merge finds what sets find, by seed ${seed} (WAL_CDC_SEED)`, async () => {
  const keys = fc.uniqueArray(
    fc.tuple(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), fc.string({ maxLength: 3 })),
    {
      selector: key => key.join(),
    },
  );
  const order = (a: [bigint, string], b: [bigint, string]) =>
    a[0] !== b[0] ? (a[0] < b[0] ? -1 : 1) : Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1]));
  const texts = (rows: [bigint, string][]) => rows.sort(order).map(([n, s]) => [String(n), s]);
  await fc.assert(
    fc.asyncProperty(keys, keys, keys, keys, async (both, postgresOnly, clickHouseOnly, deleted) => {
      const found = await merged(
        tableOf([integer, text], [0, 1]),
        texts([...new Map([...both, ...postgresOnly].map(key => [key.join(), key])).values()]),
        texts([...new Map([...both, ...clickHouseOnly].map(key => [key.join(), key])).values()]).map(row => [
          ...row,
          '0',
        ]),
        texts(deleted),
      );
      const has = (rows: [bigint, string][], key: [bigint, string]) =>
        rows.some(row => row.join() === key.join());
      for (const key of [...both, ...postgresOnly, ...clickHouseOnly]) {
        const row = key.join(' ');
        const inPostgres = has(both, key) || has(postgresOnly, key);
        const inClickHouse = has(both, key) || has(clickHouseOnly, key);
        const expected =
          inPostgres && inClickHouse
            ? `${row} = ${row}`
            : inPostgres
              ? `${row} missing${has(deleted, key) ? ' later' : ''}`
              : `${row} only`;
        assert.ok(found.includes(expected), `${expected} in ${found.join(', ')}`);
      }
    }),
    { seed, numRuns: 100 },
  );
});

test(`integers compare by value, other texts by bytes, by seed ${seed}`, () => {
  const whole = (a: string, b: string, compare: typeof compareBytes) => {
    const [x, y] = [Buffer.from(`#${a}#`), Buffer.from(`${b}##`)];
    return Math.sign(compare(x, 1, x.length - 1, y, 0, y.length - 2));
  };
  fc.assert(
    fc.property(fc.bigInt(), fc.bigInt(), (a, b) => {
      assert.equal(whole(String(a), String(b), compareIntegers), a < b ? -1 : a > b ? 1 : 0);
    }),
    { seed },
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 60, unit: 'grapheme' }), fc.string({ maxLength: 60 }), (a, b) => {
      assert.equal(whole(a, b, compareBytes), Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.equal(whole(a, a + b, compareBytes), b === '' ? 0 : -1);
    }),
    { seed },
  );
});
