/** For commands that leave nothing half done: a signal ends the process at once. */
export function leaveOnStop(stop: AbortSignal): void {
  if (stop.aborted) process.exit(130);
  stop.addEventListener('abort', () => process.exit(130), { once: true });
}
