import type { Config } from '../config.ts';
import { formatCount } from '../observe/format-status.ts';
import { createLog } from '../observe/log.ts';
import { SyntheticLoad } from '../service/synthetic-load.ts';
import { describeAddress } from '../sources/wal/connect.ts';
import { quietOnTerminal, showLiveLine } from './live-line.ts';
import type { RunOptions } from './run.ts';
import { describeRate, syntheticUntil } from './run-synthetic.ts';

/** Generated rows into PostgreSQL, for another pipeline to read. */
export async function writePostgres(config: Config, options: RunOptions, stop: AbortSignal): Promise<number> {
  const until = syntheticUntil(options);
  const log = createLog(quietOnTerminal(config).log);
  const load = new SyntheticLoad({ config, log, until });
  const ended = new AbortController();
  stop.addEventListener('abort', () => load.stop(), { once: true });
  if (stop.aborted) load.stop();
  console.log(
    `\nWriting ${describeRate(config)} into public.user_events of ${describeAddress(config.postgres.address!.url)}. Ctrl-C ends; the next run goes on where this one was.\n`,
  );
  const line = () =>
    [
      load.phase,
      `${formatCount(load.rate.perSecond(Date.now()))} rows/s`,
      `position ${formatCount(load.position)}`,
      `${formatCount(load.rows)} rows`,
    ].join(' | ');
  const showing = showLiveLine(line, {
    stop: AbortSignal.any([stop, ended.signal]),
    linesEverySeconds: 0,
  });
  try {
    await load.run();
    log.info({ position: load.position, rows: load.rows }, 'ended');
    return 0;
  } finally {
    ended.abort();
    await showing;
  }
}
