import type { Config } from '../config.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { count, type Findings } from './doctor-findings.ts';

/** Rows that could not be written, and wait for somebody. */
export async function diagnoseLetters(
  clickhouse: ClickHouse,
  config: Config,
  findings: Findings,
): Promise<void> {
  const letters = new DeadLetters(clickhouse, config.pipeline);
  if (!(await letters.exists())) return;
  for (const [name, open] of await letters.countOpen())
    findings.warn(
      name,
      `${count(open, 'open dead letter')}: not in ClickHouse, unless something newer took their place`,
      '"wal-cdc dead-letters list" says why; remove the cause, then "wal-cdc dead-letters replay".',
    );
}
