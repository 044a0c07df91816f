import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { helmMissing, type Manifest, renderChart } from '../../support/helm-chart.ts';
import { find } from '../../support/rendered-pod.ts';
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

  test('with monitoring, the ingestion service lets Prometheus in, and brings a dashboard and alerts with their runbooks', {
    skip: helmMissing(),
  }, () => {
    const { patches } = printed('monitoring = true')('root.yaml').applications['wal-cdc'].source.kustomize;
    const { valuesObject, parameters } = patched(application(names.ingestionService), patches).spec.sources[0]
      .helm;
    const image = parameters.map(({ name, value }: Manifest) => [name.replace(/^image\./, ''), value]);
    const { all } = renderChart({ all: { ...valuesObject, image: Object.fromEntries(image) } });
    assert.ok(find(all!, 'ServiceMonitor'));
    assert.ok(find(all!, 'ConfigMap', 'pipe-dashboard'));
    const [{ from }] = find(all!, 'NetworkPolicy').spec.ingress;
    const prometheus = { 'kubernetes.io/metadata.name': names.monitoringNamespace };
    assert.deepEqual(from.at(-1), { namespaceSelector: { matchLabels: prometheus } });
    const { rules } = find(all!, 'PrometheusRule').spec.groups[0];
    assert.ok(rules.length > 5);
    // Repository and revision of terraform.tfvars.example.
    const root = 'https://github.com/you/wal-cdc/blob/main/';
    for (const { alert, annotations } of rules) {
      assert.ok(annotations.runbook_url.startsWith(root), annotations.runbook_url);
      const runbook = readFileSync(join(repository, annotations.runbook_url.slice(root.length)), 'utf8');
      assert.ok(runbook.startsWith(`# ${alert}\n`), annotations.runbook_url);
    }
  });
});

/** What kustomize makes of an Application: all patches are meant for it, and only add. */
function patched(object: Manifest, patches: { patch: string }[]): Manifest {
  for (const { path, value } of patches.flatMap(({ patch }): Manifest[] => parse(patch))) {
    const keys = path.split('/').slice(1);
    keys.slice(0, -1).reduce((at: Manifest, key: string) => at[key], object)[keys.at(-1)] = value;
  }
  return object;
}
