import type { Config } from '../config.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { startServer } from '../observe/server.ts';
import { type OpenClickHouse, openClickHouse } from '../service/clickhouse-address.ts';
import type {
  PipelineService,
  PipelineServiceOptions,
  PipelineSession,
} from '../service/pipeline-service.ts';

export interface RunningPipeline {
  service: PipelineService<PipelineSession>;
  clickhouse: OpenClickHouse;
  /** Of the status page. */
  url: string;
}

export interface ServiceParts {
  make(own: PipelineServiceOptions, clickhouse: OpenClickHouse): PipelineService<PipelineSession>;
  /** Runs before the service does. */
  before?(own: PipelineServiceOptions, clickhouse: OpenClickHouse): Promise<void>;
  /** Runs beside the service. */
  meanwhile?(running: RunningPipeline, ended: AbortSignal): Promise<void>;
}

/** How long what has not begun yet may take to notice a stop. */
const leaveMs = 3000;
/** How long after a stop a batch may stay in flight that ClickHouse does not take: less than the 30 s after which most would kill. */
const giveUpMs = 20_000;

/** Runs the service that `make` gives, with its HTTP server, until it ends or `stop`. */
export async function runService(
  config: Config,
  stop: AbortSignal,
  { make, before, meanwhile }: ServiceParts,
): Promise<number> {
  const log = createLog(config.log);
  const metrics = new Metrics();
  const clickhouse = await openClickHouse(config);
  try {
    if (clickhouse.embeddedUrl) log.info({ url: clickhouse.embeddedUrl }, 'embedded ClickHouse');
    const service = make({ config, metrics, log }, clickhouse);
    const server = await startServer({
      listen: config.listen,
      token: config.token,
      provider: service,
      metrics,
    });
    const ended = new AbortController();
    let beside: Promise<void> | undefined;
    try {
      log.info({ url: server.url }, 'status page, health and metrics');
      const leave = () => {
        // A server that does not answer keeps it from beginning: there is nothing to finish.
        if (!service.session) process.exit(0);
      };
      const giveUp = () => {
        const { problem } = service.status();
        if (!problem) return;
        log.error(
          { code: problem.code },
          `${problem.message}: left it; the next start writes again what is not acknowledged`,
        );
        process.exit(3);
      };
      const onStop = () => {
        service.stop();
        setTimeout(leave, leaveMs).unref();
        setTimeout(giveUp, giveUpMs).unref();
      };
      stop.addEventListener('abort', onStop, { once: true });
      if (stop.aborted) onStop();
      await before?.({ config, metrics, log }, clickhouse);
      beside = meanwhile?.({ service, clickhouse, url: server.url }, AbortSignal.any([stop, ended.signal]));
      await Promise.race([service.run(), ...(clickhouse.failed ? [clickhouse.failed] : [])]);
      const { tables, checkpoint } = service.status();
      const stopped = tables.filter(table => table.state === 'stopped');
      log.info({ checkpoint, stopped: stopped.map(table => table.name) }, 'ended');
      return stopped.length > 0 ? 4 : 0;
    } finally {
      ended.abort();
      await beside;
      await server.close();
    }
  } finally {
    await clickhouse.close();
  }
}
