import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import { formatCount } from '../observe/format-status.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { awaitCopies, type CopyOutcome } from '../service/await-copies.ts';
import { connectClickHouse, findClickHouse, openClickHouse } from '../service/clickhouse-address.ts';
import { markForCopy } from '../service/mark-for-copy.ts';
import { openSource } from '../service/source-setup.ts';
import { WalService } from '../service/wal-service.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { inspectSlot } from '../sources/wal/slot.ts';
import { requireSource } from './require-mode.ts';

export interface ResyncOptions {
  /** `schema.table`. */
  tables: string[];
  /** How long a running service may make no progress; default 60,000. */
  patienceMs?: number;
}

/**
 * Copies tables afresh behind the live ones and swaps them. A running service does it; without one, this process. Exit code 4 when a
 * table is stopped at the end.
 */
export async function resync(
  config: Config,
  { tables, patienceMs }: ResyncOptions,
  stop: AbortSignal,
): Promise<number> {
  requireSource(config, 'resync');
  if (config.mode === 'cdc') return resyncFromSource(config, tables, stop);
  const opened = (await findClickHouse(config)) ?? (await openClickHouse(config));
  try {
    const { clickhouse } = await connectClickHouse(opened.address);
    try {
      const control = new ControlTables(clickhouse, config.pipeline, config.clickhouse.cluster);
      if (!(await control.exists()) || !(await control.loadCheckpoint()))
        throw new CdcError(
          'NO_TABLES',
          `pipeline "${config.pipeline}" has not run yet: there is nothing to copy afresh`,
        );
      if ((await findStreamer(config)) !== undefined)
        return await requestCopy(config, control, [...new Set(tables)], { stop, patienceMs });
      await markForCopy(control, tables);
    } finally {
      await clickhouse.close();
    }
    const service = new WalService({
      config,
      clickhouse: opened.address,
      metrics: new Metrics(),
      log: createLog(config.log),
      keepRows: false,
      until: 'current',
    });
    stop.addEventListener('abort', () => service.stop(), { once: true });
    await service.run();
    const stopped = service
      .status()
      .tables.filter(table => tables.includes(table.name) && table.state === 'stopped');
    return stopped.length > 0 ? 4 : 0;
  } finally {
    await opened.close();
  }
}

/** Mode `cdc`: this process copies, beside the instances that run. */
async function resyncFromSource(config: Config, tables: string[], stop: AbortSignal): Promise<number> {
  if (!config.postgres.address)
    throw new CdcError('CONFIG_INVALID', 'postgres.url is not set: there is nothing to copy from', {
      hint: 'Set postgres.url (--postgres) to the database that the connector reads.',
    });
  const opened = (await findClickHouse(config)) ?? (await openClickHouse(config));
  try {
    const { resyncTopics } = await import('../service/topic-resync.ts');
    const log = createLog(config.log);
    const outcomes = await resyncTopics({
      config,
      clickhouse: opened.address,
      tables: [...new Set(tables)],
      log,
      signal: stop,
    });
    return printOutcomes(outcomes);
  } finally {
    await opened.close();
  }
}

async function findStreamer(config: Config): Promise<number | undefined> {
  const source = await openSource(config.postgres.address!);
  try {
    const slot = await inspectSlot(source.client, config.postgres.slot, source.info.serverVersion);
    return slot?.activePid ?? undefined;
  } finally {
    await source.client.end();
  }
}

/** Leaves the request to the running service and waits until it has carried it out. */
async function requestCopy(
  config: Config,
  control: ControlTables,
  names: string[],
  { stop, patienceMs }: { stop: AbortSignal; patienceMs: number | undefined },
): Promise<number> {
  const before = new Map((await control.loadTables()).map(table => [qualifiedName(table), table.state]));
  const unknown = names.filter(name => !before.has(name));
  if (unknown.length > 0)
    throw new CdcError('NO_TABLES', `the pipeline does not replicate ${unknown.join(', ')}`, {
      hint: `It replicates ${[...before.keys()].join(', ')}.`,
    });
  await control.request('resync', JSON.stringify(names));
  console.log(`The running service copies ${names.join(', ')} afresh.`);
  const outcomes = await awaitCopies({
    config,
    control,
    names,
    before,
    streamingPid: () => findStreamer(config),
    onWait: message => console.error(message),
    signal: stop,
    patienceMs,
  });
  return printOutcomes(outcomes);
}

function printOutcomes(outcomes: readonly CopyOutcome[]): number {
  for (const { name, copiedRows, reason } of outcomes) {
    if (reason) console.log(`${name}  stopped\n  ${reason.message} (${reason.code})\n  ${reason.hint}`);
    else console.log(`${name}  streaming, ${formatCount(copiedRows)} rows copied`);
  }
  return outcomes.some(({ reason }) => reason) ? 4 : 0;
}
