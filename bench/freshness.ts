import { setTimeout as sleep } from 'node:timers/promises';
import { below, type Line } from './report.ts';
import { RunningService } from './running-service.ts';
import type { Servers } from './servers.ts';

const perSecond = 500;
const limitMs = 150;

/** From commit to queryable at a steady rate of transactions of one row; the figures are the service's own. */
export async function benchFreshness(servers: Servers, seconds: number): Promise<Line> {
  const name = 'freshness';
  const { admin } = servers;
  await admin.query(`CREATE TABLE ${name} (id int PRIMARY KEY, text text NOT NULL)`);
  await using service = new RunningService(servers, 'postgres', name);
  await service.streaming();
  // The walsender sends what is flushed; asynchronous commits would wait for that.
  await admin.query('SET synchronous_commit = on');
  const startedAt = performance.now();
  let written = 0;
  while (written < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, ((performance.now() - startedAt) / 1000) * perSecond);
    while (written < due) await admin.query(`INSERT INTO ${name} VALUES (${written++}, 'text')`);
    await sleep(1);
  }
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
