import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** What is waited for, named by the failure: "the row to arrive". */
  what: string;
  /** Default 90,000: on a machine that does much else all takes its time. */
  timeoutMs?: number;
}

/**
 * Polls until `condition` gives something truthy, and returns that. A rejection of `condition` ends the wait at once.
 * @throws Error naming `what` after `timeoutMs`
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 90_000 }: WaitOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 100)) {
    const value = await condition();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    await delay(pauseMs);
  }
}
