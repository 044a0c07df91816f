import { setTimeout as sleep } from 'node:timers/promises';
import { brokerError, isPassing } from './broker-errors.ts';
import { type Cluster, mayPass, partitionsOf, type TopicInfo } from './cluster.ts';

/** A topic is gone when it was missing for so long: a broker that has just started may not know all of them yet. */
const goneMs = 2000;
/** How long brokers may take to lead the partitions of a topic that is new. */
const newMs = 10_000;

/** The topics whose whole names match one of the patterns, as the cluster last described them. */
export class TopicCatalog {
  topics: ReadonlyMap<string, TopicInfo> = new Map();
  readonly #cluster: Cluster;
  readonly #patterns: RegExp[];
  /** Names, when every pattern is one: then the broker says what is wrong with a topic instead of leaving it out. */
  readonly #names: string[] | null;
  readonly #missingSinceMs = new Map<string, number>();

  constructor(cluster: Cluster, patterns: readonly string[]) {
    this.#cluster = cluster;
    this.#patterns = patterns.map(pattern => new RegExp(`^(?:${pattern})$`));
    const names = patterns.map(pattern =>
      /^(?:[\w-]|\\[.-])+$/.test(pattern) ? pattern.replaceAll('\\', '') : null,
    );
    this.#names = names.every(name => name !== null) ? names : null;
  }

  /** Reads it again. Rejects with BROKER_PRIVILEGE when a topic that is named may not be read. */
  async refresh(): Promise<void> {
    const { topics, errors } = await this.#cluster.describe(this.#names);
    for (const [name, errorCode] of errors)
      if (this.#matches(name) && !isPassing(errorCode))
        throw brokerError(errorCode, `describing topic ${name}`);
    const now = performance.now();
    for (const [name, known] of this.topics) {
      if (topics.has(name)) {
        this.#missingSinceMs.delete(name);
        continue;
      }
      const sinceMs = this.#missingSinceMs.get(name) ?? now;
      this.#missingSinceMs.set(name, sinceMs);
      if (now - sinceMs < goneMs) topics.set(name, known);
      else this.#missingSinceMs.delete(name);
    }
    this.topics = new Map(
      [...topics].filter(([name]) => this.#matches(name)).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  /** Reads it again, and where each partition ends, behind the last committed transaction: offsets by topic and partition. */
  async endOffsets(): Promise<Map<string, Map<number, number>>> {
    const startedAtMs = performance.now();
    for (;;) {
      await this.refresh();
      try {
        return await this.#cluster.listOffsets(partitionsOf(this.topics.values()), 'end');
      } catch (error) {
        if (!mayPass(error) || performance.now() - startedAtMs > newMs) throw error;
      }
      await sleep(200);
    }
  }

  #matches(name: string): boolean {
    return this.#patterns.some(pattern => pattern.test(name));
  }
}
