import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Manifest } from '../../support/helm-chart.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';
import {
  application,
  applications,
  bytesOf,
  containersOf,
  find,
  objectsOf,
  platformObjects,
  pods,
  type Source,
  terraformList,
  wave,
} from './manifests.ts';

const read = (file: string) => readFileSync(join(repository, file), 'utf8');
const project = read('terraform/modules/argocd/applications.tf');

test('every file of apps/ is in its kustomization, and has one Application of the same name', () => {
  const files = globSync('*.yaml', { cwd: join(repository, names.applicationsFolder) });
  assert.deepEqual(
    applications()
      .map(({ file }) => file)
      .sort(),
    files.filter(file => file !== 'kustomization.yaml').sort(),
  );
  for (const { file, metadata } of applications()) assert.equal(file, `${metadata.name}.yaml`);
});

test('every Application takes this repository first, as the root Application says, and may be where it is', () => {
  const [key, value] = names.gitSourceLabel.split('=');
  const charts = terraformList('chart_repositories');
  for (const { file, metadata, spec } of applications()) {
    assert.equal(metadata.labels[key!], value, file);
    // The root's namespace, which is its to say.
    assert.equal(metadata.namespace, undefined, file);
    assert.equal(spec.project, 'wal-cdc', file);
    assert.equal(spec.destination.server, 'https://kubernetes.default.svc', file);
    assert.ok(names.workloadNamespaces.includes(spec.destination.namespace), file);
    const [own, ...others] = spec.sources;
    assert.match(`${own!.repoURL} ${own!.targetRevision}`, /^https:\/\/set-by-the-root.* set-by-the-root/);
    assert.ok(existsSync(join(repository, own!.path!)), file);
    for (const { repoURL, chart, targetRevision } of others) {
      assert.ok(charts.includes(repoURL) && chart, `${file}: ${repoURL}`);
      assert.match(targetRevision, /^\d+\.\d+\.\d+$/, `${file}: ${chart}`);
    }
  }
  assert.match(project, /projects = \{[\s\S]*wal-cdc = \{/);
});

test('every chart repository that the project allows is used', () => {
  const used = applications().flatMap(({ spec }) =>
    spec.sources.slice(1).map((source: Source) => source.repoURL),
  );
  assert.deepEqual(used.sort(), terraformList('chart_repositories').sort());
});

test('the Application of the service can take the image', () => {
  const [source] = application(names.ingestionService).spec.sources;
  assert.equal(source!.path, 'helm/ingestion-service');
  assert.ok(source!.helm);
  assert.equal(source!.helm.parameters, undefined);
  assert.equal(source!.helm.valuesObject.image, undefined);
});

test('Applications follow on their own, try again, and take along what they brought', () => {
  // Their charts bring definitions that are too large for the annotation of a client.
  const large = ['postgres', 'clickhouse'];
  for (const { file, metadata, spec } of applications()) {
    assert.deepEqual(metadata.finalizers, ['resources-finalizer.argocd.argoproj.io'], file);
    assert.deepEqual(spec.syncPolicy.automated, { prune: true, selfHeal: true }, file);
    assert.ok(spec.syncPolicy.retry.limit >= 5, file);
    const options = large.includes(metadata.name) ? ['ServerSideApply=true'] : undefined;
    assert.deepEqual(spec.syncPolicy.syncOptions, options, file);
  }
});

test('waves: what others need comes first and goes last', () => {
  const waves = Object.fromEntries(applications().map(object => [object.metadata.name, wave(object)]));
  assert.deepEqual(waves, {
    namespaces: -10,
    postgres: 0,
    redpanda: 0,
    clickhouse: 0,
    debezium: 1,
    'ingestion-service': 2,
  });
  const page = read('docs/deploy.md');
  for (const [name, at] of Object.entries(waves))
    assert.ok(page.includes(`| ${String(at).replace('-', '−')} | \`${name}\` |`), name);
  // What charts bring has no wave: 0.
  for (const { kind, apiVersion, metadata } of platformObjects()) {
    const at = wave({ metadata });
    const where = `${kind} ${metadata.name}`;
    if (kind === 'NetworkPolicy') assert.ok(at <= 0, where);
    if (/cnpg|altinity/.test(apiVersion)) {
      assert.ok(at > 0, `${where}: its operator comes first and must outlive it`);
      assert.match(metadata.annotations['argocd.argoproj.io/sync-options'], /SkipDryRunOnMissingResource/);
    }
  }
  const at = (kind: string, name: string) => wave(find(kind, name));
  assert.ok(at('Publication', 'wal-cdc') > at('Cluster', 'postgres'));
  assert.ok(at('Job', 'clickhouse-init') > at('ClickHouseInstallation', 'clickhouse'));
  assert.ok(at('Job', 'make-secrets') > at('ServiceAccount', 'make-secrets'));
});

test('jobs run in their wave at every sync', () => {
  // Sooner there is nothing that they could work on; later nobody would wait for them.
  for (const { metadata } of platformObjects().filter(({ kind }) => kind === 'Job'))
    assert.partialDeepStrictEqual(metadata.annotations, {
      'argocd.argoproj.io/hook': 'Sync',
      'argocd.argoproj.io/hook-delete-policy': 'BeforeHookCreation,HookSucceeded',
    });
});

test('the project allows every object', () => {
  const cluster = [...project.matchAll(/\{ group = "[^"]*", kind = "(\w+)" \}/g)].map(([, kind]) => kind);
  for (const { kind, metadata } of platformObjects())
    if (metadata.namespace === undefined) assert.ok(cluster.includes(kind), kind);
    else assert.ok(names.workloadNamespaces.includes(metadata.namespace), `${kind} ${metadata.name}`);
});

test('the namespaces are made, restricted, and closed by default', () => {
  const objects = objectsOf('platform/namespaces');
  const made = objects.filter(({ kind }) => kind === 'Namespace');
  assert.deepEqual(made.map(({ metadata }) => metadata.name).sort(), names.workloadNamespaces);
  for (const { metadata } of made)
    for (const mode of ['enforce', 'audit', 'warn'])
      assert.equal(metadata.labels[`pod-security.kubernetes.io/${mode}`], 'restricted', metadata.name);
  const closed = objects.filter(({ metadata }) => metadata.name === 'default-deny');
  assert.deepEqual(closed.map(({ metadata }) => metadata.namespace).sort(), names.workloadNamespaces);
  for (const { spec } of closed) {
    assert.deepEqual(
      [spec.podSelector, spec.policyTypes, spec.ingress],
      [{}, ['Ingress', 'Egress'], undefined],
    );
    assert.deepEqual(
      spec.egress.flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port)),
      [53, 53],
    );
  }
});

test('every pod passes Pod Security "restricted"', () => {
  assert.equal(pods().length, 5);
  for (const pod of pods()) {
    const { of, spec } = pod;
    assert.equal(spec.securityContext.runAsNonRoot, true, of);
    assert.ok(spec.securityContext.runAsUser > 0, of);
    assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' }, of);
    for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) assert.equal(spec[key], undefined, of);
    for (const volume of spec.volumes ?? [])
      assert.ok(volume.configMap || volume.secret || volume.emptyDir, `${of}: ${volume.name}`);
    for (const { securityContext, resources, ports } of containersOf(pod)) {
      assert.equal(securityContext.allowPrivilegeEscalation, false, of);
      assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] }, of);
      assert.ok(resources.requests.cpu && resources.requests.memory && resources.limits.memory, of);
      for (const port of ports ?? []) assert.equal(port.hostPort, undefined, of);
    }
    // More than the profile asks for. ClickHouse's image writes to its own /etc.
    if (of !== 'ClickHouseInstallation clickhouse')
      for (const { securityContext } of containersOf(pod))
        assert.equal(securityContext.readOnlyRootFilesystem, true, of);
    assert.equal(spec.enableServiceLinks, false, of);
    assert.equal(spec.automountServiceAccountToken, of === 'Job make-secrets', of);
  }
});

