import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerConnection } from './broker-connection.ts';
import { brokerError, KafkaError } from './broker-errors.ts';
import { type Cluster, mayPass } from './cluster.ts';

export interface GroupDescription {
  /** As the broker calls it: `Stable`, `Empty`, `PreparingRebalance` … */
  state: string;
  /** Client name and address of each. */
  members: { client: string; host: string }[];
}

/** The coordinator of a group that nobody has used yet takes a moment to be there. */
const patienceMs = 5000;

/** A consumer group as those see it who are not in it. */
export class ConsumerGroup {
  readonly #cluster: Cluster;
  readonly #group: string;

  constructor(cluster: Cluster, group: string) {
    this.#cluster = cluster;
    this.#group = group;
  }

  /** `undefined` when there is no such group. Rejects with BROKER_PRIVILEGE when it may not be looked at. */
  async describe(): Promise<GroupDescription | undefined> {
    return this.#ask(async connection => {
      const { groups } = await connection.call('describeGroups', 0, [this.#group], false);
      const { errorCode, groupState, members } = groups[0]!;
      if (errorCode === KafkaError.groupIdNotFound) return undefined;
      if (errorCode !== KafkaError.none) throw this.#error(errorCode, 'looking at');
      if (groupState === 'Dead') return undefined;
      return {
        state: groupState,
        members: members.map(({ clientId, clientHost }) => ({
          client: clientId,
          host: clientHost.replace(/^\//, ''),
        })),
      };
    });
  }

  /**
   * Offsets that were committed, by topic and partition; `undefined` when the broker is too old to say. They serve those who
   * watch: `wal_cdc.offsets` says where the pipeline is.
   */
  async committed(
    partitions: ReadonlyMap<string, readonly number[]>,
  ): Promise<Map<string, number> | undefined> {
    return this.#ask(async connection => {
      if (connection.versionOf('offsetFetch') < 8) return undefined;
      const topics = [...partitions].map(([name, indexes]) => ({ name, partitionIndexes: [...indexes] }));
      const asked = { groupId: this.#group, memberId: null, memberEpoch: -1, topics };
      const { groups } = await connection.call('offsetFetch', 0, [asked], false);
      const { errorCode, topics: found } = groups[0]!;
      if (errorCode === KafkaError.groupIdNotFound) return new Map();
      if (errorCode !== KafkaError.none) throw this.#error(errorCode, 'reading the offsets of');
      return new Map(
        found.flatMap(topic =>
          topic.partitions
            .filter(({ committedOffset }) => committedOffset >= 0n)
            .map(
              ({ partitionIndex, committedOffset }) =>
                [`${topic.name}/${partitionIndex}`, Number(committedOffset)] as const,
            ),
        ),
      );
    });
  }

  /** Removes the group with its offsets; false when there is none. Rejects with PIPELINE_RUNNING while it has members. */
  async delete(): Promise<boolean> {
    return this.#ask(async connection => {
      const { results } = await connection.call('deleteGroups', 0, [this.#group]);
      const { errorCode } = results[0]!;
      if (errorCode === KafkaError.groupIdNotFound) return false;
      if (errorCode !== KafkaError.none) throw this.#error(errorCode, 'deleting');
      return true;
    });
  }

  #error(errorCode: number, doing: string) {
    return brokerError(errorCode, `${doing} the consumer group ${this.#group}`);
  }

  /** Asks the coordinator, again while it is on its way to be there. */
  async #ask<T>(run: (connection: BrokerConnection) => Promise<T>): Promise<T> {
    const startedAtMs = performance.now();
    for (;;) {
      try {
        const node = await this.#cluster.coordinatorOf(this.#group);
        return await run(await this.#cluster.connection(node, 'control'));
      } catch (error) {
        if (!mayPass(error) || performance.now() - startedAtMs > patienceMs) throw error;
        await sleep(200);
      }
    }
  }
}
