import type { ControlTables, SavedOffset } from '../sinks/clickhouse/control-tables.ts';
import type { PartitionPosition } from '../sources/kafka/assigned-partition.ts';
import type { PartitionId, SavedPosition } from '../sources/kafka/consumer.ts';

/** What `wal_cdc.offsets` has as text beside topic, partition and offset. LSNs are numbers as text. */
interface State {
  topicId?: string | undefined;
  leaderEpoch: number;
  snapshots: [offset: number, lsn: string][];
  lastCommit: string;
  lastLsn: string;
}

const nothingBefore = { leaderEpoch: -1, snapshots: [], lastCommit: 0n, lastLsn: 0n };

/** Where a pipeline is in its topics; saved beside the rows. */
export class TopicOffsets {
  readonly #control: ControlTables;
  /** By topic and partition, as saved last. */
  readonly #generations = new Map<string, number>();

  constructor(control: ControlTables) {
    this.#control = control;
  }

  /** As they are saved now: another instance may have had the partitions until a moment ago. */
  async load(partitions: readonly PartitionId[]): Promise<SavedPosition[]> {
    const wanted = new Set(partitions.map(nameOf));
    const saved = await this.#control.loadOffsets();
    for (const offset of saved) this.#generations.set(nameOf(offset), offset.generation);
    return saved.filter(offset => wanted.has(nameOf(offset))).map(parsePosition);
  }

  async save(positions: readonly PartitionPosition[]): Promise<void> {
    await this.#control.saveOffsets(positions.map(position => this.#encode(position, 0)));
  }

  /** Goes on there in each of the partitions, knowing nothing of what is before. */
  async begin(ends: readonly (PartitionId & { offset: number })[]): Promise<void> {
    await this.load(ends);
    await this.save(ends.map(end => ({ ...end, ...nothingBefore })));
  }

  /** The topic was made anew: it is read from its beginning. */
  async restart({ topic, topicId }: PartitionId): Promise<void> {
    const saved = (await this.#control.loadOffsets()).filter(offset => offset.topic === topic);
    for (const offset of saved) this.#generations.set(nameOf(offset), offset.generation);
    await this.#control.saveOffsets(
      saved.map(({ partition }) =>
        this.#encode({ topic, topicId, partition, offset: 0, ...nothingBefore }, 1),
      ),
    );
  }

  #encode(position: PartitionPosition, rise: number): SavedOffset {
    const { topic, partition, offset, topicId, leaderEpoch, snapshots, lastCommit, lastLsn } = position;
    const generation = (this.#generations.get(nameOf(position)) ?? 0) + rise;
    this.#generations.set(nameOf(position), generation);
    const state: State = {
      topicId,
      leaderEpoch,
      snapshots: snapshots.map(mark => [mark.offset, String(mark.lsn)]),
      lastCommit: String(lastCommit),
      lastLsn: String(lastLsn),
    };
    return { topic, partition, generation, offset, state: JSON.stringify(state) };
  }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

export function parsePosition({ topic, partition, offset, state }: SavedOffset): SavedPosition {
  const { topicId, leaderEpoch, snapshots, lastCommit, lastLsn } = JSON.parse(state) as State;
  return {
    topic,
    partition,
    offset,
    topicId,
    leaderEpoch,
    snapshots: snapshots.map(([at, lsn]) => ({ offset: at, lsn: BigInt(lsn) })),
    lastCommit: BigInt(lastCommit),
    lastLsn: BigInt(lastLsn),
  };
}
