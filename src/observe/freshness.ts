const sliceMs = 5_000;
const slices = 12;
const bucketsPerOctave = 16;
const smallestMs = 0.125;
const bucketCount = bucketsPerOctave * 27; // up to 4.6 hours

/** Upper bounds, in seconds, of the buckets that Prometheus sees. */
const exportedBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/**
 * How old is what cannot be queried yet, and how long commits took to become queryable.
 *
 * Times are milliseconds since 1970, of the source's clock for commits and of ours for `nowMs`; a clock of the source
 * that runs ahead counts as 0. Latencies go into a fixed log-linear histogram (steps of 4.4 %) in slices of five
 * seconds, so that recording allocates nothing.
 */
export class Freshness {
  #oldestPendingMs: number | undefined;
  #troubleSinceMs: number | undefined;
  readonly #counts = Array.from({ length: slices }, () => new Uint32Array(bucketCount));
  readonly #sliceNumbers = new Float64Array(slices).fill(-1);
  readonly #exported = new Float64Array(exportedBounds.length + 1);
  #sumSeconds = 0;

  /** The commit time of the oldest change that was read but is not queryable; undefined when there is none. */
  setOldestPending(commitMs: number | undefined): void {
    this.#oldestPendingMs = commitMs;
  }

  /** Whether a change was read that is not queryable. */
  get pending(): boolean {
    return this.#oldestPendingMs !== undefined;
  }

  /**
   * Nothing can be written from `nowMs` on, and commits may come that nobody reads: the age counts from now, or from the
   * oldest change that waited already, until `troubleEnded`. What was read is read again. A commit that is on its way here at that
   * moment is older by as much as that takes.
   */
  troubleBegan(nowMs: number): void {
    this.#troubleSinceMs = Math.min(
      this.#troubleSinceMs ?? Number.POSITIVE_INFINITY,
      this.#oldestPendingMs ?? Number.POSITIVE_INFINITY,
      nowMs,
    );
    this.#oldestPendingMs = undefined;
  }

  troubleEnded(): void {
    this.#troubleSinceMs = undefined;
  }

  /** Age of the oldest committed change that is not yet queryable, in trouble an upper bound; 0 when there is none. */
  ageMs(nowMs: number): number {
    return Math.max(0, nowMs - Math.min(this.#oldestPendingMs ?? nowMs, this.#troubleSinceMs ?? nowMs));
  }

  /** `transactions` that took `latencyMs` from their commit became queryable. */
  record(latencyMs: number, transactions: number, nowMs: number): void {
    const latency = Math.max(0, latencyMs);
    this.#slice(nowMs)[bucketOf(latency)]! += transactions;
    const seconds = latency / 1000;
    let i = 0;
    while (i < exportedBounds.length && seconds > exportedBounds[i]!) i++;
    this.#exported[i]! += transactions;
    this.#sumSeconds += seconds * transactions;
  }

  #slice(nowMs: number): Uint32Array {
    const number = Math.floor(nowMs / sliceMs);
    const i = number % slices;
    if (this.#sliceNumbers[i] !== number) {
      this.#counts[i]!.fill(0);
      this.#sliceNumbers[i] = number;
    }
    return this.#counts[i]!;
  }

  /** Milliseconds from commit to queryable, of the last minute; empty when there was no transaction. */
  percentiles(nowMs: number): { p50?: number; p99?: number } {
    const merged = new Float64Array(bucketCount);
    const newest = Math.floor(nowMs / sliceMs);
    let total = 0;
    this.#counts.forEach((counts, i) => {
      if (this.#sliceNumbers[i]! <= newest - slices) return;
      for (let bucket = 0; bucket < bucketCount; bucket++) {
        merged[bucket]! += counts[bucket]!;
        total += counts[bucket]!;
      }
    });
    if (total === 0) return {};
    return { p50: quantile(merged, total, 0.5), p99: quantile(merged, total, 0.99) };
  }

  /** The histogram since the start, cumulative as Prometheus wants it. */
  exported(): { buckets: { le: number; count: number }[]; count: number; sumSeconds: number } {
    let count = 0;
    const buckets = exportedBounds.map((le, i) => ({ le, count: (count += this.#exported[i]!) }));
    return { buckets, count: count + this.#exported[exportedBounds.length]!, sumSeconds: this.#sumSeconds };
  }
}

function bucketOf(latencyMs: number): number {
  if (latencyMs <= smallestMs) return 0;
  return Math.min(bucketCount - 1, Math.ceil(Math.log2(latencyMs / smallestMs) * bucketsPerOctave));
}

function quantile(counts: Float64Array, total: number, q: number): number {
  const rank = Math.ceil(total * q);
  let seen = 0;
  let bucket = 0;
  while ((seen += counts[bucket]!) < rank) bucket++;
  const upperMs = smallestMs * 2 ** (bucket / bucketsPerOctave);
  return upperMs < 100 ? Math.round(upperMs * 10) / 10 : Math.round(upperMs);
}
