import { Cluster } from '../../src/sources/kafka/cluster.ts';
import { decodeFetchResponse } from '../../src/sources/kafka/fetch-response.ts';
import { lastBatch } from '../../src/sources/kafka/record-cursor.ts';

/** An answer to a fetch, as `RecordCursor.open` takes it. */
export interface FetchedRecords {
  bytes: Buffer;
  start: number;
  end: number;
  offset: number;
}

const answerBytes = 4 << 20;

/** The beginning of a topic's only partition, `atLeast` bytes of it or all that there is, as our consumer fetches it. */
export async function fetchRecords(
  broker: string,
  topic: string,
  atLeast: number,
): Promise<FetchedRecords[]> {
  const cluster = new Cluster({ brokers: [broker] }, answerBytes);
  try {
    const { id, partitions } = (await cluster.describe([topic])).topics.get(topic)!;
    const { leader, leaderEpoch } = partitions[0]!;
    const connection = await cluster.connection(leader, 'fetch');
    const version = connection.versionOf('fetch');
    const topicId = version >= 13 ? id : topic;
    const fetched: FetchedRecords[] = [];
    let offset = 0;
    for (let size = 0; size < atLeast; ) {
      const asked = {
        partition: 0,
        currentLeaderEpoch: leaderEpoch,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: -1,
        partitionMaxBytes: answerBytes,
      };
      const wanted = [{ topicId, partitions: [asked] }] as never[];
      const answer = await connection.fetch(500, 500, 1, answerBytes, 0, 0, -1, wanted, [], '');
      const { start, end } = decodeFetchResponse(answer.bytes, answer.at, version).partitions[0]!;
      const last = lastBatch(answer.bytes, start, end);
      if (!last) break;
      fetched.push({ bytes: answer.bytes, start, end, offset });
      offset = last.nextOffset;
      size += end - start;
    }
    return fetched;
  } finally {
    cluster.close();
  }
}
