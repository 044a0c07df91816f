import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { connectClickHouse, findClickHouse, openClickHouse } from '../service/clickhouse-address.ts';
import { markForCopy } from '../service/mark-for-copy.ts';
import { openSource } from '../service/source-setup.ts';
import { WalService } from '../service/wal-service.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { inspectSlot } from '../sources/wal/slot.ts';

export interface ResyncOptions {
  /** `schema.table`. */
  tables: string[];
}

/** Copies tables afresh behind the live ones and swaps them. A running service does it; without one, this process. */
export async function resync(config: Config, { tables }: ResyncOptions, stop: AbortSignal): Promise<number> {
  if (config.mode !== 'wal') throw new CdcError('CONFIG_INVALID', 'resync needs --mode wal');
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
      if (await isRunning(config)) {
        await requestCopy(control, tables, stop);
        return 0;
      }
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

async function isRunning(config: Config): Promise<boolean> {
  const source = await openSource(config.postgres.address!);
  try {
    const slot = await inspectSlot(source.client, config.postgres.slot, source.info.serverVersion);
    return slot !== undefined && slot.activePid !== null;
  } finally {
    await source.client.end();
  }
}

/** Leaves the request to the running service and waits until it has carried it out. */
async function requestCopy(control: ControlTables, names: string[], stop: AbortSignal): Promise<void> {
  const before = new Map((await control.loadTables()).map(table => [qualifiedName(table), table.state]));
  const unknown = names.filter(name => !before.has(name));
  if (unknown.length > 0)
    throw new CdcError('NO_TABLES', `the pipeline does not replicate ${unknown.join(', ')}`, {
      hint: `It replicates ${[...before.keys()].join(', ')}.`,
    });
  await control.request('resync', JSON.stringify(names));
  console.log(`The running service copies ${names.join(', ')} afresh.`);
  while (!stop.aborted) {
    await sleep(500);
    const states = (await control.loadTables()).filter(table => names.includes(qualifiedName(table)));
    // A copy has a base of its own, and a stopped table none.
    const done = states.filter(
      table => table.state.phase !== 'copying' && table.state.base !== before.get(qualifiedName(table))?.base,
    );
    if (done.length < states.length) continue;
    for (const { schema, name, state } of states) {
      console.log(`${schema}.${name}  ${state.phase}, ${state.copiedRows} rows copied`);
    }
    return;
  }
}
