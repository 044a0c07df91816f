import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatLsn, parseLsn } from './lsn.ts';

test('an LSN survives its text', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), lsn =>
      assert.equal(parseLsn(formatLsn(lsn)), lsn),
    ),
  );
  assert.equal(formatLsn(0x16b3748n), '0/16B3748');
  assert.equal(parseLsn('A/1'), 0xa00000001n);
});

test('what is not an LSN is refused', () => {
  for (const text of ['', '0', '0/', '/1', '0/123456789', 'x/y', ' 0/1', '0/1 ', '-1/0']) {
    assert.throws(() => parseLsn(text), SyntaxError, text);
  }
});
