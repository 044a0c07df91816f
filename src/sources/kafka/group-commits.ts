import type { PartitionPosition } from './assigned-partition.ts';

const retryMs = 1000;

/**
 * Offsets on their way to the consumer group: one commit at a time, of the newest. They serve those who watch; a commit that
 * fails is tried again.
 */
export class GroupCommits {
  readonly #commit: (offsets: PartitionPosition[]) => Promise<boolean>;
  readonly #waiting = new Map<string, PartitionPosition>();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(commit: (offsets: PartitionPosition[]) => Promise<boolean>) {
    this.#commit = commit;
  }

  add(positions: readonly PartitionPosition[]): void {
    for (const position of positions) this.#waiting.set(nameOf(position), position);
    this.#start();
  }

  /** Resolves when what waits was tried. */
  async flush(): Promise<void> {
    await this.#running;
    if (this.#waiting.size > 0) await this.#try();
  }

  /** Others may have the partitions now. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #start(): void {
    if (this.#running || this.#waiting.size === 0) return;
    this.#running = this.#try().then(isDone => {
      this.#running = undefined;
      clearTimeout(this.#timer);
      if (isDone) this.#start();
      else this.#timer = setTimeout(() => this.#start(), retryMs).unref();
    });
  }

  async #try(): Promise<boolean> {
    const offsets = [...this.#waiting.values()];
    this.#waiting.clear();
    if (await this.#commit(offsets)) return true;
    for (const position of offsets)
      if (!this.#waiting.has(nameOf(position))) this.#waiting.set(nameOf(position), position);
    return false;
  }
}

function nameOf({ topic, partition }: PartitionPosition): string {
  return `${topic}/${partition}`;
}
