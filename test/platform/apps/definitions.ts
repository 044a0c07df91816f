import { execFileSync, spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { clickHouseDefinition } from './upstream.ts';

/** Why there are no schemas and definitions here, or false: for `skip`. */
export const withoutSchemas: string | false =
  spawnSync('go', ['version']).error !== undefined && 'go not found: it brings the schemas of Kubernetes';

let folder: string | undefined;

/** The folder that fetch-schemas.sh fills. */
export function fetchSchemas(): string {
  folder ??= execFileSync(join(import.meta.dirname, 'fetch-schemas.sh'), { encoding: 'utf8' }).trim();
  return folder;
}

/** Files with the definitions of the Argo CD that tests run. */
export const argoCdDefinitions = () => globSync(join(fetchSchemas(), 'argo-cd/*.yaml'));

/** Files with the definitions of every kind that is no part of Kubernetes. */
export const definitionFiles = () => [...globSync(join(fetchSchemas(), 'crds/*.yaml')), clickHouseDefinition];
