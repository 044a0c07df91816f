import { setTimeout as sleep } from 'node:timers/promises';
import { type Line, median } from './report.ts';
import { RunningService, walServiceEnv } from './running-service.ts';
import type { Servers } from './servers.ts';

/** From the command line to the first streamed row, of a service that has everything set up: a restart. */
export async function benchServiceStart(servers: Servers, runs: number): Promise<Line> {
  const name = 'service_start';
  await servers.admin.query(`CREATE TABLE ${name} (run int PRIMARY KEY)`);
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    await servers.admin.query(`INSERT INTO ${name} VALUES ($1)`, [run]);
    const startedAt = performance.now();
    await using service = new RunningService(walServiceEnv(servers, name));
    while ((await rowsOf(servers, name)) <= run) {
      service.check();
      await sleep(5);
    }
    // The first run makes slot and tables, and copies.
    if (run > 0) times.push(performance.now() - startedAt);
    await service.stop();
  }
  await servers.admin.query(`DROP TABLE ${name}`);
  return {
    benchmark: 'service start → first streamed row queryable',
    ours: `${Math.round(median(times))} ms`,
    runs: times,
  };
}

/** Without a query of the table itself, which is not there yet in the first run. */
async function rowsOf(servers: Servers, name: string): Promise<number> {
  const [row] = await servers.clickhouse.query<{ rows: string }>(
    `SELECT sum(rows) AS rows FROM system.parts WHERE database = '${name}' AND table = '${name}' AND active`,
  );
  return Number(row!.rows);
}
