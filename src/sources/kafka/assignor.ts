/** A member of the group, as its subscription describes it. */
export interface Member {
  id: string;
  topics: readonly string[];
  /** What it had in `generation`, and would rather keep. */
  owned: readonly { topic: string; partitions: readonly number[] }[];
  generation: number;
}

export type TopicPartitions = Map<string, number[]>;

/**
 * Gives each partition to one member that wants its topic: evenly, and to who had it already where that is even enough.
 * The same input gives the same assignment.
 */
export function assignPartitions(
  members: readonly Member[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicPartitions> {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const owners = previousOwners(sorted);
  const assigned = new Map<string, TopicPartitions>(sorted.map(({ id }) => [id, new Map()]));
  const load = new Map(sorted.map(({ id }) => [id, 0]));
  const give = (id: string, topic: string, partition: number) => {
    const topics = assigned.get(id)!;
    const partitions = topics.get(topic);
    if (partitions) partitions.push(partition);
    else topics.set(topic, [partition]);
    load.set(id, load.get(id)! + 1);
  };

  const wanted = [...partitionCounts].filter(([topic]) =>
    sorted.some(({ topics }) => topics.includes(topic)),
  );
  const total = wanted.reduce((sum, [, count]) => sum + count, 0);
  const least = Math.floor(total / Math.max(1, sorted.length));
  let mayHaveOneMore = total % Math.max(1, sorted.length);
  const free: [topic: string, partition: number][] = [];
  for (const [topic, count] of wanted.sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (let partition = 0; partition < count; partition++) {
      const owner = owners.get(`${topic}/${partition}`);
      const has = owner ? load.get(owner.id)! : 0;
      if (owner?.topics.includes(topic) && (has < least || (has === least && mayHaveOneMore > 0))) {
        if (has === least) mayHaveOneMore--;
        give(owner.id, topic, partition);
      } else free.push([topic, partition]);
    }
  }
  for (const [topic, partition] of free) {
    let lightest: Member | undefined;
    for (const member of sorted) {
      if (!member.topics.includes(topic)) continue;
      if (!lightest || load.get(member.id)! < load.get(lightest.id)!) lightest = member;
    }
    give(lightest!.id, topic, partition);
  }
  return assigned;
}

/** Who had a partition last. */
function previousOwners(members: readonly Member[]): Map<string, Member> {
  const owners = new Map<string, Member>();
  for (const member of members) {
    for (const { topic, partitions } of member.owned) {
      for (const partition of partitions) {
        const key = `${topic}/${partition}`;
        if ((owners.get(key)?.generation ?? -1) < member.generation) owners.set(key, member);
      }
    }
  }
  return owners;
}
