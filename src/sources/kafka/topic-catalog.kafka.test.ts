import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutKafka } from '../../../test/support/kafka/java.ts';
import { sharedKafka } from '../../../test/support/kafka/shared-kafka.ts';
import { createTopic, produce } from '../../../test/support/kafka/topics.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { Cluster } from './cluster.ts';
import { TopicCatalog } from './topic-catalog.ts';

test('the ends of a topic are known, also a moment after it was made', { skip: withoutKafka }, async () => {
  const broker = await sharedKafka();
  const cluster = new Cluster({ brokers: [broker.address()] });
  try {
    for (let i = 0; i < 10; i++) {
      const topic = `new_${i}`;
      const catalog = new TopicCatalog(cluster, [topic]);
      await createTopic(broker, topic, { partitions: 6 });
      const isKnown = async () => {
        await catalog.refresh();
        return catalog.topics.has(topic);
      };
      await waitFor(isKnown, { what: `the broker to know ${topic}` });
      assert.deepEqual([...(await catalog.endOffsets()).get(topic)!.values()], [0, 0, 0, 0, 0, 0]);
    }
    await produce(broker, 'new_0', [{ partition: 2, key: 'a', value: 'b' }]);
    const ends = await new TopicCatalog(cluster, ['new_0']).endOffsets();
    assert.equal(ends.get('new_0')!.get(2), 1);
  } finally {
    cluster.close();
  }
});
