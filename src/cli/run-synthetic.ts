import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import { formatCount, formatLiveLine } from '../observe/format-status.ts';
import type { OpenClickHouse } from '../service/clickhouse-address.ts';
import { parseSequenceUntil, SyntheticService } from '../service/synthetic-service.ts';
import { quoteTableName, targetName } from '../sinks/clickhouse/names.ts';
import { userEventsTable } from '../sources/synthetic/table.ts';
import { quietOnTerminal, showLiveLine } from './live-line.ts';
import type { RunOptions } from './run.ts';
import { type RunningPipeline, runService } from './run-service.ts';

/** Generated rows into ClickHouse. Says how to connect, and on a terminal what happens. */
export async function runSynthetic(config: Config, options: RunOptions, stop: AbortSignal): Promise<number> {
  const until = syntheticUntil(options);
  return runService(quietOnTerminal(config), stop, {
    make: (own, { address }) => new SyntheticService({ ...own, clickhouse: address, until }),
    async meanwhile(running, ended) {
      const { service } = running;
      while (service.status().phase === 'starting' && !ended.aborted) await sleep(20);
      if (ended.aborted) return;
      console.log(introduction(config, running));
      await showLiveLine(() => formatLiveLine(service.status()), { stop: ended, linesEverySeconds: 0 });
    },
  });
}

/** What was asked for beside the settings. Throws CONFIG_INVALID. */
export function syntheticUntil(options: RunOptions): Lsn | undefined {
  if (options.keepRows)
    throw new CdcError(
      'CONFIG_INVALID',
      '--keep-rows has no meaning in mode synthetic, whose rows go into a table of their own',
      { hint: 'Leave it out; another --database has room for the table.' },
    );
  return parseSequenceUntil(options.untilPosition);
}

export function describeRate({ synthetic: { rate } }: Config): string {
  return rate === 0 ? 'as fast as it goes' : `${formatCount(rate)} rows per second`;
}

function introduction(config: Config, { clickhouse, url }: RunningPipeline): string {
  const name = targetName(config.clickhouse.database, userEventsTable);
  const table = `${name.database}.${name.table}`;
  const quoted = /^\w+\.\w+$/.test(table) ? table : quoteTableName(name);
  const query = `SELECT event_type, count() FROM ${quoted} FINAL GROUP BY event_type`;
  return `
ClickHouse   ${clickhouse.embeddedUrl ?? clickhouse.address.url}   (table ${table}; SELECT … FINAL is the current table)
             ${curl(clickhouse)} --data-binary '${query}'
Status page  ${url}

Generating ${describeRate(config)}. Ctrl-C ends; the next run goes on where this one was.
`;
}

/** A password that the user gave is known to the user, whom curl asks for it. */
function curl({ embeddedUrl, address: { url, user } }: OpenClickHouse): string {
  return embeddedUrl ? `curl '${embeddedUrl}'` : `curl --user '${user}' '${url}'`;
}
