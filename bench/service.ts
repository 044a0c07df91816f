import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type ProcessUsage, UsageWatch } from './process-usage.ts';
import { databaseUrl, type Servers } from './servers.ts';
import type { ServiceFigures, ServiceReport } from './service-process.ts';
import { publication, table, type Workload, walsenderOf } from './workload.ts';

export interface ServiceRun extends ServiceFigures {
  walsender: ProcessUsage | undefined;
  clickhouse: ProcessUsage | undefined;
}

const program = fileURLToPath(new URL('service-process.ts', import.meta.url));

/** The environment of a service that writes the workload's table into `target`, a ClickHouse database of the same name. */
export function serviceEnv(
  servers: Servers,
  workload: Workload,
  slot: string,
  target: string,
  socket: 'tcp' | 'unix' = 'tcp',
): Record<string, string> {
  return {
    WAL_CDC_MODE: 'wal',
    WAL_CDC_PIPELINE: target,
    WAL_CDC_POSTGRES_URL: databaseUrl(servers.postgres, workload.database, socket),
    WAL_CDC_POSTGRES_SLOT: slot,
    WAL_CDC_POSTGRES_PUBLICATION: publication,
    WAL_CDC_TABLES: `public.${table}`,
    WAL_CDC_CLICKHOUSE_URL: servers.engine.url,
    WAL_CDC_CLICKHOUSE_DATABASE: target,
  };
}

/** Runs the service in a process of its own until the position is queryable. */
export async function runService(
  servers: Servers,
  workload: Workload,
  what: 'stream' | 'copy',
  env: Record<string, string>,
  endLsn: string,
): Promise<ServiceRun> {
  const child = fork(program, [what, endLsn], {
    env: {
      PATH: process.env.PATH,
      ...env,
      WAL_CDC_SNAPSHOT: what === 'copy' ? 'initial' : 'none',
    },
    execArgv: (process.env.WAL_CDC_BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean),
  });
  let figures: ServiceFigures | undefined;
  let walsender: UsageWatch | undefined;
  let clickhouse: UsageWatch | undefined;
  let usage: Pick<ServiceRun, 'walsender' | 'clickhouse'> | undefined;
  child.on('message', async (message: ServiceReport) => {
    if (message.kind === 'queryable') {
      figures = message;
      usage = { walsender: walsender?.stop(), clickhouse: clickhouse?.stop() };
    } else {
      clickhouse = new UsageWatch(servers.engine.pid);
      const pid = await walsenderOf(workload.client, env.WAL_CDC_POSTGRES_SLOT!);
      if (pid !== undefined) walsender = new UsageWatch(pid);
    }
  });
  const [code] = await once(child, 'exit');
  if (code !== 0 || !figures)
    throw new Error(`the service ended with ${code} before ${endLsn} was queryable`);
  return { ...figures, ...usage! };
}
