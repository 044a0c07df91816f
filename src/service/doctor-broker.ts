import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatCount } from '../observe/format-status.ts';
import type { SavedOffset } from '../sinks/clickhouse/control-tables.ts';
import { Cluster, type TopicInfo } from '../sources/kafka/cluster.ts';
import { ConsumerGroup } from '../sources/kafka/consumer-group.ts';
import { type PartitionRange, partitionRanges } from '../sources/kafka/sample-topics.ts';
import { SchemaRegistry } from '../sources/kafka/schema-registry.ts';
import { TopicCatalog } from '../sources/kafka/topic-catalog.ts';
import { count, type Findings, shorten } from './doctor-findings.ts';
import { parsePosition } from './topic-offsets.ts';

export interface BrokerSession {
  cluster: Cluster;
  /** Those that match, with a leader for every partition. */
  topics: TopicInfo[];
  ranges: PartitionRange[];
}

/** Looks at the brokers, the topics and the group. Returns a session for the checks that follow, unless nothing can follow. */
export async function diagnoseBroker(
  config: Config,
  saved: readonly SavedOffset[],
  findings: Findings,
): Promise<BrokerSession | undefined> {
  const { brokers, tls, sasl } = config.kafka;
  const cluster = new Cluster({ brokers, tls, sasl });
  try {
    const { topics: all } = await cluster.describe(null);
    const user = sasl && 'username' in sasl ? ` as ${sasl.username}` : '';
    findings.ok('Kafka', `answers at ${brokers.join(', ')}${user}${sasl ? ` (${sasl.mechanism})` : ''}`);
    diagnoseTls(config, findings);
    const matching = await matchingTopics(cluster, config, [...all.keys()], findings);
    const topics = matching.filter(topic => hasLeaders(topic, findings));
    const ranges = await partitionRanges(cluster, topics);
    const session = { cluster, topics, ranges };
    await diagnoseGroup(config, session, saved, findings);
    if (matching.length > 0) diagnoseOffsets(session, saved, findings);
    return session;
  } catch (error) {
    findings.fail('Kafka', asCdcError(error));
    cluster.close();
    return undefined;
  }
}

function diagnoseTls({ kafka: { brokers, tls } }: Config, findings: Findings): void {
  const remote = brokers.filter(address => !/^(localhost|127\.[\d.]+|\[::1\]):\d+$/.test(address));
  if (!tls && remote.length > 0)
    findings.warn('Kafka', 'the connection is not encrypted', 'Set kafka.tls.enabled, if the brokers can.');
}

async function matchingTopics(
  cluster: Cluster,
  { kafka }: Config,
  existing: readonly string[],
  findings: Findings,
): Promise<TopicInfo[]> {
  const catalog = new TopicCatalog(cluster, kafka.topics);
  await catalog.refresh();
  const topics = [...catalog.topics.values()];
  const matches = (pattern: string, name: string) => new RegExp(`^(?:${pattern})$`).test(name);
  const quote = (patterns: readonly string[]) => patterns.map(text => `"${text}"`).join(', ');
  if (topics.length === 0) {
    const others =
      existing.length > 0
        ? `these are there: ${shorten([...existing].sort())}`
        : 'there is none that the user may see';
    findings.fail(
      'topics',
      new CdcError('NO_TOPICS', `none matches ${quote(kafka.topics)}: run would wait for one; ${others}`),
    );
    return [];
  }
  findings.ok('topics', `${count(topics.length, 'topic')} to read`);
  const unmatched = kafka.topics.filter(pattern => !topics.some(({ name }) => matches(pattern, name)));
  if (unmatched.length > 0)
    findings.warn(
      'topics',
      `none matches ${quote(unmatched)}`,
      'Correct kafka.topics, or remove it; a topic is made with the first row of its table.',
    );
  return topics;
}

function hasLeaders({ name, partitions }: TopicInfo, findings: Findings): boolean {
  const without = partitions.flatMap(({ leader }, partition) => (leader < 0 ? [partition] : []));
  if (without.length === 0) return true;
  findings.fail(
    `topic ${name}`,
    new CdcError('BROKER_UNREACHABLE', `partition ${without.join(', ')} has no leader: nobody can read it`, {
      hint: 'Bring the brokers back that have it.',
    }),
  );
  return false;
}

