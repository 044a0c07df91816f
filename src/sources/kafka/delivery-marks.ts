import type { Lsn } from '../../core/lsn.ts';
import type { AssignedPartition, PartitionPosition } from './assigned-partition.ts';

/** Where topics ended at a moment: offsets by topic and partition. */
export type EndOffsets = ReadonlyMap<string, ReadonlyMap<number, number>>;

export interface PartitionLag {
  topic: string;
  partition: number;
  /** In messages. */
  lag: number;
}

/** Where partitions were when batches ended: from a delivery number to offsets. */
export class DeliveryMarks {
  readonly #partitions: () => Iterable<AssignedPartition>;
  readonly #settled = new Map<AssignedPartition, PartitionPosition>();
  #marks: { position: Lsn; partitions: Map<AssignedPartition, PartitionPosition> }[] = [];

  /** `partitions`: those that are read at the moment. */
  constructor(partitions: () => Iterable<AssignedPartition>) {
    this.#partitions = partitions;
  }

  /** The batch with this number ends with these partitions where they are now. */
  add(position: Lsn, moved: Iterable<AssignedPartition>): void {
    const partitions = new Map<AssignedPartition, PartitionPosition>();
    for (const partition of moved) partitions.set(partition, partition.describe());
    this.#marks.push({ position, partitions });
  }

  /** Tells the partitions of a batch that it was delivered. */
  deliver(position: Lsn): void {
    const mark = this.#marks.find(mark => mark.position === position);
    for (const [partition, at] of mark?.partitions ?? []) partition.delivered(at);
  }

  /** Everything up to `position` is in a saved checkpoint. Returns where that moved partitions to. */
  settle(position: Lsn): PartitionPosition[] {
    const moved = new Map<AssignedPartition, PartitionPosition>();
    while (this.#marks.length > 0 && this.#marks[0]!.position <= position) {
      for (const [partition, at] of this.#marks.shift()!.partitions) moved.set(partition, at);
    }
    for (const [partition, at] of moved) this.#settled.set(partition, at);
    return [...moved.values()];
  }

  /** Batches behind `position` will not be delivered. */
  cutBehind(position: Lsn): void {
    this.#marks = this.#marks.filter(mark => mark.position <= position);
  }

  /** Others have the partitions that are not read any more. */
  forgetRest(): void {
    const kept = new Set(this.#partitions());
    for (const map of [this.#settled, ...this.#marks.map(mark => mark.partitions)])
      for (const partition of map.keys()) if (!kept.has(partition)) map.delete(partition);
  }

  /** Where the partitions are once everything up to `position` is written; without those whose place is not known yet. */
  at(position: Lsn): Map<AssignedPartition, PartitionPosition> {
    const found = new Map(this.#settled);
    for (const mark of this.#marks) {
      if (mark.position > position) break;
      for (const [partition, at] of mark.partitions) found.set(partition, at);
    }
    const all = new Map<AssignedPartition, PartitionPosition>();
    for (const partition of this.#partitions()) {
      const at = found.get(partition) ?? partition.begin;
      if (at) all.set(partition, at);
    }
    return all;
  }

  /** How far what is written up to `position` is behind the ends of the partitions. */
  lagsAt(position: Lsn): PartitionLag[] {
    return [...this.at(position)]
      .filter(([{ highWatermark }]) => highWatermark >= 0)
      .map(([{ topic, partition, highWatermark }, { offset }]) => ({
        topic,
        partition,
        lag: Math.max(0, highWatermark - offset),
      }));
  }

  /** Whether everything before `end` is in batches up to `position`. */
  passed(end: EndOffsets, position: Lsn): boolean {
    const at = this.at(position);
    return this.#have(end, partition => at.get(partition)?.offset);
  }

  /** Whether everything before `end` was read. */
  reached(end: EndOffsets): boolean {
    return this.#have(end, ({ located, offset }) => (located ? offset : undefined));
  }

  #have(end: EndOffsets, offsetOf: (partition: AssignedPartition) => number | undefined): boolean {
    for (const partition of this.#partitions()) {
      const wanted = end.get(partition.topic)?.get(partition.partition) ?? 0;
      if (wanted > 0 && (offsetOf(partition) ?? -1) < wanted) return false;
    }
    return true;
  }
}
