import assert from 'node:assert/strict';
import { after, before, suite, type TestContext, test } from 'node:test';
import type { Manifest } from '../../support/helm-chart.ts';
import { startArgoCd, withoutArgoCd } from '../../support/kubernetes/argo-cd.ts';
import { ControlPlane } from '../../support/kubernetes/control-plane.ts';
import { StandIns } from '../../support/kubernetes/stand-ins.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait-for.ts';
import { argoCdDefinitions, definitionFiles, withoutSchemas } from '../apps/definitions.ts';
import { applications, terraformList, wave } from '../apps/manifests.ts';
import { values } from '../apps/parts.ts';
import { clickHouseDefinition } from '../apps/upstream.ts';
import { names } from '../names.ts';
import { withoutTerraform } from '../terraform/terraform.ts';
import { ApplicationHistory } from './application-history.ts';
import { ChartRepository } from './chart-repository.ts';
import { Fork } from './fork.ts';
import { operators } from './operators.ts';
import { rootOf } from './root.ts';

const skip = withoutArgoCd || withoutSchemas || withoutTerraform;

const image = { repository: 'registry.example.com/me/wal-cdc', tag: '1.2.3' };
const waves = new Map(applications().map(object => [object.metadata.name as string, wave(object)]));
const root = {
  apiVersion: 'argoproj.io/v1alpha1',
  kind: 'Application',
  metadata: { name: 'wal-cdc', namespace: names.argocdNamespace },
};
const deployment = (name: string, namespace: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
});
const service = deployment(names.ingestionService, 'wal-cdc');

