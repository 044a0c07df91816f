import type { Config } from '../config.ts';
import { Cluster } from '../sources/kafka/cluster.ts';
import type { PartitionId } from '../sources/kafka/consumer.ts';
import { TopicCatalog } from '../sources/kafka/topic-catalog.ts';

/** Where a partition ends: `offset` of the message that comes next. */
export type TopicEnd = PartitionId & { offset: number };

/** Where the topics of the pipeline end at the moment, behind the last committed transaction. */
export async function listTopicEnds({ kafka }: Config): Promise<TopicEnd[]> {
  const { brokers, tls, sasl, topics } = kafka;
  const cluster = new Cluster({ brokers, tls, sasl });
  try {
    const catalog = new TopicCatalog(cluster, topics);
    await catalog.refresh();
    const partitions = [...catalog.topics.values()].flatMap(({ name, id, partitions }) =>
      partitions.map(({ leader }, partition) => ({ topic: name, topicId: id, partition, leader })),
    );
    const ends = await cluster.listOffsets(partitions, 'end');
    return partitions.map(({ topic, topicId, partition }) => ({
      topic,
      topicId,
      partition,
      offset: ends.get(topic)!.get(partition)!,
    }));
  } finally {
    cluster.close();
  }
}
