import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableColumn } from '../core/relation.ts';
import { compareColumns, knownColumns } from './column-changes.ts';

const column = (number: number, name: string, oid = 23, typmod = -1): TableColumn => ({
  number,
  name,
  type: { oid, name: `type${oid}`, schema: 'pg_catalog', kind: 'base' },
  typmod,
  notNull: false,
  toastable: false,
});
const before = knownColumns([column(1, 'id'), column(2, 'a', 1043, 14), column(3, 'n', 1700, 655366)]);

test('added and dropped columns are followed', () => {
  const { added, rewritten } = compareColumns(before, [column(1, 'id'), column(4, 'b')]);
  assert.deepEqual(
    added.map(c => c.name),
    ['b'],
  );
  assert.equal(rewritten, undefined);
});

test('changes that leave every value as it is are none', () => {
  const now = [column(1, 'id'), column(2, 'a', 25), column(3, 'n', 1700, 786438)];
  assert.deepEqual(compareColumns(before, now), { added: [], rewritten: undefined });
});

test('what gives older rows other values is named (D05, D08)', () => {
  const of = (...now: TableColumn[]) => compareColumns(before, now).rewritten;
  assert.match(of(column(1, 'id'), column(2, 'b', 1043, 14))!, /"a" was renamed to "b"/);
  assert.match(of(column(1, 'id'), column(7, 'a', 1043, 14))!, /"a" was dropped and made again/);
  assert.match(of(column(1, 'id', 20))!, /type of its column "id"/);
  assert.match(of(column(1, 'id'), column(3, 'n', 1700, 655367))!, /type of its column "n"/);
});
