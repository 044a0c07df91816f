import { type Config, loadConfig } from '../../../src/config.ts';
import { diagnose } from '../../../src/service/doctor.ts';
import type { Finding } from '../../../src/service/doctor-findings.ts';
import { sharedClickHouse } from '../clickhouse.ts';
import { sharedKafka } from './shared-kafka.ts';

/** Settings of a pipeline of its own in mode `cdc`, named `name`, for topics `<name>.…`. */
export async function cdcSettings(
  name: string,
  settings: Record<string, string> = {},
): Promise<Record<string, string>> {
  return {
    mode: 'cdc',
    pipeline: name,
    'kafka.brokers': (await sharedKafka()).address(),
    'kafka.topics': `${name}\\..*`,
    'clickhouse.url': (await sharedClickHouse()).url,
    'clickhouse.database': name,
    listen: '127.0.0.1:0',
    ...settings,
  };
}

export async function cdcConfig(name: string, settings: Record<string, string> = {}): Promise<Config> {
  return loadConfig({ env: {}, flags: await cdcSettings(name, settings) });
}

/** The same as variables of the environment. */
export function asEnvironment(settings: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      `WAL_CDC_${name.replaceAll('.', '_').toUpperCase()}`,
      value,
    ]),
  );
}

export function examine(config: Config, fast = false): Promise<Finding[]> {
  return diagnose({ config, fast, onFinding: () => {}, onScan: () => {} });
}

/** Lines as `warn subject: message` of what is not ok; how full this machine's disk is says nothing. */
export function complaints(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ level, subject }) => level !== 'ok' && !subject.startsWith('ClickHouse disk'))
    .map(({ level, subject, message, code }) => `${level} ${subject}: ${message}${code ? ` [${code}]` : ''}`);
}