test('images have a version that stays what it is', () => {
  const [, node] = /^ARG NODE_IMAGE=(.+)$/m.exec(read('Dockerfile'))!;
  const images = pods().flatMap(pod => containersOf(pod).map(({ image }): string => image));
  images.push(find('Cluster', 'postgres').spec.imageName);
  for (const image of images)
    if (image.includes('/node:')) assert.equal(image, `docker.io/library/${node}`);
    else assert.match(image, /^[a-z0-9.]+\/[\w./-]+:\d+\.\d+(\.[\w-]+)+$|:\d+\.\d+-[\w-]+$/, image);
  const [server, client] = ['ClickHouseInstallation clickhouse', 'Job clickhouse-init'].map(
    of => containersOf(pods().find(pod => pod.of === of)!)[0].image,
  );
  assert.equal(server, client);
});

test('claims come to the 60 GiB that are paid for, and go with what they belong to', () => {
  const cluster = find('Cluster', 'postgres').spec;
  const [data] = find('ClickHouseInstallation', 'clickhouse').spec.templates.volumeClaimTemplates;
  const { storage, statefulset } = application('redpanda').spec.sources[1]!.helm!.valuesObject;
  const sizes: [string, number][] = [
    [cluster.storage.size, cluster.instances],
    [cluster.walStorage.size, cluster.instances],
    [data.spec.resources.requests.storage, 1],
    [storage.persistentVolume.size, statefulset.replicas],
  ];
  const gib = sizes.reduce((sum, [size, count]) => sum + bytesOf(size) * count, 0) / 2 ** 30;
  assert.equal(gib, 60);
  assert.match(read('docs/deploy.md'), /for 60 GiB of volumes/);
  assert.equal(data.reclaimPolicy, 'Delete');
  assert.equal(statefulset.persistentVolumeClaimRetentionPolicy.whenDeleted, 'Delete');
  // The default class of the cluster, wherever that is.
  assert.doesNotMatch(JSON.stringify([cluster, data, storage]), /storageClass/);
});

