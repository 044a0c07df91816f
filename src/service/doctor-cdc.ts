import type pg from 'pg';
import type { Config } from '../config.ts';
import { asCdcError } from '../core/errors.ts';
import { findClickHouse } from './clickhouse-address.ts';
import type { DiagnoseOptions } from './doctor.ts';
import { type BrokerSession, diagnoseBroker, diagnoseRegistry } from './doctor-broker.ts';
import { diagnoseCatalog, diagnoseUncarried } from './doctor-catalog.ts';
import { diagnoseConnect } from './doctor-connect.ts';
import type { Findings } from './doctor-findings.ts';
import { diagnoseLetters } from './doctor-letters.ts';
import { diagnoseListen } from './doctor-listen.ts';
import { diagnoseMode } from './doctor-mode.ts';
import { diagnoseSettings } from './doctor-settings.ts';
import { diagnoseClickHouse, diagnoseDatabases, type SinkSession } from './doctor-sink.ts';
import { carriedTables, diagnoseTopicTables } from './doctor-topic-tables.ts';
import { diagnoseTopics } from './doctor-topics.ts';
import { readSavedState, type SavedState } from './saved-state.ts';
import { SourceCatalog } from './source-catalog.ts';
import { readTopicSamples, type TopicSample } from './topic-samples.ts';

/** Checks brokers, topics, connector, source and sink for what `run` needs in mode `cdc`. Writes nothing. */
export async function diagnoseCdc(options: DiagnoseOptions, findings: Findings): Promise<void> {
  const { config } = options;
  const opened = await findClickHouse(config);
  const sink = await diagnoseClickHouse(config, opened, findings);
  let broker: BrokerSession | undefined;
  try {
    const saved = await readSavedState(config, sink?.clickhouse);
    diagnoseMode(config, saved.checkpoint, findings);
    broker = await diagnoseBroker(config, saved.offsets, findings);
    await diagnoseRegistry(config, findings);
    const samples = broker && (await sample(config, broker, findings));
    if (samples) diagnoseTopics(samples, saved.offsets, findings);
    await diagnoseSource(options, samples, saved, sink, opened?.address.user ?? '', findings);
    if (sink) await diagnoseLetters(sink.clickhouse, config, findings);
    await diagnoseListen(config, findings);
  } finally {
    broker?.cluster.close();
    await sink?.clickhouse.close();
  }
}

async function sample(
  { kafka }: Config,
  { cluster, topics, ranges }: BrokerSession,
  findings: Findings,
): Promise<TopicSample[] | undefined> {
  try {
    return await readTopicSamples({
      cluster,
      topics,
      ranges,
      which: 'newest',
      placeholder: kafka.connector.placeholder,
      registry: kafka.registry,
    });
  } catch (error) {
    findings.fail('topics', asCdcError(error));
    return undefined;
  }
}

/** The connector, what it reads, and the tables that come of it; `samples` are undefined when no broker answers. */
async function diagnoseSource(
  options: DiagnoseOptions,
  samples: readonly TopicSample[] | undefined,
  saved: SavedState,
  sink: SinkSession | undefined,
  user: string,
  findings: Findings,
): Promise<void> {
  const { config } = options;
  const { address } = config.postgres;
  const connectors = await diagnoseConnect(config, samples ?? [], findings);
  let client: pg.Client | undefined;
  let catalog: SourceCatalog | undefined;
  try {
    if (address) {
      client = await diagnoseCatalog(config, connectors, findings);
      // Without its catalog nothing can be said of tables.
      if (!client) return;
      catalog = new SourceCatalog(address);
    } else
      findings.ok(
        'PostgreSQL',
        'not looked at: with postgres.url the types of columns come from its catalog, and verify can compare',
      );
    const fits = await diagnoseTopicTables(
      {
        config,
        samples: samples ?? [],
        connectors,
        client,
        states: saved.states,
        catalog,
        clickhouse: sink?.clickhouse,
        capabilities: sink?.capabilities ?? { time64: true },
        fast: options.fast,
        onScan: options.onScan,
      },
      findings,
    );
    if (client && samples)
      diagnoseSettings(
        config,
        await diagnoseUncarried(client, config, carriedTables(samples), findings),
        findings,
      );
    if (sink) {
      const targets = fits.flatMap(({ plan }) => (plan ? [plan.name.database] : []));
      const databases = targets.length > 0 ? targets : [config.clickhouse.database];
      await diagnoseDatabases(sink, config, [...new Set(databases)], user, findings);
    }
  } finally {
    await catalog?.close();
    await client?.end().catch(() => {});
  }
}
