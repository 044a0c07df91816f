import { Metrics } from '../../../src/observe/metrics.ts';
import { CdcService } from '../../../src/service/cdc-service.ts';
import type { TestDatabase } from '../postgres.ts';
import { waitFor } from '../wait-for.ts';
import { type CdcPipeline, type CdcPipelineOptions, startCdcPipeline } from './cdc-pipeline.ts';

/** Mode `cdc` in this process: a database through Debezium and Kafka into a ClickHouse database of the same name. */
export interface CdcReplication extends CdcPipeline {
  service: CdcService;
  /** Ends as on SIGTERM; throws what the service failed with. */
  stop(): Promise<void>;
}

export async function startCdcReplication(
  db: TestDatabase,
  options: CdcPipelineOptions = {},
): Promise<CdcReplication> {
  const pipeline = await startCdcPipeline(db, options);
  const { config, log } = pipeline;
  const { url, user, password } = config.clickhouse;
  const service = new CdcService({
    config,
    clickhouse: { url: url!, user, password },
    metrics: new Metrics(),
    log,
    keepRows: false,
    until: undefined,
  });
  let failure: unknown;
  const ended = service.run().catch(error => {
    failure = error;
  });
  const stop = async () => {
    service.stop();
    await ended;
    if (failure !== undefined) throw failure;
  };
  await waitFor(() => failure !== undefined || service.status().phase === 'streaming', {
    what: 'the service to stream',
  });
  if (failure !== undefined) {
    await pipeline[Symbol.asyncDispose]();
    throw failure;
  }
  return {
    ...pipeline,
    service,
    stop,
    async expectEqual() {
      await pipeline.expectEqual();
      if (failure !== undefined) throw failure;
    },
    async [Symbol.asyncDispose]() {
      await stop().catch(() => {});
      await pipeline[Symbol.asyncDispose]();
    },
  };
}
