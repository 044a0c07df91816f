import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { toolMissing } from '../../support/built-tool.ts';
import { helmMissing, type Manifest } from '../../support/helm-chart.ts';
import { ControlPlane, withoutControlPlane } from '../../support/kubernetes/control-plane.ts';
import type { Id } from '../../support/kubernetes/kube-api.ts';
import { definitionFiles, withoutSchemas } from '../apps/definitions.ts';
import { find, objectsOf, pods } from '../apps/manifests.ts';
import { secrets } from '../apps/parts.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';
import { type Shipped, shippedObjects } from './shipped.ts';

const skip = withoutControlPlane || withoutSchemas || helmMissing() || toolMissing('kustomize');

const idOf = ({ from, object }: Shipped) => `${from}: ${object.kind} ${object.metadata.name}`;

/** That it would like another name for the finalizer that Argo CD knows. */
const isArgoCds = (warning: string) =>
  /"resources-finalizer\.argocd\.argoproj\.io": prefer a domain-qualified/.test(warning);

suite('a real API server', { skip }, () => {
  let cluster: ControlPlane;
  let shipped: Shipped[];
  before(async () => {
    cluster = await ControlPlane.start();
    await cluster.define(definitionFiles());
    shipped = shippedObjects();
    // Nothing goes where there is no namespace, and no pod without its account.
    const first = [...shipped.filter(({ object }) => needed.includes(object.kind)), ...accounts()];
    for (const { object, namespace } of first) await cluster.api.put(object, namespace);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  /** What the API server has against an object; it stores nothing. */
  async function complaints(object: Manifest, namespace?: string): Promise<string[]> {
    const { status, body, warnings } = await cluster.api.apply(object, { dryRun: true, namespace });
    return [...(status < 300 ? [] : [body.message]), ...warnings.filter(text => !isArgoCds(text))];
  }

  test('takes every object, without a warning', async t => {
    const found: string[] = [];
    for (const each of shipped)
      for (const complaint of await complaints(each.object, each.namespace))
        found.push(`${idOf(each)}: ${complaint}`);
    assert.deepEqual(found, []);
    const kinds = new Set(shipped.map(({ object }) => object.kind));
    t.diagnostic(`${shipped.length} objects of ${kinds.size} kinds: ${[...kinds].sort().join(', ')}`);
  });

  test('would start their pods in their namespaces, also those that operators make of them', async () => {
    for (const { of, namespace, labels, spec } of pods())
      assert.deepEqual(await complaints(pod('pod', { labels, spec, namespace })), [], of);
  });

  test('refuses a pod, warns of a Deployment that is not restricted', async () => {
    const { spec, namespace } = pods().find(({ of }) => of === 'Deployment connect')!;
    const { securityContext: _, ...loose } = structuredClone(spec);
    for (const name of names.workloadNamespaces) {
      const [refusal] = await complaints(pod('loose', { spec: loose, namespace: name }));
      assert.match(refusal!, /violates PodSecurity "restricted:latest".*runAsNonRoot/, name);
    }
    const deployment = structuredClone(find('Deployment', 'connect'));
    deployment.spec.template.spec.hostNetwork = true;
    const [warning] = await complaints(deployment, namespace);
    assert.match(warning!, /^would violate PodSecurity "restricted:latest": host namespaces/);
  });

  test('lets the job that makes the passwords do that with its rights, and nothing else', async () => {
    for (const object of objectsOf('platform/namespaces'))
      if (['Role', 'RoleBinding'].includes(object.kind)) await cluster.api.put(object);
    const account = find('ServiceAccount', 'make-secrets');
    const made = secrets.flatMap(({ name, namespaces }) =>
      namespaces.map(at => `${at}/secrets/${name} made\n`),
    );
    assert.equal(await makeSecrets(cluster, account), made.join(''));
    assert.equal(await makeSecrets(cluster, account), '');
    // The first of each is the one that counts, and a copy that went away comes back.
    const { name, namespaces } = secrets.find(each => each.namespaces.length > 1)!;
    const ids = namespaces.map(namespace => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace },
    }));
    await cluster.api.patch(ids[1]!, { data: { password: null } });
    assert.equal(await makeSecrets(cluster, account), `${namespaces[1]}/secrets/${name} changed\n`);
    const [first, second] = await Promise.all(ids.map(id => cluster.api.get(id)));
    assert.deepEqual(first!.data, second!.data);

    const job = cluster.as(await cluster.api.token(account));
    const status = async (method: string, path: string) => (await job.call(method, `/api/v1/${path}`)).status;
    assert.equal(await status('GET', 'namespaces/wal-cdc-postgres/secrets/postgres-app'), 200);
    for (const path of [
      'kube-system/secrets/any',
      'wal-cdc-postgres/secrets',
      'wal-cdc-postgres/secrets/any',
    ])
      assert.equal(await status('GET', `namespaces/${path}`), 403, path);
    assert.equal(await status('DELETE', 'namespaces/wal-cdc-postgres/secrets/postgres-app'), 403);
  });

  test('refuses what is misspelt, and what the rules of a definition forbid', async () => {
    const wrong: [object: Manifest, change: (object: Manifest) => void, message: RegExp][] = [
      [find('Deployment', 'connect'), ({ spec }) => (spec.replica = 1), /replica/],
      [find('NetworkPolicy', 'connector'), ({ spec }) => (spec.policyTypes = ['Both']), /policyTypes/],
      [find('Cluster', 'postgres'), ({ spec }) => (spec.instances = 0), /spec\.instances/],
      [find('Cluster', 'postgres'), ({ spec }) => (spec.instance = 1), /spec\.instance/],
      // Rules in CEL, which no schema says.
      [
        find('Publication', 'wal-cdc'),
        ({ spec }) => (spec.target = {}),
        /allTables and objects are mutually exclusive/,
      ],
      [
        find('ClickHouseInstallation', 'clickhouse'),
        ({ spec }) => (spec.defaults.storageManagement.reclaimPolicy = 'Forget'),
        /reclaimPolicy/,
      ],
    ];
    for (const [object, change, message] of wrong) {
      const changed = structuredClone(object);
      change(changed);
      const [refusal = 'nothing'] = await complaints(changed);
      assert.match(refusal, message, object.kind);
    }
  });
});

/** Runs the script of the job make-secrets as its service account; what it prints. */
async function makeSecrets(cluster: ControlPlane, account: Id): Promise<string> {
  const folder = join(repository, 'platform/namespaces/secrets');
  const tokenFile = join(cluster.servers.dir, 'make-secrets-token');
  writeFileSync(tokenFile, await cluster.api.token(account), { mode: 0o600 });
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(folder, 'make-secrets.mjs'), join(folder, 'secrets.json')],
    {
      env: {
        KUBERNETES_API: cluster.api.url,
        TOKEN_FILE: tokenFile,
        NODE_EXTRA_CA_CERTS: cluster.certificate,
      },
    },
  );
  return stdout;
}

const needed = ['Namespace', 'ServiceAccount'];

/** What the controllers of a cluster make in every namespace. */
const accounts = () =>
  names.workloadNamespaces.map(namespace => ({
    object: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } },
    namespace,
  }));

function pod(
  name: string,
  { spec, namespace, labels }: { spec: Manifest; namespace: string; labels?: Manifest },
) {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels }, spec };
}
