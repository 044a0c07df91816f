import { setTimeout as sleep } from 'node:timers/promises';
import { asCdcError } from '../../core/errors.ts';
import type { Log } from '../../observe/log.ts';

/** Tries statements again while ClickHouse is away or full, for `patienceMs` at most. */
export class Patience {
  readonly #patienceMs: number;
  readonly #log: Log;
  #stopped = false;

  constructor(patienceMs: number, log: Log) {
    this.#patienceMs = patienceMs;
    this.#log = log;
  }

  /** Throws the last failure when it is in vain, or of another kind. */
  async run<T>(attempt: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    for (let delayMs = 50; ; delayMs = Math.min(delayMs * 2, 2000)) {
      try {
        return await attempt();
      } catch (error) {
        const failure = asCdcError(error);
        if (failure.action !== 'retry' || this.#stopped) throw failure;
        if (performance.now() - startedAt > this.#patienceMs) throw failure;
        this.#log.warn({ code: failure.code }, `${failure.message}; trying again`);
        await sleep(delayMs);
      }
    }
  }

  /** No attempt follows that which is in flight. */
  stop(): void {
    this.#stopped = true;
  }
}
