/** Runs until its end, or stops in order and rejects with the signal's reason. */
export async function runUntilAborted(
  runner: { run(): Promise<void>; stop(): void },
  signal: AbortSignal,
): Promise<void> {
  const stop = () => runner.stop();
  signal.addEventListener('abort', stop);
  try {
    signal.throwIfAborted();
    await runner.run();
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
