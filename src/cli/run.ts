import { setFlagsFromString } from 'node:v8';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { switchMode } from '../service/switch-mode.ts';
import { parseUntil, WalService } from '../service/wal-service.ts';
import { runService, type ServiceParts } from './run-service.ts';
import { runSynthetic } from './run-synthetic.ts';
import { writePostgres } from './write-postgres.ts';

export interface RunOptions {
  untilPosition?: string;
  keepRows: boolean;
}

/** The service. Exit code 4 when a table is stopped at the end. */
export async function run(config: Config, options: RunOptions, stop: AbortSignal): Promise<number> {
  if (config.mode === 'synthetic')
    return config.synthetic.into === 'postgres'
      ? writePostgres(config, options, stop)
      : runSynthetic(config, options, stop);
  if (config.mode === 'cdc') {
    // Rows leave next to nothing on the heap. V8 would keep the large young generation that loading the modules makes, and
    // collect the arrays of written batches seldom: 50 MB.
    setFlagsFromString('--semi-space-growth-factor=1');
    // Kafka's client takes half a second to load.
    const { CdcService, parseCdcUntil } = await import('../service/cdc-service.ts');
    const until = parseCdcUntil(options.untilPosition);
    const { keepRows } = options;
    return runService(config, stop, {
      before: switchFirst(stop),
      make: (own, { address }) => new CdcService({ ...own, clickhouse: address, keepRows, until }),
    });
  }
  const until = parseUntil(options.untilPosition);
  const { keepRows } = options;
  if (keepRows && config.snapshot !== 'none')
    throw new CdcError(
      'CONFIG_INVALID',
      '--keep-rows has no effect while tables are copied: the copy replaces their rows',
      { hint: 'Add --snapshot none to write without a copy, or leave --keep-rows out.' },
    );
  return runService(config, stop, {
    before: switchFirst(stop),
    make: (own, { address }) => new WalService({ ...own, clickhouse: address, keepRows, until }),
  });
}

/** A pipeline that was run in the other mode before is taken over first. */
function switchFirst(stop: AbortSignal): ServiceParts['before'] {
  return async ({ config, log }, { address }) => {
    try {
      await switchMode({ config, clickhouse: address, log, signal: stop });
    } catch (error) {
      if (!stop.aborted) throw error;
    }
  };
}
