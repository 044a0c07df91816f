import { test } from 'node:test';
import { fuzzEnvelopes } from '../../../test/support/envelope-fuzz.ts';
import { seed } from '../../../test/support/seed.ts';

test('a million mutated envelopes are read alike by prediction, exactly and by JSON.parse, or are malformed', t => {
  t.diagnostic(`WAL_CDC_SEED=${seed}`);
  t.diagnostic([...fuzzEnvelopes(1_000_000, seed)].join(' '));
});
