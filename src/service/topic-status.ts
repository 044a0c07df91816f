import type { Config } from '../config.ts';
import type { PartitionStatus } from '../observe/status.ts';
import type { SavedOffset } from '../sinks/clickhouse/control-tables.ts';
import { Cluster } from '../sources/kafka/cluster.ts';
import { ConsumerGroup } from '../sources/kafka/consumer-group.ts';
import { type PartitionRange, partitionRanges } from '../sources/kafka/sample-topics.ts';
import { TopicCatalog } from '../sources/kafka/topic-catalog.ts';

export interface GroupStatus {
  name: string;
  /** Instances that read the topics, though no service answers. */
  members: { client: string; host: string }[];
}

/** Where a pipeline is in its topics as it saved it; how far behind, and who reads them, only the brokers can tell. */
export function savedPartitions(offsets: readonly SavedOffset[]): PartitionStatus[] {
  return offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset, lag: undefined }));
}

/** The same with the lag, and with partitions of which nothing is saved. Rejects when no broker answers. */
export async function askBrokers(
  { kafka }: Config,
  offsets: readonly SavedOffset[],
): Promise<{ partitions: PartitionStatus[]; group: GroupStatus | undefined }> {
  const { brokers, tls, sasl } = kafka;
  const cluster = new Cluster({ brokers, tls, sasl });
  try {
    const catalog = new TopicCatalog(cluster, kafka.topics);
    await catalog.refresh();
    const ranges = await partitionRanges(cluster, catalog.topics.values());
    const found = await new ConsumerGroup(cluster, kafka.group).describe();
    const fresh = ranges.filter(range => !offsets.some(offset => isSame(offset, range)));
    const partitions = [
      ...offsets.map(({ topic, partition, offset }) => {
        const range = ranges.find(other => isSame(other, { topic, partition }));
        return { topic, partition, offset, lag: range && Math.max(0, range.end - offset) };
      }),
      ...fresh.map(({ topic, partition, start, end }) => ({
        topic,
        partition,
        offset: start,
        lag: end - start,
      })),
    ];
    return { partitions, group: found && { name: kafka.group, members: found.members } };
  } finally {
    cluster.close();
  }
}

function isSame(a: Pick<PartitionRange, 'topic' | 'partition'>, b: typeof a): boolean {
  return a.topic === b.topic && a.partition === b.partition;
}
