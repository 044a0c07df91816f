/** One Ctrl-C arrives twice under npm: from the terminal, and passed on by the parent process. */
const sameSignalMs = 250;

/**
 * Aborted by the first SIGINT, SIGTERM or SIGHUP: finish what is in flight and end. A second one, a moment later,
 * leaves at once.
 */
export function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  let firstAtMs = 0;
  const onSignal = () => {
    const nowMs = performance.now();
    if (!stop.signal.aborted) {
      firstAtMs = nowMs;
      stop.abort();
    } else if (nowMs - firstAtMs > sameSignalMs) process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return stop.signal;
}
