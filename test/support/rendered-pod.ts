import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from './helm-chart.ts';

const certificate = '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----';
const urls: Record<string, string> = {
  'postgres.url': 'postgres://me:secret@db:5432/app',
  'clickhouse.url': 'http://me:secret@clickhouse:8123',
  'kafka.registry': 'http://me:secret@registry:8081',
  'kafka.connect': 'http://me:secret@connect:8083',
};

export function find(objects: Manifest[], kind: string, name = 'pipe'): Manifest {
  return objects.find(object => object.kind === kind && object.metadata.name === name);
}

export interface MountedPod {
  /** The configuration. */
  file: string;
  /** Names the files of the secrets. */
  env: Record<string, string>;
  /** Of the container, as they are. */
  args: string[];
}

/** Lays configuration and secrets of a rendered Deployment into a folder, as its pod has them. */
export function mountPod(
  objects: Manifest[],
  folder: string,
  { name = 'pipe', secrets = {} }: { name?: string; secrets?: Record<string, string> } = {},
): MountedPod {
  const { containers, volumes } = find(objects, 'Deployment', name).spec.template.spec;
  const file = join(folder, 'wal-cdc.yaml');
  writeFileSync(file, find(objects, 'ConfigMap', name).data['wal-cdc.yaml']);
  const mounted = join(folder, 'secrets');
  mkdirSync(mounted);
  for (const { secret } of volumes.find((volume: Manifest) => volume.projected)?.projected.sources ?? [])
    for (const { path } of secret.items)
      writeFileSync(
        join(mounted, path),
        secrets[path] ?? urls[path] ?? (/(Cert|cert|key)$/.test(path) ? certificate : 'secret'),
      );
  const env = (containers[0].env ?? []).map((variable: Manifest) => [
    variable.name,
    variable.value.replace('/run/secrets/wal-cdc', mounted),
  ]);
  return { file, env: Object.fromEntries(env), args: containers[0].args };
}
