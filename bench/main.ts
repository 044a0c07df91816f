/**
 * `npm run bench [-- --quick] [-- --only stream,snapshot,…]`: how fast the service is beside peers that run in the same
 * minutes on a copy of the same slot, on the same table, or on the same topic. Absolute figures depend on the machine: ratios count. Prints a
 * table, writes bench/results/<time>.json, and ends with 1 when memory or allocation pass their limits or a result is wrong.
 *
 * WAL_CDC_BENCH_NODE_OPTIONS goes to the measured process, as in `--cpu-prof --cpu-prof-dir=/tmp/profiles`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withoutKafka } from '../test/support/kafka/java.ts';
import { benchFreshness } from './freshness.ts';
import { benchInsertProbe } from './insert-probe.ts';
import { benchCdc } from './kafka/bench-cdc.ts';
import { findCopy, findPgRecvlogical } from './peers.ts';
import { failed, formatTable, type Line, legend } from './report.ts';
import { type Servers, startServers } from './servers.ts';
import { benchServiceStart } from './service-start.ts';
import { benchSnapshot } from './snapshot.ts';
import { benchLargeTransaction, benchStream } from './stream.ts';
import { createWorkload, dropWorkload } from './workload.ts';

const benchmarks = ['start', 'freshness', 'stream', 'large', 'snapshot', 'cdc'];
const runs = 3;

interface Options {
  quick: boolean;
  only: ReadonlySet<string>;
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: { quick: { type: 'boolean' }, only: { type: 'string' }, help: { type: 'boolean' } },
    });
    if (values.help) {
      console.log(`npm run bench [-- --quick] [-- --only ${benchmarks.join(',')}]`);
      process.exit(0);
    }
    const only = values.only?.split(',') ?? benchmarks;
    const unknown = only.find(name => !benchmarks.includes(name));
    if (unknown !== undefined)
      throw new Error(`--only takes some of ${benchmarks.join(',')}, not "${unknown}"`);
    return { quick: values.quick === true, only: new Set(only) };
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
}

async function runBenchmarks(
  servers: Servers,
  { quick, only }: Options,
  done: (line: Line) => void,
): Promise<void> {
  if (only.has('start')) done(await benchServiceStart(servers, runs));
  if (only.has('freshness')) {
    done(await benchInsertProbe(servers));
    done(await benchFreshness(servers, quick ? 3 : 15));
  }
  if (only.has('stream')) {
    const large = await createWorkload(servers, 'large_transactions', quick ? 300_000 : 1_000_000, 10_000);
    done(await benchStream(servers, large, { socket: 'tcp', runs, target: 1 }));
    done(await benchStream(servers, large, { socket: 'unix', runs }));
    await dropWorkload(servers, large);
    const single = await createWorkload(servers, 'one_row_transactions', quick ? 150_000 : 400_000, 1);
    done(await benchStream(servers, single, { socket: 'tcp', runs, target: 0.8 }));
    done(await benchStream(servers, single, { socket: 'unix', runs }));
    await dropWorkload(servers, single);
  }
  if (only.has('large') || only.has('snapshot')) {
    const rows = quick ? 500_000 : 3_000_000;
    const workload = await createWorkload(servers, 'one_transaction', rows, rows);
    if (only.has('large')) done(await benchLargeTransaction(servers, workload));
    if (only.has('snapshot')) done(await benchSnapshot(servers, workload, runs));
    await dropWorkload(servers, workload);
  }
  if (only.has('cdc')) {
    if (withoutKafka) console.log(`  cdc: left out, ${withoutKafka}`);
    else await benchCdc(servers, { quick, runs }, done);
  }
}

const options = readOptions();
const cores = availableParallelism();
const loadBefore = loadavg()[0]!;
const lines: Line[] = [];
let versions: Servers['versions'];
const peers = [findPgRecvlogical()?.name, findCopy().name].filter(name => name !== undefined);
{
  await using servers = await startServers();
  ({ versions } = servers);
  console.log(
    `PostgreSQL ${versions.postgres} and ClickHouse ${versions.clickhouse}, embedded; ` +
      `Node ${process.versions.node}; ${cores} cores; medians of ${runs} alternating runs; peers: ${peers.join(', ')}`,
  );
  if (!findPgRecvlogical())
    console.log('pg_recvlogical is neither in PATH nor in /usr/lib/postgresql: streams have no peer.');
  if (loadBefore > 1)
    console.log(
      `Other work keeps this machine busy (load ${loadBefore.toFixed(1)}): the ratios are worse than they are alone.`,
    );
  await runBenchmarks(servers, options, line => {
    lines.push(line);
    console.log(
      `  ${line.benchmark}: ${line.ours}${line.ratio ? `, ${line.ratio.toFixed(2)} of the peer` : ''}`,
    );
  });
}
console.log(`\n${formatTable(lines)}\n\n${legend}`);
const folder = join(import.meta.dirname, 'results');
mkdirSync(folder, { recursive: true });
const file = join(folder, `${new Date().toISOString().replaceAll(':', '-')}.json`);
const setting = {
  quick: options.quick,
  ...versions,
  node: process.versions.node,
  cores,
  loadBefore,
  peers,
  runs,
};
writeFileSync(file, `${JSON.stringify({ ...setting, lines }, null, 2)}\n`);
console.log(`Every run: ${file}`);
if (failed(lines)) process.exitCode = 1;
