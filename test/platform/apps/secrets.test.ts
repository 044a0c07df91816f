import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '../../support/helm-chart.ts';
import { names } from '../names.ts';
import { application, containersOf, find, objectsOf, pods } from './manifests.ts';
import { clickhouseOperator, cluster, installation, secrets, values } from './parts.ts';

interface Reference {
  from: string;
  namespace: string;
  name: string;
  key: string;
}

/** Every reference to a Secret: of pods, of operators' objects, of the charts' values. */
function references(): Reference[] {
  const found: Reference[] = [];
  for (const { of, namespace, spec } of pods()) {
    for (const { secret } of spec.volumes ?? [])
      if (secret)
        for (const { key } of secret.items) found.push({ from: of, namespace, name: secret.secretName, key });
    for (const container of containersOf({ of, namespace, spec, labels: {} }))
      for (const { valueFrom } of container.env ?? [])
        if (valueFrom?.secretKeyRef) found.push({ from: of, namespace, ...valueFrom.secretKeyRef });
  }
  const { managed, bootstrap } = cluster.spec;
  const roles = managed.roles.map(({ passwordSecret }: Manifest) => passwordSecret.name);
  for (const name of [bootstrap.initdb.secret.name, ...roles])
    for (const key of ['username', 'password'])
      found.push({ from: 'Cluster', namespace: cluster.metadata.namespace, name, key });
  for (const [setting, value] of Object.entries<Manifest>(installation.spec.configuration.users))
    if (setting.includes('/k8s_secret_')) {
      const [name, key] = value.split('/');
      found.push({ from: 'ClickHouseInstallation', namespace: installation.metadata.namespace, name, key });
    }
  // The chart's Secret, which it does not make: it has the name of everything else of the chart.
  const { spec } = application('clickhouse');
  const { fullnameOverride, secret } = clickhouseOperator.valuesObject;
  assert.equal(secret.create, false);
  for (const key of ['username', 'password'])
    found.push({
      from: 'clickhouse-operator',
      namespace: spec.destination.namespace,
      name: fullnameOverride,
      key,
    });
  const { namespace } = application(names.ingestionService).spec.destination;
  for (const map of [values.secrets, values.demoWriter.secrets])
    for (const { name, key } of Object.values<Manifest>(map))
      found.push({ from: names.ingestionService, namespace, name, key });
  return found;
}

test('every Secret that is referred to is made in that namespace, and no other', () => {
  const made = secrets.flatMap(({ name, namespaces }) => namespaces.map(namespace => `${namespace}/${name}`));
  const wanted = new Set<string>();
  for (const { from, namespace, name, key } of references()) {
    assert.ok(made.includes(`${namespace}/${name}`), `${from}: ${namespace}/${name}`);
    assert.ok(['username', 'password', 'sha256'].includes(key), `${from}: ${name}/${key}`);
    wanted.add(`${namespace}/${name}`);
  }
  assert.deepEqual([...wanted].sort(), made.sort());
});

test('the job that makes the Secrets may do that, and nothing else', () => {
  const objects = objectsOf('platform/namespaces/secrets');
  const roles = objects.filter(({ kind }) => kind === 'Role');
  const allowed: Record<string, string[]> = {};
  for (const { metadata, rules } of roles) {
    assert.deepEqual(rules[0], { apiGroups: [''], resources: ['secrets'], verbs: ['create'] });
    const { resourceNames, ...rest } = rules[1];
    assert.deepEqual(rest, { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'patch'] });
    assert.equal(rules.length, 2);
    allowed[metadata.namespace] = resourceNames;
  }
  const needed: Record<string, string[]> = {};
  for (const { name, namespaces } of secrets)
    for (const namespace of namespaces) (needed[namespace] ??= []).push(name);
  const sorted = (map: Record<string, string[]>) =>
    Object.entries(map)
      .map(([namespace, list]) => [namespace, list.sort()])
      .sort();
  assert.deepEqual(sorted(allowed), sorted(needed));
  const bindings = objects.filter(({ kind }) => kind === 'RoleBinding');
  assert.deepEqual(
    bindings.map(({ metadata }) => metadata.namespace),
    roles.map(({ metadata }) => metadata.namespace),
  );
  const job = find('Job', 'make-secrets').spec.template.spec;
  for (const { roleRef, subjects } of bindings) {
    assert.equal(roleRef.name, 'make-secrets');
    assert.deepEqual(subjects, [
      { kind: 'ServiceAccount', name: job.serviceAccountName, namespace: 'wal-cdc' },
    ]);
  }
});
