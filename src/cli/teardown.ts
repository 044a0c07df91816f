import type { Config } from '../config.ts';
import { findClickHouse, hasEmbeddedData, openClickHouse } from '../service/clickhouse-address.ts';
import { type TeardownStep, tearDown } from '../service/teardown.ts';
import { leaveOnStop } from './leave-on-stop.ts';
import { requireClickHouse } from './require-mode.ts';

export interface TeardownOptions {
  /** Drops the ClickHouse tables too. */
  data: boolean;
  json: boolean;
}

export async function teardown(
  config: Config,
  { data, json }: TeardownOptions,
  stop: AbortSignal,
): Promise<number> {
  requireClickHouse(config, 'teardown');
  leaveOnStop(stop);
  const clickhouse =
    (await findClickHouse(config)) ?? (hasEmbeddedData() ? await openClickHouse(config) : undefined);
  const steps: TeardownStep[] = [];
  try {
    await tearDown({
      config,
      clickhouse: clickhouse?.address,
      data,
      onStep: step => {
        steps.push(step);
        if (!json) process.stdout.write(`${formatStep(step)}\n`);
      },
    });
    if (json) process.stdout.write(`${JSON.stringify({ steps })}\n`);
    return 0;
  } finally {
    await clickhouse?.close();
  }
}

function formatStep({ object, outcome, reason }: TeardownStep): string {
  if (outcome === 'dropped') return `dropped  ${object}`;
  return outcome === 'absent' ? `absent   ${object}` : `left     ${object}: ${reason}`;
}
