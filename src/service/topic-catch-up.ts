import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Log } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { CdcService } from './cdc-service.ts';
import type { ClickHouseAddress } from './clickhouse-address.ts';
import { listConnectorSlots } from './connector-slots.ts';
import { runUntilAborted } from './run-until-aborted.ts';
import type { SourceCatalog } from './source-catalog.ts';
import { listTopicEnds } from './topic-ends.ts';

export interface TopicCatchUpOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  control: ControlTables;
  catalog: SourceCatalog;
  log: Log;
  signal: AbortSignal;
}

const pollIntervalMs = 200;
/** How long the connector may take from a commit to its message; it says itself when it has told PostgreSQL. */
const connectorPatienceMs = 3000;
/** How long the instances that run may save no progress; then one runs here as well. */
const servicePatienceMs = 5000;

/** How often it is run here before that is given up. */
const mostRuns = 10;

/**
 * Brings ClickHouse up to what PostgreSQL has, as far as that can be known through a connector: to where the topics end a
 * moment later. Beside instances that run it waits for their checkpoints; when there are none, the pipeline is run here.
 */
export class TopicCatchUp {
  readonly #options: TopicCatchUpOptions;

  constructor(options: TopicCatchUpOptions) {
    this.#options = options;
  }

  async reach(lsn: Lsn): Promise<void> {
    await this.#untilProduced(lsn);
    const wanted = await listTopicEnds(this.#options.config);
    let seen = '';
    let movedAtMs = performance.now();
    let runs = 0;
    for (;;) {
      const saved = await this.#savedOffsets();
      const isReached = wanted.every(
        ({ topic, partition, offset }) => (saved.get(`${topic}/${partition}`) ?? 0) >= offset,
      );
      if (isReached) return;
      const now = JSON.stringify([...saved]);
      if (now !== seen) {
        seen = now;
        movedAtMs = performance.now();
      } else if (performance.now() - movedAtMs > servicePatienceMs) {
        if (runs++ === mostRuns) throw this.#stuck();
        await this.#run();
        // Beside instances that are only slow it has read some of the partitions.
        movedAtMs = performance.now();
      }
      await this.#pause();
    }
  }

  #stuck(): CdcError {
    return new CdcError(
      'SERVICE_STUCK',
      `the instances of pipeline "${this.#options.config.pipeline}" save no progress: partitions that they have are not read to their ends`,
      { hint: 'Look at their logs and at "wal-cdc status".' },
    );
  }

  /** Until the connector has confirmed the position, or has had the time that it needs. */
  async #untilProduced(lsn: Lsn): Promise<void> {
    const startedAtMs = performance.now();
    while (performance.now() - startedAtMs < connectorPatienceMs) {
      const slots = await this.#options.catalog.use(client =>
        listConnectorSlots(client, this.#options.config),
      );
      const active = slots.filter(slot => slot.active);
      if (active.length > 0 && active.every(slot => slot.confirmedFlush >= lsn)) return;
      await this.#pause();
    }
  }

  /** By topic and partition. */
  async #savedOffsets(): Promise<Map<string, number>> {
    const { control } = this.#options;
    if (!(await control.exists())) return new Map();
    return new Map(
      (await control.loadOffsets()).map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]),
    );
  }

  async #run(): Promise<void> {
    const { config, clickhouse, log, signal } = this.#options;
    log.warn('no instance of the pipeline makes progress: it is run here until the topics end');
    const metrics = new Metrics();
    const service = new CdcService({ config, clickhouse, metrics, log, keepRows: false, until: 'current' });
    await runUntilAborted(service, signal);
  }

  async #pause(): Promise<void> {
    await sleep(pollIntervalMs, undefined, { signal: this.#options.signal });
  }
}