test('what is asked for of memory is what the page says', () => {
  const valuesOf = (name: string) => application(name).spec.sources.at(-1)!.helm!.valuesObject;
  const { postgres, redpanda, clickhouse } = {
    postgres: valuesOf('postgres').resources.requests.memory,
    redpanda: valuesOf('redpanda').resources.memory.container.max,
    clickhouse: valuesOf('clickhouse').operator.resources.requests.memory,
  };
  const chart = parse(read('helm/ingestion-service/values.yaml')).resources.requests.memory;
  const running = pods().filter(({ of }) => !of.startsWith('Job '));
  const asked = [
    ...running.flatMap(pod => containersOf(pod).map(({ resources }): string => resources.requests.memory)),
    find('Cluster', 'postgres').spec.resources.requests.memory,
    ...[postgres, redpanda, clickhouse, chart],
  ];
  const gib = asked.reduce((sum, quantity) => sum + bytesOf(quantity), 0) / 2 ** 30;
  for (const [, stated] of read('docs/deploy.md').matchAll(/about (\d+) GiB/g))
    assert.equal(Math.round(gib), Number(stated));
});

test('the log that a slot keeps fits beside the rest of the WAL', () => {
  const { postgresql, walStorage } = find('Cluster', 'postgres').spec;
  const gb = (name: string) => Number(/^(\d+)GB$/.exec(postgresql.parameters[name])![1]);
  assert.ok((gb('max_slot_wal_keep_size') + gb('max_wal_size')) * 2 ** 30 < bytesOf(walStorage.size));
});

test('nothing that is secret is in the files, and none in parameters of an Application', () => {
  for (const object of platformObjects()) assert.notEqual(object.kind, 'Secret');
  for (const folder of [names.applicationsFolder, 'platform'])
    for (const file of globSync('**/*.{yaml,json}', { cwd: join(repository, folder) })) {
      const text = read(join(folder, file));
      assert.doesNotMatch(
        text,
        /BEGIN [A-Z ]*PRIVATE KEY|AKIA[A-Z0-9]{16}|ghp_\w{20}|:\/\/\w+:[^@/\s]+@/,
        file,
      );
      for (const [line] of text.matchAll(/^.*password"?: .*$/gim))
        assert.match(line, /\{ name: [\w-]+, key: \w+ \}|\$\{dir:|passwordSecret/, `${file}: ${line}`);
    }
});
