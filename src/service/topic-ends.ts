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
    const ends = await catalog.endOffsets();
    return [...ends].flatMap(([topic, offsets]) =>
      [...offsets].map(([partition, offset]) => ({
        topic,
        topicId: catalog.topics.get(topic)?.id,
        partition,
        offset,
      })),
    );
  } finally {
    cluster.close();
  }
}
