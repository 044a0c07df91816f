import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { chartKeys, hasKey, leavesOf } from '../apps/upstream.ts';
import { repository, Terraform, terraformFolder, withoutTerraform } from './terraform.ts';

/** Everything with files `tests/*.tftest.hcl`. */
const folders = [
  ...new Set(globSync('**/tests/*.tftest.hcl', { cwd: terraformFolder }).map(file => dirname(dirname(file)))),
].sort();

suite('terraform test', { skip: withoutTerraform }, () => {
  let terraform: Terraform;
  before(() => (terraform = new Terraform()));
  after(() => terraform?.[Symbol.dispose]());

  for (const folder of folders)
    test(folder, t => {
      terraform.init(folder);
      terraform.succeed(folder, 'validate', '-no-color');
      const { code, output } = terraform.run(folder, 'test', '-no-color');
      assert.equal(code, 0, output);
      t.diagnostic(/^Success!.*$/m.exec(output)![0]);
    });

  test('docs/deploy.md prints what Argo CD is told, for a cluster without a cloud', () => {
    const page = readFileSync(join(repository, 'docs/deploy.md'), 'utf8');
    const [block] = /^terraform -chdir=terraform\/modules\/argocd init\n[^`]*/m.exec(page)!;
    copyFileSync(
      terraform.pathOf('environments/dev/terraform.tfvars.example'),
      terraform.pathOf('environments/dev/terraform.tfvars'),
    );
    const root = terraform.pathOf('..');
    execFileSync('bash', ['-euc', block], {
      cwd: root,
      env: terraform.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const values = (file: string) => parse(readFileSync(join(root, file), 'utf8'));
    for (const [chart, file] of [
      ['argo-cd', 'argocd.yaml'],
      ['argocd-apps', 'root.yaml'],
    ] as const)
      for (const path of leavesOf(values(file)))
        assert.ok(hasKey(chartKeys(chart), path), `${chart}: ${path.join('.')}`);
    assert.deepEqual(Object.keys(values('root.yaml')), ['applications', 'projects']);
    assert.equal(values('root.yaml').applications['wal-cdc'].source.path, 'apps');
    assert.match(
      values('argocd.yaml').configs.cm['resource.customizations.health.argoproj.io_Application'],
      /obj\.status\.health/,
    );
  });
});
