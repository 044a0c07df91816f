import assert from 'node:assert/strict';
import { basename, dirname } from 'node:path';
import { test } from 'node:test';
import type { Manifest } from '../../support/helm-chart.ts';
import { application, containersOf, find, type Pod, pods } from './manifests.ts';
import { clickhouseOperator, cluster, publication, redpanda, variable } from './parts.ts';

const restricted = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

test('charts of others bring nothing that cannot run here, has rights elsewhere, or is open to the outside', () => {
  assert.partialDeepStrictEqual(redpanda.valuesObject, {
    // A privileged container.
    tuning: { tune_aio_events: false },
    // Certificates, by an operator that is not there.
    tls: { enabled: false },
    // A port on every node, or load balancers.
    external: { enabled: false },
    // A Deployment that is not restricted.
    console: { enabled: false },
    podTemplate: {
      spec: { securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } } },
    },
  });
  const { statefulset, post_install_job } = redpanda.valuesObject;
  const contexts = ({ podTemplate: { spec } }: Manifest) =>
    [...spec.containers, ...spec.initContainers].map(({ name, securityContext }) => [name, securityContext]);
  assert.deepEqual(
    [...contexts(statefulset), ...contexts(post_install_job)],
    [
      'redpanda',
      'sidecar',
      'redpanda-configurator',
      'bootstrap-yaml-envsubst',
      'post-install',
      'bootstrap-yaml-envsubst',
    ].map(name => [name, restricted]),
  );

  assert.partialDeepStrictEqual(clickhouseOperator.valuesObject, {
    // A job with an image :latest.
    crdHook: { enabled: false },
    // A Secret with a password that everybody knows.
    secret: { create: false },
    // Rights in every namespace.
    rbac: { namespaceScoped: true },
    // One more container, which is not restricted.
    metrics: { enabled: false },
    podSecurityContext: {
      runAsNonRoot: true,
      runAsUser: 65534,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    operator: { containerSecurityContext: restricted },
  });
  assert.partialDeepStrictEqual(application('postgres').spec.sources[1]!.helm!.valuesObject, {
    // Rights in every namespace.
    config: { clusterWide: false },
  });
});

test('PostgreSQL takes nobody without TLS, and keeps its publication', () => {
  assert.deepEqual(cluster.spec.postgresql.pg_hba, [
    'host all all 127.0.0.1/32 scram-sha-256',
    'host all all ::1/128 scram-sha-256',
    'hostnossl all all all reject',
  ]);
  // One that is made again has lost changes.
  assert.equal(publication.spec.publicationReclaimPolicy, 'retain');
});

test('pods are asked how they are', () => {
  const asked: Record<string, Record<string, string>> = {
    'Deployment connect': { startupProbe: '/', livenessProbe: '/', readinessProbe: '/connectors' },
    // Ready while the connector runs: the wave of the service waits for that.
    'Deployment connector': { livenessProbe: '/healthz', readinessProbe: '/readyz' },
  };
  for (const pod of pods().filter(({ of }) => of in asked)) {
    const [{ ports, ...container }] = containersOf(pod);
    const probes = Object.entries<Manifest>(container).filter(([key]) => key.endsWith('Probe'));
    assert.deepEqual(
      Object.fromEntries(probes.map(([key, { httpGet }]) => [key, httpGet.path])),
      asked[pod.of],
    );
    for (const [key, { httpGet }] of probes) assert.equal(httpGet.port, ports[0].name, `${pod.of} ${key}`);
  }
  const { data } = find('ConfigMap', 'keep-connector');
  const [{ ports }] = containersOf(podOf('Deployment connector'));
  assert.ok(data['keep-connector.mjs'].includes(`PORT ?? ${ports[0].containerPort}`));
});

test('what pods write to and read is mounted there', () => {
  const written: Record<string, string[]> = {
    // As its image does; what is missing is found out at the start.
    'Deployment connect': ['/kafka/config', '/kafka/logs', '/kafka/data', '/tmp'],
    'Job clickhouse-init': [variable('Job clickhouse-init', 'HOME')],
  };
  for (const [of, folders] of Object.entries(written))
    for (const folder of folders) assert.ok(volumeAt(podOf(of), folder)?.emptyDir, `${of}: ${folder}`);
  const files = pods().flatMap(pod =>
    containersOf(pod).flatMap(({ command = [] }) =>
      command.filter((word: string) => word.startsWith('/')).map((file: string) => ({ pod, file })),
    ),
  );
  assert.equal(files.length, 5);
  for (const { pod, file } of files) {
    const name = volumeAt(pod, dirname(file))?.configMap?.name;
    assert.ok(name && basename(file) in find('ConfigMap', name).data, `${pod.of}: ${file}`);
  }
  // Node trusts the authorities of the web alone; this one comes with the token.
  assert.equal(
    variable('Job make-secrets', 'NODE_EXTRA_CA_CERTS'),
    '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
  );
});

const podOf = (name: string): Pod => pods().find(({ of }) => of === name)!;

/** The volume that the first container has at a folder, whole: a part of it would not follow changes. */
function volumeAt(pod: Pod, folder: string): Manifest | undefined {
  const mount = containersOf(pod)[0].volumeMounts.find(({ mountPath }: Manifest) => mountPath === folder);
  assert.equal(mount?.subPath, undefined, pod.of);
  return pod.spec.volumes.find(({ name }: Manifest) => name === mount?.name);
}
