import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toolPath } from '../../support/built-tool.ts';
import type { Manifest } from '../../support/helm-chart.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';
import { applications, documents } from './manifests.ts';

/** Those of platform/ that Applications deploy. */
export const folders = applications()
  .map(({ spec }) => spec.sources[0]!.path!)
  .filter(path => existsSync(join(repository, path, 'kustomization.yaml')));

export function kustomize(folder: string): Manifest[] {
  return documents(execFileSync(toolPath('kustomize'), ['build', folder], { encoding: 'utf8' }));
}

/** What the root Application adds in terraform/modules/argocd/applications.tf. */
const patches = [
  {
    target: { kind: 'Application', labelSelector: names.gitSourceLabel },
    patch: stringify([
      { op: 'add', path: '/spec/sources/0/repoURL', value: 'https://example.com/me/fork.git' },
      { op: 'add', path: '/spec/sources/0/targetRevision', value: 'trial' },
    ]),
  },
  {
    target: { kind: 'Application', name: names.ingestionService },
    patch: stringify([
      {
        op: 'add',
        path: '/spec/sources/0/helm/parameters',
        value: [{ name: 'image.tag', value: '1.2', forceString: true }],
      },
    ]),
  },
];

/** apps/ as the root Application has it. */
export function patchedApplications(): Manifest[] {
  using dir = tempDir();
  cpSync(join(repository, names.applicationsFolder), join(dir.path, 'apps'), { recursive: true });
  writeFileSync(join(dir.path, 'kustomization.yaml'), stringify({ resources: ['apps'], patches }));
  return kustomize(dir.path);
}
