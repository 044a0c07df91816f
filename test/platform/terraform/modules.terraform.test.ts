import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { application } from '../apps/manifests.ts';
import { chartKeys, hasKey, leavesOf, pinnedCharts } from '../apps/upstream.ts';
import { names } from '../names.ts';
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

  /** What the commands of docs/deploy.md print, with these settings besides. */
  function printed(settings: string): (file: string) => ReturnType<typeof parse> {
    const page = readFileSync(join(repository, 'docs/deploy.md'), 'utf8');
    const [block] = /^terraform -chdir=terraform\/modules\/argocd init\n[^`]*/m.exec(page)!;
    const example = readFileSync(terraform.pathOf('environments/dev/terraform.tfvars.example'), 'utf8');
    writeFileSync(terraform.pathOf('environments/dev/terraform.tfvars'), `${example}\n${settings}\n`);
    const root = terraform.pathOf('..');
    execFileSync('bash', ['-euc', block], {
      cwd: root,
      env: terraform.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return file => parse(readFileSync(join(root, file), 'utf8'));
  }

  test('docs/deploy.md prints what Argo CD is told, for a cluster without a cloud', () => {
    const values = printed('');
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

  test('with monitoring, every value that its chart is given is one that the chart has', () => {
    const { monitoring } = printed('monitoring = true')('root.yaml').applications;
    const { chart, helm, targetRevision } = monitoring.source;
    assert.equal(targetRevision, pinnedCharts()[chart]);
    assert.equal(monitoring.destination.namespace, names.monitoringNamespace);
    const paths = leavesOf(helm.valuesObject);
    assert.ok(paths.length > 40);
    for (const path of paths) assert.ok(hasKey(chartKeys(chart), path), `${chart}: ${path.join('.')}`);
  });

  test('with monitoring, the ingestion service is given values that its chart has', () => {
    const { source } = printed('monitoring = true')('root.yaml').applications['wal-cdc'];
    const patch: { path: string; value: unknown }[] = parse(source.kustomize.patches[2].patch);
    const chart = parse(readFileSync(join(repository, 'helm/ingestion-service/values.yaml'), 'utf8'));
    const prefix = '/spec/sources/0/helm/valuesObject/';
    for (const { path, value } of patch) {
      assert.ok(path.startsWith(prefix), path);
      const keys = path.slice(prefix.length).split('/');
      const known = keys.reduce((at, key) => at[key], chart);
      if (Array.isArray(value)) assert.deepEqual(known, [], path);
      else for (const key of Object.keys(value as object)) assert.equal(known[key], false, `${path}/${key}`);
      // A patch adds to what is there.
      const [{ helm }] = application(names.ingestionService).spec.sources;
      for (const key of keys.slice(0, -1)) assert.ok(helm.valuesObject[key], path);
    }
  });
});
