import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type ProcessUsage, UsageWatch } from '../process-usage.ts';
import type { Servers } from '../servers.ts';

export interface TimedRun extends ProcessUsage {
  /** From the line on. */
  seconds: number;
  clickhouse: ProcessUsage | undefined;
}

/** Runs a program of Node's that ends by itself. The time counts from when it says "streaming" on stderr until it is gone. */
export async function timeProcess(
  servers: Servers,
  nodeArguments: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<TimedRun> {
  const child = spawn(process.execPath, nodeArguments, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let startedAt = 0;
  let own: UsageWatch | undefined;
  let clickhouse: UsageWatch | undefined;
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (own || !output.includes('streaming')) return;
    startedAt = performance.now();
    own = new UsageWatch(child.pid!);
    clickhouse = new UsageWatch(servers.engine.pid);
  });
  const [code] = await once(child, 'exit');
  const seconds = (performance.now() - startedAt) / 1000;
  const usage = own?.stop();
  const clickhouseUsage = clickhouse?.stop();
  if (code !== 0 || !own) throw new Error(`${nodeArguments.join(' ')} ended with ${code}:\n${output}`);
  return { seconds, cpuUs: usage?.cpuUs ?? 0, peakBytes: usage?.peakBytes ?? 0, clickhouse: clickhouseUsage };
}