suite('a real Argo CD', { skip }, () => {
  const stack = new AsyncDisposableStack();
  let cluster: ControlPlane;
  let charts: ChartRepository;
  let fork: Fork;
  let history: ApplicationHistory;
  /** The root Application and the projects. */
  let made: Manifest[];

  before(async () => {
    charts = stack.use(
      await ChartRepository.start({
        'cloudnative-pg': definitionFiles().filter(file => file.includes('cnpg')),
        'altinity-clickhouse-operator': [clickHouseDefinition],
      }),
    );
    charts.withheld.add('redpanda');
    const elsewhere = terraformList('chart_repositories').map(url => [url, charts.url]);
    fork = new Fork(stack.use(tempDir()).path, Object.fromEntries(elsewhere));

    cluster = stack.use(await ControlPlane.start());
    await cluster.startControllers();
    await cluster.define(argoCdDefinitions());
    stack.use(new StandIns(cluster.api, { operators, startMs: 1000 }));
    history = stack.use(new ApplicationHistory(cluster.api));

    // Terraform takes addresses of the web alone.
    const url = 'https://git.example.com/me/wal-cdc.git';
    const { settings, objects } = rootOf({
      repository_url: url,
      revision: 'main',
      image_repository: image.repository,
      image_tag: image.tag,
    });
    await startArgoCd(cluster, { namespace: names.argocdNamespace, settings });
    const replacements = [[url, fork.url], ...elsewhere] as [string, string][];
    let text = JSON.stringify(objects);
    for (const [from, to] of replacements) text = text.replaceAll(from, to);
    made = JSON.parse(text);
    for (const object of made) await cluster.api.put(object);
  });
  after(() => stack.disposeAsync());

  let broken: string | undefined;
  /** A test that goes on from where the one before has left the cluster. */
  function step(name: string, body: (t: TestContext) => Promise<void>): void {
    test(name, async t => {
      assert.equal(broken, undefined, 'a step before this one has failed');
      broken = name;
      await body(t);
      broken = undefined;
    });
  }

  async function everythingIsSynced(): Promise<void> {
    const all = [root.metadata.name, ...waves.keys()];
    await history.wait('all Applications to be Synced and Healthy', now =>
      all.every(name => now.get(name) === 'Synced/Healthy/Succeeded'),
    );
  }

  const runningArguments = async (): Promise<string[]> => {
    const pods = await cluster.api.list('v1', 'Pod');
    return pods
      .filter(({ metadata, status }) => metadata.namespace === 'wal-cdc' && status.phase === 'Running')
      .map(({ spec }) => spec.containers[0].args[1]);
  };

  const refresh = (name: string, how = 'normal') =>
    cluster.api.patch(
      { ...root, metadata: { ...root.metadata, name } },
      { metadata: { annotations: { 'argocd.argoproj.io/refresh': how } } },
    );

  step('waits with later waves while one Application cannot be rendered', async () => {
    await history.wait('the others of wave 0', now => {
      const others = [...waves].filter(([name, at]) => at <= 0 && name !== 'redpanda');
      return others.every(([name]) => now.get(name) === 'Synced/Healthy/Succeeded') && now.has('redpanda');
    });
    assert.deepEqual(
      history.names(),
      [root.metadata.name, ...waves.keys()].filter(name => (waves.get(name) ?? 0) <= 0).sort(),
    );
    charts.withheld.clear();
    await refresh('redpanda', 'hard');
  });

  step('brings everything from the repository, each wave once those before are healthy', async t => {
    const start = performance.now();
    await everythingIsSynced();
    t.diagnostic(`${Math.round((performance.now() - start) / 1000)} s`);
    for (const [name, at] of waves)
      for (const [earlier, before] of waves)
        if (before < at)
          assert.ok(
            history.firstTime(earlier, /Healthy\/Succeeded$/) <= history.firstTime(name),
            `${name} did not wait for ${earlier}`,
          );
    const { spec } = (await cluster.api.get(service))!.spec.template;
    assert.equal(spec.containers[0].image, `${image.repository}:${image.tag}`);
    assert.deepEqual(await runningArguments(), [`--mode=${values.mode}`]);
  });

  step('brings a deleted Deployment back', async () => {
    for (const id of [service, deployment('connect', 'wal-cdc-debezium')]) {
      const before = await cluster.api.get(id);
      await cluster.api.delete(id);
      await waitFor(
        async () => {
          const now = await cluster.api.get(id);
          return now && now.metadata.uid !== before!.metadata.uid && now.status?.readyReplicas === 1;
        },
        { what: `${id.metadata.name} to be back` },
      );
    }
    await everythingIsSynced();
  });

  step('switches the mode when one line of the repository changes, and touches nothing else', async () => {
    const others = async () =>
      (await cluster.api.list('apps/v1', 'Deployment'))
        .filter(({ metadata }) => metadata.name !== names.ingestionService)
        .map(({ metadata }) => `${metadata.uid} ${metadata.generation}`)
        .sort();
    const before = await others();
    const other = values.mode === 'wal' ? 'cdc' : 'wal';
    fork.change(`apps/${names.ingestionService}.yaml`, `mode: ${values.mode}`, `mode: ${other}`);
    // As Argo CD does every few minutes.
    await refresh(root.metadata.name);
    await waitFor(async () => (await runningArguments()).join() === `--mode=${other}`, {
      what: `the pod of mode ${other} to be the only one`,
    });
    await everythingIsSynced();
    assert.deepEqual(await others(), before);
  });

  step('takes everything away with the root, the last wave first', async t => {
    const claims = await cluster.api.list('v1', 'PersistentVolumeClaim');
    assert.equal(claims.length, 3);
    const start = performance.now();
    // As `helm uninstall` does, all at once: the projects stay as long as they are needed.
    for (const object of made) await cluster.api.delete(object);
    await history.wait('all Applications to be gone', now => now.size === 0);
    t.diagnostic(`${Math.round((performance.now() - start) / 1000)} s`);
    for (const [name, at] of waves)
      for (const [earlier, before] of waves)
        if (before < at)
          assert.ok(history.lastTime(name) <= history.lastTime(earlier), `${name} outlived ${earlier}`);
    const left: string[] = [];
    for (const [apiVersion, kind] of leftovers)
      for (const { metadata } of await cluster.api.list(apiVersion, kind))
        if (metadata.namespace !== names.argocdNamespace)
          left.push(`${kind} ${metadata.namespace} ${metadata.name}`);
    assert.deepEqual(left, []);
    await waitFor(async () => (await Promise.all(made.map(id => cluster.api.get(id)))).every(each => !each), {
      what: 'the projects to be gone',
    });
    const namespaces: Manifest[] = await cluster.api.list('v1', 'Namespace');
    const present = namespaces.map(({ metadata }) => metadata.name);
    for (const name of names.workloadNamespaces) assert.ok(!present.includes(name), name);
  });
});

/** What could run, hold data or cost. */
const leftovers: [apiVersion: string, kind: string][] = [
  ['v1', 'Pod'],
  ['v1', 'PersistentVolumeClaim'],
  ['v1', 'Secret'],
  ['apps/v1', 'Deployment'],
  ['apps/v1', 'StatefulSet'],
  ['apps/v1', 'ReplicaSet'],
  ['batch/v1', 'Job'],
  ...operators.map(({ apiVersion, kind }): [string, string] => [apiVersion, kind]),
];
