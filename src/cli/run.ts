import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { startServer } from '../observe/server.ts';
import { openClickHouse } from '../service/clickhouse-address.ts';
import { parseUntil, WalService } from '../service/wal-service.ts';

export interface RunOptions {
  untilPosition?: string;
  keepRows: boolean;
}

/** The service. Exit code 4 when a table is stopped at the end. */
export async function run(config: Config, options: RunOptions, stop: AbortSignal): Promise<number> {
  if (config.mode !== 'wal')
    throw new CdcError('CONFIG_INVALID', `mode ${config.mode} is not there yet`, { hint: 'Use --mode wal.' });
  const until = parseUntil(options.untilPosition);
  const log = createLog(config.log);
  const metrics = new Metrics();
  const clickhouse = await openClickHouse(config);
  try {
    if (clickhouse.embeddedUrl) log.info({ url: clickhouse.embeddedUrl }, 'embedded ClickHouse');
    const service = new WalService({
      config,
      clickhouse: clickhouse.address,
      metrics,
      log,
      keepRows: options.keepRows,
      until,
    });
    const server = await startServer({
      listen: config.listen,
      token: config.token,
      provider: service,
      metrics,
    });
    try {
      log.info({ url: server.url }, 'status page, health and metrics');
      stop.addEventListener('abort', () => service.stop(), { once: true });
      if (stop.aborted) service.stop();
      await service.run();
      const { tables, checkpoint } = service.status();
      const stopped = tables.filter(table => table.state === 'stopped');
      log.info({ checkpoint, stopped: stopped.map(table => table.name) }, 'ended');
      return stopped.length > 0 ? 4 : 0;
    } finally {
      await server.close();
    }
  } finally {
    await clickhouse.close();
  }
}
