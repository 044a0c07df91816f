import { findPgRecvlogical, type PeerRun } from './peers.ts';
import { atLeast, below, cpuPerRow, type Line, median, rowsPerSecond } from './report.ts';
import type { Servers } from './servers.ts';
import { runService, type ServiceRun, serviceEnv } from './service.ts';
import { checkRows, copySlot, dropSlot, type Workload } from './workload.ts';

const heapLimitBytesPerRow = 32;

/**
 * The service, at whose end the rows are queryable, against `pg_recvlogical`, which discards them: alternating, each on a
 * copy of the same slot and over the same kind of socket.
 */
export async function benchStream(
  servers: Servers,
  workload: Workload,
  options: { socket: 'tcp' | 'unix'; runs: number; target?: number },
): Promise<Line> {
  const { socket, runs, target } = options;
  const peer = findPgRecvlogical();
  const ours: ServiceRun[] = [];
  const theirs: PeerRun[] = [];
  for (let run = 1; run <= runs; run++) {
    const slot = `${workload.database}_${socket}_${run}`;
    if (peer) {
      await copySlot(workload, slot);
      theirs.push(await peer.run(servers, workload, slot, socket));
      await dropSlot(workload.client, slot);
    }
    await copySlot(workload, slot);
    ours.push(await streamAll(servers, workload, slot, socket));
    await dropSlot(workload.client, slot);
  }
  const { rows, rowsPerTransaction } = workload;
  const oursSeconds = median(ours.map(run => run.seconds));
  const theirsSeconds = peer && median(theirs.map(run => run.seconds));
  const ratio = theirsSeconds && theirsSeconds / oursSeconds;
  const heaps = ours.flatMap(run => run.heapBytesPerRow ?? []);
  const heapBytesPerRow = heaps.length > 0 ? median(heaps) : undefined;
  const where = socket === 'tcp' ? 'TCP' : 'unix socket';
  return {
    benchmark: `stream, ${rowsPerTransaction.toLocaleString('en')}-row transactions, ${where}`,
    ours: rowsPerSecond(rows, oursSeconds),
    ...(theirsSeconds ? { peer: rowsPerSecond(rows, theirsSeconds), ratio } : {}),
    checks: [
      ...(ratio && target ? [atLeast(ratio, target)] : []),
      // A unix socket is read for each message: what that allocates is not of the row.
      ...(heapBytesPerRow && socket === 'tcp'
        ? [below(heapBytesPerRow, heapLimitBytesPerRow, 'B heap/row')]
        : []),
    ],
    cpuUs: {
      postgres: cpuPerRow(
        ours.map(run => run.walsender),
        rows,
      ),
      service: cpuPerRow(ours, rows),
      clickhouse: cpuPerRow(
        ours.map(run => run.clickhouse),
        rows,
      ),
      peerPostgres: cpuPerRow(
        theirs.map(run => run.postgres),
        rows,
      ),
      peer: cpuPerRow(
        theirs.map(run => run.reader),
        rows,
      ),
    },
    peakBytes: Math.max(...ours.map(run => run.peakBytes)),
    heapBytesPerRow,
    runs: [{ ours, theirs }],
  };
}

const memoryLimitMb = 400;

/** One transaction that is much larger than a batch. */
export async function benchLargeTransaction(servers: Servers, workload: Workload): Promise<Line> {
  const run = await streamAll(servers, workload, workload.slot, 'tcp');
  const { rows } = workload;
  return {
    benchmark: `stream, one transaction of ${rows.toLocaleString('en')} rows`,
    ours: rowsPerSecond(rows, run.seconds),
    checks: [below(run.peakBytes / 1e6, memoryLimitMb, 'MB')],
    cpuUs: {
      postgres: cpuPerRow([run.walsender], rows),
      service: cpuPerRow([run], rows),
      clickhouse: cpuPerRow([run.clickhouse], rows),
    },
    peakBytes: run.peakBytes,
    heapBytesPerRow: run.heapBytesPerRow,
    runs: [run],
  };
}

/** Streams the workload into a ClickHouse database of its own and checks what arrived. */
async function streamAll(
  servers: Servers,
  workload: Workload,
  slot: string,
  socket: 'tcp' | 'unix',
): Promise<ServiceRun> {
  const target = slot;
  const env = serviceEnv(servers, workload, slot, target, socket);
  const run = await runService(servers, workload, 'stream', env, workload.endLsn);
  await checkRows(servers, target, workload.rows);
  await servers.clickhouse.command(`DROP DATABASE ${target} SYNC`);
  return run;
}
