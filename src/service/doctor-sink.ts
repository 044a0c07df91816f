import { createRequire } from 'node:module';
import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatBytes } from '../observe/format-status.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { controlDatabase } from '../sinks/clickhouse/control-tables.ts';
import { quoteIdentifier, quoteString } from '../sinks/clickhouse/names.ts';
import { connectClickHouse, type OpenClickHouse } from './clickhouse-address.ts';
import { type Findings, shorten } from './doctor-findings.ts';

export type SinkSession = Awaited<ReturnType<typeof connectClickHouse>>;

/** Parts per table above which merges do not keep up; ClickHouse slows inserts down at 1,000. */
const manyParts = 300;

/** Looks at the ClickHouse server as a whole; `opened` is undefined for an embedded one that nobody runs. */
export async function diagnoseClickHouse(
  config: Config,
  opened: OpenClickHouse | undefined,
  findings: Findings,
): Promise<SinkSession | undefined> {
  if (!opened) {
    diagnoseEmbedded(findings);
    return undefined;
  }
  const { address } = opened;
  const session = await connectClickHouse(address).catch(error => {
    findings.fail('ClickHouse', asCdcError(error));
    return undefined;
  });
  if (!session) return undefined;
  findings.ok('ClickHouse', `version ${session.version} at ${new URL(address.url).host} as ${address.user}`);
  const { protocol, hostname } = new URL(address.url);
  if (protocol === 'http:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname))
    findings.warn('ClickHouse', 'the connection is not encrypted', 'Use https:// in clickhouse.url.');
  await diagnoseCluster(session.clickhouse, config, findings);
  await diagnoseDisks(session.clickhouse, findings);
  return session;
}

function diagnoseEmbedded(findings: Findings): void {
  try {
    const require = createRequire(import.meta.url);
    require.resolve('ffi-rs');
    require.resolve('chdb/libchdb');
    findings.ok(
      'ClickHouse',
      'embedded: run starts it in .wal-cdc/clickhouse; existing tables were not looked at',
    );
  } catch (cause) {
    findings.fail(
      'ClickHouse',
      new CdcError(
        'EMBEDDED_UNAVAILABLE',
        'clickhouse.url is not set and the embedded one is not installed',
        {
          cause,
        },
      ),
    );
  }
}

async function diagnoseCluster(
  clickhouse: ClickHouse,
  { clickhouse: { cluster } }: Config,
  findings: Findings,
): Promise<void> {
  if (cluster === undefined) return;
  const rows = await clickhouse.query(
    `SELECT 1 FROM system.clusters WHERE cluster = ${quoteString(cluster)} LIMIT 1`,
  );
  if (rows.length > 0) findings.ok('clickhouse.cluster', `${cluster} is known to the server`);
  else
    findings.fail(
      'clickhouse.cluster',
      new CdcError('CONFIG_INVALID', `the server knows no cluster "${cluster}"`, {
        hint: 'Check the name against system.clusters, or leave the setting out.',
      }),
    );
}

async function diagnoseDisks(clickhouse: ClickHouse, findings: Findings): Promise<void> {
  const disks = await clickhouse
    .query<{ name: string; free: string; total: string }>(
      'SELECT name, free_space AS free, total_space AS total FROM system.disks',
    )
    .catch(() => []); // not granted
  for (const disk of disks) {
    const [free, total] = [Number(disk.free), Number(disk.total)];
    const text = `${formatBytes(free)} of ${formatBytes(total)} free`;
    if (free < total / 10)
      findings.warn(
        `ClickHouse disk ${disk.name}`,
        text,
        'Free or add space: when it is full, inserts wait and PostgreSQL keeps the WAL.',
      );
    else findings.ok(`ClickHouse disk ${disk.name}`, text);
  }
}

/** Grants that `run` uses, on the databases it writes to and on its own; and the parts of tables that exist. */
export async function diagnoseDatabases(
  { clickhouse }: SinkSession,
  config: Config,
  databases: readonly string[],
  user: string,
  findings: Findings,
): Promise<void> {
  const all = [...databases, controlDatabase];
  const existing = await clickhouse.query<{ name: string }>(
    `SELECT name FROM system.databases WHERE name IN (${all.map(quoteString).join(', ')})`,
  );
  for (const database of all) {
    const exists = existing.some(({ name }) => name === database);
    const on = `${quoteIdentifier(database)}.*`;
    const missing = await missingGrants(clickhouse, databaseGrants, on);
    const what = exists ? 'may be used' : 'does not exist; run creates it';
    if (missing.length === 0) findings.ok(`ClickHouse database ${database}`, what);
    else findings.fail(`ClickHouse database ${database}`, lacksGrants(user, missing, on));
  }
  const globalGrants = ['CREATE TEMPORARY TABLE', ...(config.clickhouse.cluster ? ['CLUSTER'] : [])];
  const missing = await missingGrants(clickhouse, globalGrants, '*.*');
  if (missing.length > 0) findings.fail('ClickHouse', lacksGrants(user, missing, '*.*'));
  await diagnoseParts(clickhouse, all, findings);
}

/** See "What it needs" in docs/operations.md. */
const databaseGrants = [
  'SELECT',
  'INSERT',
  'ALTER DELETE',
  'ALTER ADD COLUMN',
  'ALTER MODIFY COMMENT',
  'CREATE DATABASE',
  'CREATE TABLE',
  'DROP TABLE',
];

/** Those of `grants` that the user lacks on what `on` names, as in `cdc.*`. */
export async function missingGrants(
  clickhouse: ClickHouse,
  grants: readonly string[],
  on: string,
): Promise<string[]> {
  const missing: string[] = [];
  for (const grant of grants) {
    const answer = await clickhouse.bytes(`CHECK GRANT ${grant} ON ${on}`);
    if (answer.toString().trim() !== '1') missing.push(grant);
  }
  return missing;
}

function lacksGrants(user: string, missing: readonly string[], on: string): CdcError {
  return new CdcError('SINK_PRIVILEGE', `the user ${user} lacks ${missing.join(', ')} on ${on}`, {
    hint: `GRANT ${missing.join(', ')} ON ${on} TO ${quoteIdentifier(user)}`,
  });
}

async function diagnoseParts(
  clickhouse: ClickHouse,
  databases: readonly string[],
  findings: Findings,
): Promise<void> {
  const rows = await clickhouse
    .query<{ name: string; parts: string }>(
      `SELECT concat(database, '.', table) AS name, count() AS parts FROM system.parts
        WHERE active AND database IN (${databases.map(quoteString).join(', ')})
        GROUP BY name HAVING parts > ${manyParts} ORDER BY parts DESC`,
    )
    .catch(() => []); // not granted
  if (rows.length > 0)
    findings.warn(
      'ClickHouse parts',
      `merges do not keep up: ${shorten(rows.map(row => `${row.name} has ${row.parts} parts`))}`,
      'Give ClickHouse more CPU or a faster disk, or raise batch.maxDelayMs; check partitionBy.',
    );
}
