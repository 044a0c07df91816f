/**
 * Places where crash tests kill the process: `WAL_CDC_CRASH_AT=<name>:<n>` sends SIGKILL at the n-th passage.
 * Without the variable a passage costs one comparison.
 */
const [crashName, crashCount] = (process.env.WAL_CDC_CRASH_AT ?? '').split(':');
let left = Number(crashCount ?? 1);

export type CrashPoint =
  | 'before-insert'
  | 'after-insert'
  | 'dead-letters'
  | 'after-checkpoint'
  | 'copy-chunk'
  | 'copy-exchange'
  | 'copy-exchanged'
  | 'truncate'
  | 'toast-lookup';

export function crashPoint(name: CrashPoint): void {
  if (name === crashName && --left === 0) process.kill(process.pid, 'SIGKILL');
}
