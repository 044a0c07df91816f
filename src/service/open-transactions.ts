import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Log } from '../observe/log.ts';
import { queryError } from '../sources/wal/connect.ts';

/**
 * Resolves when every transaction that is open now has ended, prepared ones too; earlier when `signal` aborts. The
 * transaction ID is asked for in a statement of its own, after whatever the caller read before.
 * @param what what waits, as the log says it
 */
export async function waitForOpenTransactions(
  client: pg.Client,
  log: Log,
  what: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
    const { xid } = rows[0]!;
    let saidAtMs = performance.now() - 8000;
    for (let delayMs = 10; !signal.aborted; delayMs = Math.min(delayMs * 2, 1000)) {
      const passed = await client.query<{ passed: boolean }>(
        `SELECT pg_snapshot_xmin(pg_current_snapshot()) >= '${xid}'::xid8 AS passed`,
      );
      if (passed.rows[0]!.passed) return;
      if (performance.now() - saidAtMs > 10_000) {
        saidAtMs = performance.now();
        log.info({ transactions: await oldestTransactions(client) }, `${what} waits for open transactions`);
      }
      await sleep(delayMs);
    }
  } catch (error) {
    throw queryError(error, 'waiting for open transactions');
  }
}

async function oldestTransactions(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ who: string }>(
    `SELECT who FROM (
       SELECT format('pid %s (%s, %s) since %s', pid, usename, state, date_trunc('second', now() - xact_start)) AS who,
              xact_start AS since
         FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
       UNION ALL
       SELECT format('prepared transaction %s since %s', gid, date_trunc('second', now() - prepared)), prepared
         FROM pg_prepared_xacts) t
      ORDER BY since LIMIT 3`,
  );
  return rows.map(row => row.who);
}
