import { writePaced } from './paced-writes.ts';
import { below, type Line } from './report.ts';
import { RunningService, walServiceEnv } from './running-service.ts';
import type { Servers } from './servers.ts';

const perSecond = 500;
const limitMs = 150;

/** From commit to queryable at a steady rate of transactions of one row; the figures are the service's own. */
export async function benchFreshness(servers: Servers, seconds: number): Promise<Line> {
  const name = 'freshness';
  const { admin } = servers;
  await admin.query(`CREATE TABLE ${name} (id int PRIMARY KEY, text text NOT NULL)`);
  await using service = new RunningService(walServiceEnv(servers, name));
  await service.streaming();
  // The walsender sends what is flushed; asynchronous commits would wait for that.
  await admin.query('SET synchronous_commit = on');
  await writePaced(perSecond, perSecond * seconds, n =>
    admin.query(`INSERT INTO ${name} VALUES (${n}, 'text')`),
  );
  const { commitToQueryableMs } = await service.status();
  await admin.query('RESET synchronous_commit');
  await service.stop();
  const { p50, p99 } = commitToQueryableMs;
  return {
    benchmark: `commit → queryable at ${perSecond} transactions/s, p50 and p99`,
    ours: `${p50} and ${p99} ms`,
    checks: [{ ...below(p99 ?? Number.POSITIVE_INFINITY, limitMs, 'ms'), kind: 'target' }],
    runs: [commitToQueryableMs],
  };
}
