import { setTimeout as sleep } from 'node:timers/promises';

/** Calls `write` with 1, 2, … at a steady rate, one after the other; catches up when it fell behind. */
export async function writePaced(
  perSecond: number,
  count: number,
  write: (n: number) => Promise<unknown>,
): Promise<void> {
  const startedAt = performance.now();
  let written = 0;
  while (written < count) {
    const due = Math.min(count, ((performance.now() - startedAt) / 1000) * perSecond);
    while (written < due) await write(++written);
    await sleep(1);
  }
}
