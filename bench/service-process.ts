/**
 * The service as `run --mode wal` has it, without HTTP server, in a process that measures itself. The configuration comes
 * from the environment; argv: `stream` or `copy`, and the position to end at.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../src/config.ts';
import { parseLsn } from '../src/core/lsn.ts';
import { createLog } from '../src/observe/log.ts';
import { Metrics } from '../src/observe/metrics.ts';
import { splitAddress } from '../src/service/clickhouse-address.ts';
import { WalService } from '../src/service/wal-service.ts';
import { HeapAllocation } from './heap-allocation.ts';

/** What the process tells its parent: `streaming`, and then, once every row is queryable, the figures. */
export type ServiceReport = { kind: 'streaming' } | ({ kind: 'queryable' } & ServiceFigures);

export interface ServiceFigures {
  /** Since the walsender streams. */
  seconds: number;
  cpuUs: number;
  /** JS heap that was allocated for each row after the first 50,000. */
  heapBytesPerRow: number | undefined;
  /** Resident memory of the whole run at its highest. */
  peakBytes: number;
}

/** Until then code is compiled and buffers grow. */
const warmUpRows = 50_000;

const [what, endLsn] = process.argv.slice(2);
const until = parseLsn(endLsn!);
const service = new WalService({
  config: loadConfig({ env: process.env }),
  clickhouse: splitAddress(process.env.WAL_CDC_CLICKHOUSE_URL!),
  metrics: new Metrics(),
  log: createLog({ level: 'warn', format: 'json' }),
  keepRows: false,
  until,
});
const report = (message: ServiceReport) => process.send!(message);

let failed = false;
process.once('disconnect', () => process.exit(failed ? 1 : 0));
const running = service.run();
running.catch(() => {
  failed = true;
});

while (!failed && !(await service.ready()).ready) await sleep(1);
if (failed) await running;
const startedAt = performance.now();
const cpu = process.cpuUsage();
report({ kind: 'streaming' });
const session = service.session!;
const rows = () => session.tables.reduce((sum, table) => sum + table.rows + table.state.copiedRows, 0);
let heap: HeapAllocation | undefined;
let heapFromRow = 0;
// Looks now and then, without promises: what is measured is the pipeline.
await new Promise<void>(resolve => {
  const timer = setInterval(() => {
    if (!heap && rows() >= warmUpRows) {
      heapFromRow = rows();
      heap = new HeapAllocation();
    }
    if (!failed && (what === 'copy' ? session.copying : session.written < until)) return;
    clearInterval(timer);
    resolve();
  }, 2);
});
const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage(cpu);
const heapRows = rows() - heapFromRow;
const heapBytesPerRow = heap && heapRows > 0 ? heap.bytes() / heapRows : undefined;
const peakBytes = process.resourceUsage().maxRSS * 1024;
if (!failed) report({ kind: 'queryable', seconds, cpuUs: user + system, heapBytesPerRow, peakBytes });
await running;
process.disconnect();
