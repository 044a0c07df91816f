import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzEnvelopes } from '../../../test/support/envelope-fuzz.ts';
import { seed } from '../../../test/support/seed.ts';

test('mutated envelopes are read alike by prediction, exactly and by JSON.parse, or are malformed', t => {
  t.diagnostic(`WAL_CDC_SEED=${seed}`);
  const kinds = fuzzEnvelopes(10_000, seed);
  for (const kind of ['change', 'malformed', 'ignored', 'truncate'])
    assert.ok((kinds.get(kind) ?? 0) > 20, `few of kind ${kind}: ${[...kinds]}`);
});
