import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KafkaBroker } from '../../test/support/kafka/broker.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { atLeast, type Line, median, rowsPerSecond } from '../report.ts';
import type { Servers } from '../servers.ts';
import { checkRows, table } from '../workload.ts';
import type { ConversionReport } from './conversion-process.ts';
import { buildJsonInsertSql, buildJsonTableSql } from './json-rows.ts';

const program = fileURLToPath(new URL('conversion-process.ts', import.meta.url));

/** From fetched bytes to the body of an insert, against `JSON.parse` and JSONEachRow: alternating, in processes of their own. */
export async function benchConversion(
  servers: Servers,
  broker: KafkaBroker,
  topic: string,
  { what, target, runs }: { what: string; target: number; runs: number },
): Promise<Line> {
  using dir = tempDir();
  const files = { rows: join(dir.path, 'rows'), json: join(dir.path, 'json') };
  const ours: ConversionReport[] = [];
  const theirs: ConversionReport[] = [];
  // Short runs, more of them, and the ratio of neighbours: what else the machine does meets both alike.
  for (let run = 0; run < runs * 2; run++) {
    theirs.push(await convert('json', broker, topic, files.json));
    ours.push(await convert('rows', broker, topic, files.rows));
  }
  const { messages, columns } = ours[0]!;
  await expectSameRows(servers, messages, columns, files);
  const rates = (reports: ConversionReport[]) => reports.map(report => median(report.messagesPerSecond));
  const ratio = median(ours.map((_, i) => rates(ours)[i]! / rates(theirs)[i]!));
  return {
    benchmark: `fetched bytes → body of an insert, ${what}, beside JSON.parse and JSONEachRow; one thread`,
    ours: rowsPerSecond(median(rates(ours)), 1),
    peer: rowsPerSecond(median(rates(theirs)), 1),
    ratio,
    checks: [atLeast(ratio, target)],
    runs: [{ ours, theirs }],
  };
}

async function convert(
  form: 'rows' | 'json',
  broker: KafkaBroker,
  topic: string,
  file: string,
): Promise<ConversionReport> {
  const options = form === 'rows' ? (process.env.WAL_CDC_BENCH_NODE_OPTIONS ?? '') : '';
  const child = fork(program, [form, broker.address(), topic, file], {
    execArgv: options.split(' ').filter(Boolean),
  });
  let report: ConversionReport | undefined;
  child.on('message', (message: ConversionReport) => {
    report = message;
  });
  const [code] = await once(child, 'exit');
  if (code !== 0 || !report) throw new Error(`the conversion (${form}) ended with ${code}`);
  return report;
}

/** Both bodies hold the rows that were produced, and the same of what orders them. */
async function expectSameRows(
  { clickhouse, ...servers }: Servers,
  messages: number,
  columns: string,
  files: { rows: string; json: string },
): Promise<void> {
  const [ours, theirs] = ['conversion_rows', 'conversion_json'] as const;
  await clickhouse.command(`CREATE DATABASE ${ours}`);
  await clickhouse.command(`CREATE DATABASE ${theirs}`);
  await clickhouse.command(`
    CREATE TABLE ${ours}.${table} (
      id Int64, user_id UUID, event_type String, payload String, amount Nullable(Decimal(12, 2)),
      occurred_at DateTime64(6, 'UTC'), _version UInt128, _is_deleted UInt8, _committed_at DateTime64(6, 'UTC')
    ) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id`);
  await clickhouse.command(buildJsonTableSql(theirs));
  await clickhouse.insert(
    `INSERT INTO ${ours}.${table} (${columns}) FORMAT RowBinary`,
    readFileSync(files.rows),
  );
  await clickhouse.insert(buildJsonInsertSql(theirs), readFileSync(files.json));
  for (const database of [ours, theirs]) await checkRows({ clickhouse, ...servers }, database, messages);
  const [row] = await clickhouse.query<{ equal: number }>(`
    SELECT (SELECT sum(cityHash64(id, toUInt64(bitAnd(_version, toUInt128(bitShiftLeft(1::UInt64, 56) - 1))), _is_deleted,
                                  toUnixTimestamp64Micro(_committed_at))) FROM ${ours}.${table})
         = (SELECT sum(cityHash64(id, _lsn, _is_deleted, _committed_us)) FROM ${theirs}.${table}) AS equal`);
  if (row!.equal !== 1) throw new Error('both conversions gave the same rows, but not the same versions');
  for (const database of [ours, theirs]) await clickhouse.command(`DROP DATABASE ${database} SYNC`);
}
