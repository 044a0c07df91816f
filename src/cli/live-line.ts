import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';

export interface LiveLineOptions {
  /** Ends after this time; by default only with `stop`. */
  forMs?: number;
  stop: AbortSignal;
  /** Seconds between two lines where there is no terminal, which has one line that changes; 0: no lines. */
  linesEverySeconds: number;
}

/** Shows on stdout, every second, what `line` says. */
export async function showLiveLine(
  line: () => string,
  { forMs, stop, linesEverySeconds }: LiveLineOptions,
): Promise<void> {
  const terminal = process.stdout.isTTY === true;
  const endMs = forMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + forMs;
  for (let shown = 1; !stop.aborted && performance.now() < endMs; shown++) {
    await sleep(Math.max(0, Math.min(1000, endMs - performance.now())), undefined, { signal: stop }).catch(
      () => {},
    );
    if (terminal) process.stdout.write(`\r\x1b[K${line()}`);
    else if (linesEverySeconds > 0 && shown % linesEverySeconds === 0) console.log(line());
  }
  if (terminal) process.stdout.write('\n');
}

/** Where the live line is, the log has only what needs attention. */
export function quietOnTerminal(config: Config): Config {
  const { log } = config;
  return process.stdout.isTTY === true && log.level === 'info'
    ? { ...config, log: { ...log, level: 'warn' } }
    : config;
}
