/** Below this rate every message is read at once: waking up costs little then, and delay is what counts. */
const quietBytesPerMs = 4096;
const longestRestMs = 10;
/** Shorter rests save nothing. */
const shortestRestMs = 2;
/** What may gather in the kernel during a rest. Its buffers must not fill up, for then the sender stops. */
const gatheredBytes = 1 << 20;

/**
 * How long to leave a replication connection unread that gave `bytes` in the last `elapsedMs`; 0 to read on at once.
 *
 * The walsender sends every change by itself. A reader that wakes up for each of them costs both sides more time than the
 * changes do; one that lets them gather gets up to two thirds more changes out of the same walsender.
 */
export function restAfter(bytes: number, elapsedMs: number): number {
  const bytesPerMs = bytes / elapsedMs;
  if (bytesPerMs < quietBytesPerMs) return 0;
  const restMs = Math.min(longestRestMs, Math.floor(gatheredBytes / bytesPerMs));
  return restMs < shortestRestMs ? 0 : restMs;
}
