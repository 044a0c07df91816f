import { matchesPattern } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName, type Relation } from '../core/relation.ts';
import { Cluster } from '../sources/kafka/cluster.ts';
import { partitionRanges } from '../sources/kafka/sample-topics.ts';
import { TopicCatalog } from '../sources/kafka/topic-catalog.ts';
import { listTables } from '../sources/wal/catalog.ts';
import { connectClickHouse, findClickHouse } from './clickhouse-address.ts';
import { type Plan, type PlanStep, planDatabases, planTable } from './plan.ts';
import { readSavedState } from './saved-state.ts';
import { SourceCatalog } from './source-catalog.ts';
import { tableOfTopic } from './topic-relations.ts';
import { readTopicSamples, type TopicSample, wantedTables } from './topic-samples.ts';
import { fitTopicTable, type TopicTableFit } from './topic-table-fit.ts';

/** What `run` would make for the topics that there are, and for tables of the source that will have some. Changes nothing. */
export async function planTopics(config: Config): Promise<Plan> {
  const opened = await findClickHouse(config);
  const sink = opened && (await connectClickHouse(opened.address));
  const { address } = config.postgres;
  const catalog = address && new SourceCatalog(address);
  try {
    const samples = await readFirstMessages(config);
    const { states } = await readSavedState(config, sink?.clickhouse);
    const options = {
      config,
      states,
      catalog,
      clickhouse: sink?.clickhouse,
      capabilities: sink?.capabilities ?? { time64: true },
    };
    const carried: TopicTableFit[] = [];
    for (const { relation } of wantedTables(config, samples).values())
      carried.push(await fitTopicTable(relation, options));
    const coming: TopicTableFit[] = [];
    for (const relation of catalog ? await uncarriedTables(config, catalog, carried) : [])
      coming.push(await fitTopicTable(relation, options));
    const steps = [
      ...(await planDatabases(config, [...carried, ...coming], sink)),
      ...carried.map(fit => planTopicTable(config, fit)),
      ...coming.map(fit => planTopicTable(config, fit, 'no message of it has come yet')),
      ...samples
        .filter(({ topic }) => !coming.some(({ name }) => name === qualifiedName(tableOfTopic(topic.name))))
        .flatMap(explainSilence),
    ];
    return { steps, sawClickHouse: sink !== undefined };
  } finally {
    await catalog?.close();
    await sink?.clickhouse.close();
  }
}

async function readFirstMessages({ kafka }: Config): Promise<TopicSample[]> {
  const { brokers, tls, sasl, registry, connector } = kafka;
  const cluster = new Cluster({ brokers, tls, sasl });
  try {
    const catalog = new TopicCatalog(cluster, kafka.topics);
    await catalog.refresh();
    const topics = [...catalog.topics.values()];
    const ranges = await partitionRanges(cluster, topics);
    const { placeholder } = connector;
    return await readTopicSamples({ cluster, topics, ranges, which: 'earliest', placeholder, registry });
  } finally {
    cluster.close();
  }
}

/** Tables of the source that match, and that no message has shown. */
async function uncarriedTables(
  { tables, exclude }: Config,
  catalog: SourceCatalog,
  carried: readonly TopicTableFit[],
): Promise<Relation[]> {
  const all = await catalog.use(listTables);
  return all
    .filter(
      table =>
        table.hasColumns &&
        matchesPattern(tables, exclude, table.schema, table.name) &&
        !carried.some(({ name }) => name === qualifiedName(table)),
    )
    .map(({ schema, name }, i) => ({ id: -1 - i, schema, name, replicaIdentity: 'd', columns: [] }));
}

function planTopicTable(config: Config, fit: TopicTableFit, pending?: string): PlanStep {
  const { name, problem } = fit;
  // Nothing is in the way: a schema, a catalog or a table will say it.
  if (problem?.code === 'TABLE_UNKNOWN')
    return {
      server: 'ClickHouse',
      object: `table for ${name}`,
      status: 'unknown',
      note: `nothing can be said yet: ${problem.message}\n${problem.hint}`,
    };
  const step = planTable(config, fit);
  return pending && step.status === 'create' ? { ...step, note: pending } : step;
}

/** Why nothing can be said of a topic. */
function explainSilence({ topic, tables, messages, unreadable, failure }: TopicSample): PlanStep[] {
  if (tables.size > 0) return [];
  const [first] = unreadable;
  const why =
    failure instanceof CdcError
      ? failure.message
      : messages === 0
        ? 'it has no messages'
        : first
          ? `its messages cannot be read: ${topic.name}/${first.partition}/${first.offset}: ${first.reason}`
          : 'its first messages are no changes of rows';
  return [
    {
      server: 'ClickHouse',
      object: `table for topic ${topic.name}`,
      status: 'unknown',
      note: `nothing can be said yet: ${why}`,
    },
  ];
}
