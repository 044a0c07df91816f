import { test } from 'node:test';
import { fuzzEnvelopes } from '../../../test/support/envelope-fuzz.ts';

test('a million mutated envelopes are read alike by prediction, exactly and by JSON.parse, or are malformed', t => {
  const seed = Number(process.env.WAL_CDC_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`WAL_CDC_SEED=${seed}`);
  t.diagnostic([...fuzzEnvelopes(1_000_000, seed)].join(' '));
});
