import { type Line, median } from './report.ts';
import type { Servers } from './servers.ts';

/** One-row inserts with the settings that the service writes with: what freshness cannot be better than. */
export async function benchInsertProbe(servers: Servers): Promise<Line> {
  const { clickhouse } = servers;
  await clickhouse.command(
    'CREATE TABLE default.probe (id Int64) ENGINE = MergeTree ORDER BY id SETTINGS fsync_after_insert = 1, fsync_part_directory = 1',
  );
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const startedAt = performance.now();
    await clickhouse.insert('INSERT INTO default.probe FORMAT RowBinary', Buffer.alloc(8, i));
    times.push(performance.now() - startedAt);
  }
  await clickhouse.command('DROP TABLE default.probe SYNC');
  return {
    benchmark: 'one-row insert into ClickHouse, p50',
    ours: `${median(times).toFixed(1)} ms`,
    runs: times,
  };
}
