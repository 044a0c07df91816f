import { findCopy, type PeerRun } from './peers.ts';
import { atLeast, cpuPerRow, type Line, median, rowsPerSecond } from './report.ts';
import type { Servers } from './servers.ts';
import { runService, type ServiceRun, serviceEnv } from './service.ts';
import { checkRows, dropSlot, type Workload } from './workload.ts';

const targetRatio = 0.6;

/** The first copy of a table, alternating with one COPY of it that goes nowhere. */
export async function benchSnapshot(servers: Servers, workload: Workload, runs: number): Promise<Line> {
  const peer = findCopy();
  const ours: ServiceRun[] = [];
  const theirs: PeerRun[] = [];
  for (let run = 1; run <= runs; run++) {
    theirs.push(await peer.run(servers, workload));
    const name = `${workload.database}_copy_${run}`;
    const created = await workload.client.query<{ lsn: string }>(
      "SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')",
      [name],
    );
    const env = serviceEnv(servers, workload, name, name);
    ours.push(await runService(servers, workload, 'copy', env, created.rows[0]!.lsn));
    await dropSlot(workload.client, name);
    await checkRows(servers, name, workload.rows);
    await servers.clickhouse.command(`DROP DATABASE ${name} SYNC`);
  }
  const { rows } = workload;
  const oursSeconds = median(ours.map(run => run.seconds));
  const theirsSeconds = median(theirs.map(run => run.seconds));
  const ratio = theirsSeconds / oursSeconds;
  return {
    benchmark: `copy of ${rows.toLocaleString('en')} rows`,
    ours: rowsPerSecond(rows, oursSeconds),
    peer: rowsPerSecond(rows, theirsSeconds),
    ratio,
    checks: [atLeast(ratio, targetRatio)],
    cpuUs: {
      service: cpuPerRow(ours, rows),
      clickhouse: cpuPerRow(
        ours.map(run => run.clickhouse),
        rows,
      ),
      peer: cpuPerRow(
        theirs.map(run => run.reader),
        rows,
      ),
    },
    peakBytes: Math.max(...ours.map(run => run.peakBytes)),
    runs: [{ ours, theirs }],
  };
}
