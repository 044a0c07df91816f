import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzEnvelopes } from '../../../test/support/envelope-fuzz.ts';

test('mutated envelopes are read alike by prediction, exactly and by JSON.parse, or are malformed', t => {
  const seed = Number(process.env.WAL_CDC_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`WAL_CDC_SEED=${seed}`);
  const kinds = fuzzEnvelopes(10_000, seed);
  for (const kind of ['change', 'malformed', 'ignored', 'truncate'])
    assert.ok((kinds.get(kind) ?? 0) > 20, `few of kind ${kind}: ${[...kinds]}`);
});
