import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Config, loadConfig } from '../config.ts';
import { InsertProbe } from '../demo/insert-probe.ts';
import { createDemoSchema } from '../demo/schema.ts';
import { type DemoWriters, startWriters } from '../demo/writers.ts';
import { type EmbeddedClickHouse, startClickHouse } from '../embedded/clickhouse.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { formatCount, formatLiveLine } from '../observe/format-status.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { startServer } from '../observe/server.ts';
import type { StatusSnapshot } from '../observe/status.ts';
import { splitAddress } from '../service/clickhouse-address.ts';
import { WalService } from '../service/wal-service.ts';
import { showLiveLine } from './live-line.ts';
import { verify } from './verify.ts';

export interface DemoOptions {
  forMs?: number;
  /** Transactions per second. */
  rate: number;
  port: number;
  dir: string;
}

/**
 * The whole path on one machine: embedded PostgreSQL and ClickHouse, mode `wal`, writers like an application's. On the
 * way out every table is verified row by row; exit code 0 only if all are equal.
 */
export async function demo(config: Config, options: DemoOptions, stop: AbortSignal): Promise<number> {
  console.log('Starting PostgreSQL and ClickHouse …');
  const postgres = await startPostgres({ dir: join(options.dir, 'postgres') });
  try {
    const clickhouse = await startClickHouse({ dir: join(options.dir, 'clickhouse') });
    try {
      return await runDemo(config, options, stop, postgres.url, clickhouse);
    } finally {
      await clickhouse.stop();
    }
  } finally {
    await postgres.stop();
  }
}

async function runDemo(
  base: Config,
  options: DemoOptions,
  stop: AbortSignal,
  postgresUrl: string,
  clickhouse: EmbeddedClickHouse,
): Promise<number> {
  const client = new pg.Client(postgresUrl);
  await client.connect();
  await createDemoSchema(client);
  await client.end();

  const config = loadConfig({
    env: {},
    flags: {
      mode: 'wal',
      pipeline: 'demo',
      'postgres.url': postgresUrl,
      'clickhouse.url': clickhouse.url,
      listen: `127.0.0.1:${options.port}`,
    },
  });
  const metrics = new Metrics();
  const service = new WalService({
    config,
    clickhouse: splitAddress(clickhouse.url),
    metrics,
    log: createLog({ ...base.log, level: base.log.level === 'info' ? 'warn' : base.log.level }),
    keepRows: false,
    until: undefined,
  });
  const server = await startServer({ listen: config.listen, provider: service, metrics });
  const running = Promise.race([service.run(), clickhouse.failed]);
  // Its failure is reported by whichever wait below it ends.
  running.catch(() => {});
  let writers: DemoWriters | undefined;
  let probe: InsertProbe | undefined;
  try {
    console.log(`
PostgreSQL   psql ${postgresUrl}
ClickHouse   ${clickhouse.url}   (database cdc; SELECT … FINAL is the current table)
             curl '${clickhouse.url}' --data-binary 'SELECT event_type, count() FROM cdc.user_events FINAL GROUP BY event_type'
Status page  ${server.url}
`);
    await Promise.race([running, untilCopied(service, stop)]);
    console.log(
      `Writing ${options.rate} transactions per second; write to PostgreSQL yourself and watch it arrive. Ctrl-C ends and verifies.\n`,
    );
    probe = new InsertProbe(splitAddress(clickhouse.url));
    const startedAtMs = performance.now();
    writers = startWriters({ url: postgresUrl, rate: options.rate });
    await Promise.race([
      running,
      showLiveLine(() => formatLiveLine(service.status()), {
        forMs: options.forMs,
        stop,
        linesEverySeconds: 10,
      }),
    ]);
    const seconds = (performance.now() - startedAtMs) / 1000;
    const status = service.status();
    await writers.stop();
    const probeMs = await probe.stop();
    console.log('\nWriters stopped; comparing every table, row by row …\n');
    const exitCode = await verify(config, { json: false }, new AbortController().signal);
    console.log(`\n${summary(status, writers, seconds, probeMs, exitCode, options.rate)}`);
    return exitCode;
  } finally {
    await writers?.stop();
    await probe?.stop();
    service.stop();
    await running.catch(() => {});
    await server.close();
  }
}

/** So that the figures at the end are of the stream. */
async function untilCopied(service: WalService, stop: AbortSignal): Promise<void> {
  const startedAtMs = performance.now();
  let wasCopying = false;
  while (!stop.aborted) {
    const { phase, tables } = service.status();
    const isCopying = phase === 'copying' || tables.some(({ state }) => /pending|copying/.test(state));
    if (phase === 'streaming' && !isCopying) {
      const rows = tables.reduce((sum, { copiedRows = 0 }) => sum + copiedRows, 0);
      const seconds = (performance.now() - startedAtMs) / 1000;
      if (wasCopying)
        console.log(`Copied ${formatCount(rows)} rows that were there before, in ${seconds.toFixed(1)} s.`);
      return;
    }
    wasCopying ||= isCopying;
    await sleep(20);
  }
}

function summary(
  status: StatusSnapshot,
  writers: DemoWriters,
  seconds: number,
  probeMs: number | undefined,
  exitCode: number,
  rate: number,
): string {
  const { transactions, byStatement, errors } = writers.stats();
  const { p50, p99 } = status.commitToQueryableMs;
  const perSecond = transactions / seconds;
  const missed = perSecond < rate * 0.95 ? `, not the ${rate} that were asked for` : '';
  const ms = (value: number | undefined) => (value === undefined ? 'unknown' : `${value.toFixed(0)} ms`);
  return [
    `${transactions} transactions in ${seconds.toFixed(0)} s (${perSecond.toFixed(0)} per second${missed}): ` +
      `${byStatement.insert} inserts, ${byStatement.update} updates, ${byStatement.delete} deletes` +
      (errors > 0 ? `, ${errors} failed` : ''),
    `Commit to queryable: p50 ${ms(p50)}, p99 ${ms(p99)}; one-row insert into ClickHouse meanwhile: p50 ${ms(probeMs)}`,
    exitCode === 0 ? 'Every table is equal, row by row.' : 'Tables differ: see above.',
  ].join('\n');
}
