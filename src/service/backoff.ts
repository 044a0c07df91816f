import { setTimeout as sleep } from 'node:timers/promises';

const shortestMs = 250;
const longestMs = 10_000;

/** Pauses between tries, each twice as long as the one before. */
export class Backoff {
  #delayMs = shortestMs;
  readonly #stop: AbortSignal;

  /** `stop` ends a pause. */
  constructor(stop: AbortSignal) {
    this.#stop = stop;
  }

  /** How long the next pause is. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** Resolves after the pause, or at once when stopped. */
  async wait(): Promise<void> {
    await sleep(this.#delayMs, undefined, { signal: this.#stop }).catch(() => {});
    this.#delayMs = Math.min(this.#delayMs * 2, longestMs);
  }

  /** A try worked. */
  reset(): void {
    this.#delayMs = shortestMs;
  }
}
