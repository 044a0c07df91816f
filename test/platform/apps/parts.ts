import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../../src/config.ts';
import type { Manifest } from '../../support/helm-chart.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';
import { application, containersOf, find, pods } from './manifests.ts';

/** The parts of the platform that have to agree. */
export const read = (file: string) => readFileSync(join(repository, file), 'utf8');
export const connector: Record<string, string> = JSON.parse(
  read('platform/debezium/connector/connector.json'),
);
export const cluster = find('Cluster', 'postgres');
export const publication = find('Publication', 'wal-cdc');
export const installation = find('ClickHouseInstallation', 'clickhouse');
/** Of the charts that Applications take from elsewhere, and of the service's own. */
export const redpanda = application('redpanda').spec.sources[1]!.helm!;
export const clickhouseOperator = application('clickhouse').spec.sources[1]!.helm!;
export const values = application(names.ingestionService).spec.sources[0]!.helm!.valuesObject;
export const secrets: { name: string; username: string; namespaces: string[] }[] = JSON.parse(
  read('platform/namespaces/secrets/secrets.json'),
);

/** As `schema.table`. */
export const publishedTables: string[] = publication.spec.target.objects.map(
  ({ table }: Manifest) => `${table.schema}.${table.name}`,
);

/** What the service makes of the values, as its pod would have them. */
export function serviceConfig(settings: Manifest, mode: string): Config {
  using dir = tempDir();
  const file = join(dir.path, 'wal-cdc.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ listen: '0.0.0.0:8080', ...settings }));
  return loadConfig({
    file,
    env: { WAL_CDC_TOKEN: 'token', WAL_CDC_POSTGRES_PASSWORD: 'secret' },
    flags: { mode, ...(settings === values.demoWriter.config && { 'synthetic.into': 'postgres' }) },
  });
}

/** In the mode that makes use of everything, whichever runs. */
export const config = serviceConfig(values.config, 'cdc');
export const writer = serviceConfig(values.demoWriter.config, 'synthetic');

export function usernameOf(secret: string): string | undefined {
  return secrets.find(({ name }) => name === secret)?.username;
}

/** Of the first container of a pod, as in `Deployment connect`. */
export function variable(of: string, name: string): string {
  const pod = pods().find(each => each.of === of)!;
  return containersOf(pod)[0].env.find((each: Manifest) => each.name === name).value;
}

/** Services that clients go to, as `name.namespace.svc`, with their ports. All but one are made by operators and charts. */
export const services: Record<string, number[]> = {
  [`${cluster.metadata.name}-rw.${cluster.metadata.namespace}.svc`]: [5432],
  [`${redpanda.releaseName}.${application('redpanda').spec.destination.namespace}.svc`]: [9093],
  ...Object.fromEntries(
    [
      find('Service', 'connect'),
      ...installation.spec.templates.serviceTemplates.map(({ generateName, spec }: Manifest) => ({
        metadata: { name: generateName, namespace: installation.metadata.namespace },
        spec,
      })),
    ].map(({ metadata, spec }) => [
      `${metadata.name}.${metadata.namespace}.svc`,
      spec.ports.map(({ port }: Manifest) => port),
    ]),
  ),
};
