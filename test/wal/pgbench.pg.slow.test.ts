import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { RunningCommand, walCdc } from '../support/command-line.ts';
import { postgres15BinDir, startTestPostgres, withoutPostgres15 } from '../support/postgres.ts';

const scale = 20;
const seconds = 60;

test(`TPC-B at scale ${scale} during ${seconds} s of load, then as a batch job`, {
  skip: withoutPostgres15,
}, async () => {
  await using postgres = await startTestPostgres({ version: 15, settings: { fsync: 'on' } });
  const clickhouse = await sharedClickHouse();
  const pgbench = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)(join(postgres15BinDir, 'pgbench'), [...args, postgres.url]);
    return stdout;
  };
  await pgbench('-i', '-q', '-s', String(scale));
  const flags = (database: string) => [
    ...['--mode', 'wal', '--pipeline', database, '--postgres', postgres.url],
    ...['--clickhouse', clickhouse.url, '--database', database, '--listen', '127.0.0.1:0'],
  ];

  await using service = new RunningCommand(['run', ...flags('live')]);
  await service.prints(/streaming/);
  const report = await pgbench('-c', '4', '-T', String(seconds));
  console.log(/tps = .*/.exec(report)?.[0]);
  const live = await walCdc(['verify', ...flags('live')]);
  console.log(live.stdout);
  assert.equal(live.code, 0, live.stdout + live.stderr);
  assert.match(live.stdout, /equal\s+public\.pgbench_accounts\s+2,000,000 rows/);
  assert.match(live.stdout, /equal\s+public\.pgbench_history/);
  const ended = await service.stop();
  assert.equal(ended.code, 0, ended.stderr);

  const batch = await walCdc(['run', ...flags('batch'), '--until', 'current']);
  assert.equal(batch.code, 0, batch.stderr);
  const compared = await walCdc(['verify', ...flags('batch')]);
  assert.equal(compared.code, 0, compared.stdout + compared.stderr);
});