async function diagnoseGroup(
  { kafka: { group: name } }: Config,
  { cluster, topics }: BrokerSession,
  saved: readonly SavedOffset[],
  findings: Findings,
): Promise<void> {
  const subject = `consumer group ${name}`;
  const group = new ConsumerGroup(cluster, name);
  try {
    const found = await group.describe();
    if (!found) {
      findings.ok(subject, 'run makes it');
      return;
    }
    const { members, state } = found;
    const others = members.filter(({ client }) => client !== 'wal-cdc');
    if (others.length > 0)
      findings.fail(
        subject,
        new CdcError(
          'GROUP_CONFLICT',
          `others are in it: ${shorten(others.map(({ client, host }) => `${client} at ${host}`))}`,
        ),
      );
    else if (members.length > 0)
      findings.ok(
        subject,
        `${count(members.length, 'instance')} of the service: ${shorten(members.map(({ host }) => host))}; ${state}`,
      );
    else findings.ok(subject, 'nobody is in it');
    if (topics.length === 0) return;
    const partitions = new Map(topics.map(topic => [topic.name, [...topic.partitions.keys()]]));
    const committed = (await group.committed(partitions)) ?? new Map<string, number>();
    const isSaved = (name: string) => saved.some(({ topic, partition }) => `${topic}/${partition}` === name);
    const unsaved = [...committed.keys()].filter(partition => !isSaved(partition));
    if (unsaved.length > 0 && members.length === 0)
      findings.warn(
        subject,
        `it has committed offsets that this pipeline has not saved, of ${shorten(unsaved)}: run reads these from their earliest message`,
        'That is as it should be after teardown. If ClickHouse was restored or changed, look for the right clickhouse.url.',
      );
  } catch (error) {
    findings.fail(subject, asCdcError(error));
  }
}

/** Whether what is to be read next is there still. */
function diagnoseOffsets(
  { topics, ranges }: BrokerSession,
  saved: readonly SavedOffset[],
  findings: Findings,
): void {
  const gone = new Set(saved.map(({ topic }) => topic));
  const recreated = new Set<string>();
  let behind = 0;
  for (const topic of topics) {
    gone.delete(topic.name);
    for (const { partition, start, end } of ranges.filter(range => range.topic === topic.name)) {
      const subject = `topic ${topic.name}`;
      const offset = saved.find(other => other.topic === topic.name && other.partition === partition);
      const savedId = offset && parsePosition(offset).topicId;
      if (!offset) {
        behind += end - start;
        if (start > 0)
          findings.warn(
            subject,
            `partition ${partition} begins at offset ${start}, and nothing of it was read yet: unless it is compacted, rows that did not change since are missing`,
            'Let the connector take a new snapshot (an incremental one, by a signal), then "wal-cdc verify".',
          );
      } else if (savedId !== undefined && topic.id !== undefined && savedId !== topic.id) {
        recreated.add(topic.name);
        behind += end - start;
      } else if (offset.offset < start || offset.offset > end) {
        const what =
          offset.offset < start
            ? `offset ${offset.offset} of partition ${partition} is to be read next, but it begins at ${start}`
            : `partition ${partition} was read up to offset ${offset.offset}, but it ends at ${end}`;
        findings.fail(subject, new CdcError('OFFSET_LOST', what));
      } else behind += end - offset.offset;
    }
  }
  for (const name of recreated)
    findings.warn(
      `topic ${name}`,
      'it was deleted and created again: run reads it from its beginning, and its rows go before those of the old one',
      'Nothing to do, if that was meant.',
    );
  if (gone.size > 0)
    findings.warn(
      'topics',
      `${count(gone.size, 'topic')} that this pipeline has read ${gone.size === 1 ? 'is' : 'are'} gone, or not among kafka.topics any more: ${shorten([...gone])}`,
      'Correct kafka.topics if that was not meant; what was read stays in ClickHouse.',
    );
  findings.ok('lag', `${formatCount(behind)} messages to read`);
}

/** The schema registry, when one is set. */
export async function diagnoseRegistry({ kafka: { registry } }: Config, findings: Findings): Promise<void> {
  if (registry === undefined) return;
  const client = new SchemaRegistry(registry);
  try {
    await client.check();
    findings.ok('schema registry', `answers at ${client.address}`);
  } catch (error) {
    findings.fail('schema registry', asCdcError(error));
  }
}
