/**
 * `npm run bench [-- --quick] [-- --only stream,snapshot,…]`: how fast the service is beside peers that run in the same
 * minutes on a copy of the same slot, or on the same table. Absolute figures depend on the machine: ratios count. Prints a
 * table, writes bench/results/<time>.json, and ends with 1 when memory or allocation pass their limits or a result is wrong.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchFreshness } from './freshness.ts';
import { benchInsertProbe } from './insert-probe.ts';
import { findCopy, findPgRecvlogical } from './peers.ts';
import { failed, formatTable, type Line } from './report.ts';
import { type Servers, startServers } from './servers.ts';
import { benchServiceStart } from './service-start.ts';
import { benchSnapshot } from './snapshot.ts';
import { benchLargeTransaction, benchStream } from './stream.ts';
import { createWorkload, dropWorkload } from './workload.ts';

const benchmarks = ['start', 'freshness', 'stream', 'large', 'snapshot'] as const;
const runs = 3;

interface Options {
  quick: boolean;
  only: ReadonlySet<string>;
}

function readOptions(): Options {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' } } });
  const only = values.only?.split(',') ?? benchmarks;
  const unknown = only.find(name => !benchmarks.includes(name as (typeof benchmarks)[number]));
  if (unknown !== undefined) {
    console.error(`--only takes some of ${benchmarks.join(', ')}, not "${unknown}".`);
    process.exit(2);
  }
  return { quick: values.quick === true, only: new Set(only) };
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
}

const options = readOptions();
const lines: Line[] = [];
let setting: Record<string, unknown>;
{
  await using servers = await startServers();
  const { postgres, clickhouse } = servers.versions;
  const peers = [findPgRecvlogical()?.name, findCopy().name].filter(name => name !== undefined);
  setting = { postgres, clickhouse, node: process.versions.node, cores: availableParallelism(), peers, runs };
  console.log(
    `PostgreSQL ${postgres} and ClickHouse ${clickhouse}, embedded; Node ${process.versions.node}; ` +
      `${availableParallelism()} cores; medians of ${runs} alternating runs; peers: ${peers.join(', ')}`,
  );
  if (!findPgRecvlogical())
    console.log(
      'pg_recvlogical is neither in PATH nor in /usr/lib/postgresql: streaming is measured without a peer.',
    );
  await runBenchmarks(servers, options, line => {
    lines.push(line);
    console.log(
      `  ${line.benchmark}: ${line.ours}${line.ratio ? `, ${line.ratio.toFixed(2)} of the peer` : ''}`,
    );
  });
}
console.log(`\n${formatTable(lines)}\n`);
const folder = join(import.meta.dirname, 'results');
mkdirSync(folder, { recursive: true });
const file = join(folder, `${new Date().toISOString().replaceAll(':', '-')}.json`);
writeFileSync(file, `${JSON.stringify({ ...setting, quick: options.quick, lines }, null, 2)}\n`);
console.log(`Written to ${file}`);
if (failed(lines)) process.exitCode = 1;
