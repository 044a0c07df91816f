import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { columnOptions, tableOptions } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { envelopeVersions, walVersions } from '../core/version.ts';
import { ClickHouse } from '../sinks/clickhouse/client.ts';
import type { TargetOptions } from '../sinks/clickhouse/target.ts';
import type { ServerCapabilities } from '../sinks/clickhouse/types/registry.ts';

export interface ClickHouseAddress {
  url: string;
  user: string;
  password: string;
}

/** Of the embedded ClickHouse, in the working folder. */
const embeddedDir = join('.wal-cdc', 'clickhouse');
/** Where the process that runs the embedded ClickHouse says how to reach it. */
const embeddedUrlFile = join(embeddedDir, 'url');

export interface OpenClickHouse {
  address: ClickHouseAddress;
  /** Of the embedded one, when it was started. */
  embeddedUrl?: string;
  /** Rejects when that one ends by itself. */
  failed?: Promise<never>;
  close(): Promise<void>;
}

/** The ClickHouse of the configuration; the embedded one is started when none is given. */
export async function openClickHouse(config: Config): Promise<OpenClickHouse> {
  const given = givenClickHouse(config);
  if (given) return given;
  const { startClickHouse } = await import('../embedded/clickhouse.ts');
  const embedded = await startClickHouse({ dir: embeddedDir, port: 0 });
  writeFileSync(embeddedUrlFile, `${embedded.url}\n`, { mode: 0o600 });
  return {
    address: splitAddress(embedded.url),
    embeddedUrl: embedded.url,
    failed: embedded.failed,
    close: () => embedded.stop(),
  };
}

/** The ClickHouse of the configuration, as it is: an embedded one only if another process runs it. */
export async function findClickHouse(config: Config): Promise<OpenClickHouse | undefined> {
  const given = givenClickHouse(config);
  if (given) return given;
  if (!existsSync(embeddedUrlFile)) return undefined;
  const address = splitAddress(readFileSync(embeddedUrlFile, 'utf8').trim());
  const clickhouse = new ClickHouse(address);
  try {
    await clickhouse.query('SELECT 1');
    return { address, close: async () => {} };
  } catch {
    return undefined; // of a process that is gone
  } finally {
    await clickhouse.close();
  }
}

/** Whether there is data of an embedded ClickHouse in the working folder. */
export function hasEmbeddedData(): boolean {
  return existsSync(embeddedDir);
}

function givenClickHouse(config: Config): OpenClickHouse | undefined {
  const { url, user, password } = config.clickhouse;
  return url ? { address: { url, user, password }, close: async () => {} } : undefined;
}

export function splitAddress(text: string): ClickHouseAddress {
  const url = new URL(text);
  return {
    url: url.origin,
    user: decodeURIComponent(url.username) || 'default',
    password: decodeURIComponent(url.password),
  };
}

const oldestVersion = [26, 3];

/** Connects, refuses servers that are too old and asks what this one can do. `owner`: see `ClickHouse`. */
export async function connectClickHouse(
  address: ClickHouseAddress,
  owner?: string,
): Promise<{ clickhouse: ClickHouse; version: string; capabilities: ServerCapabilities }> {
  const clickhouse = new ClickHouse(address, owner);
  try {
    const [row] = await clickhouse.query<{ version: string; time64: string }>(
      `SELECT version() AS version, (SELECT count() FROM system.data_type_families WHERE name = 'Time64') AS time64`,
    );
    const { version, time64 } = row!;
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < oldestVersion[0]! || (major === oldestVersion[0] && minor < oldestVersion[1]!))
      throw new CdcError(
        'SINK_VERSION',
        `ClickHouse at ${address.url} is version ${version}, 26.3 or newer is needed`,
      );
    return { clickhouse, version, capabilities: { time64: Number(time64) > 0 } };
  } catch (error) {
    await clickhouse.close();
    throw error;
  }
}

export function targetOptions(config: Config): TargetOptions {
  return {
    database: config.clickhouse.database,
    cluster: config.clickhouse.cluster,
    metaColumns: config.metaColumns,
    nullFlag: config.arrays.nullFlag,
    versions: config.mode === 'cdc' ? envelopeVersions : walVersions,
    connector: config.kafka.connector,
    column: (schema, table, column) => columnOptions(config, schema, table, column),
    table: (schema, table) => tableOptions(config, schema, table),
  };
}
