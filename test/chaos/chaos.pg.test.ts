import { test } from 'node:test';
import { expectEqualAfterKills } from './expect-equal-after-kills.ts';

/** Every kind of kill once. */
test('19 kills of the service, ClickHouse and PostgreSQL under load leave every table equal', async t => {
  await expectEqualAfterKills(19, line => t.diagnostic(line));
});
