import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '../../support/helm-chart.ts';
import { platformObjects, pods } from './manifests.ts';
import { read, values } from './parts.ts';

interface Peer {
  namespace: string;
  labels: Record<string, string>;
}

const pod = (namespace: string, name: string): Peer => ({
  namespace,
  labels: { 'app.kubernetes.io/name': name },
});

/** By name those of this repository, and those that charts and operators make, with the labels that they give them. */
const peers = {
  connect: pod('wal-cdc-debezium', 'connect'),
  connector: pod('wal-cdc-debezium', 'connector'),
  clickhouse: pod('wal-cdc-clickhouse', 'clickhouse'),
  init: pod('wal-cdc-clickhouse', 'clickhouse-init'),
  'clickhouse operator': pod('wal-cdc-clickhouse', 'altinity-clickhouse-operator'),
  postgres: { namespace: 'wal-cdc-postgres', labels: { 'cnpg.io/cluster': 'postgres' } },
  'postgres operator': pod('wal-cdc-postgres', 'cloudnative-pg'),
  redpanda: pod('wal-cdc-redpanda', 'redpanda'),
  'redpanda configuration': pod('wal-cdc-redpanda', 'redpanda-configuration'),
  service: pod('wal-cdc', 'ingestion-service'),
  'make-secrets': pod('wal-cdc', 'make-secrets'),
  // Anywhere, for a policy, as the internet is.
  'the API server': { namespace: 'kube-system', labels: {} },
  somebody: pod('default', 'somebody'),
};
type Name = keyof typeof peers;

const policies: Manifest[] = platformObjects().filter(({ kind }) => kind === 'NetworkPolicy');

function matches(selector: Manifest, labels: Record<string, string>): boolean {
  const { matchLabels = {}, matchExpressions = [], ...others } = selector;
  assert.deepEqual(others, {});
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }: Manifest) => {
      assert.equal(operator, 'In');
      return values.includes(labels[key]);
    })
  );
}

function allowsPeer(peer: Manifest, home: string, { namespace, labels }: Peer): boolean {
  const inNamespace = peer.namespaceSelector
    ? matches(peer.namespaceSelector, { 'kubernetes.io/metadata.name': namespace })
    : namespace === home;
  return inNamespace && matches(peer.podSelector ?? {}, labels);
}

/** As a network plugin would: once a policy selects a pod for a direction, only what some policy allows passes. */
function passes(direction: 'Ingress' | 'Egress', own: Peer, other: Peer, port: number): boolean {
  const policed = policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === own.namespace &&
      spec.policyTypes.includes(direction) &&
      matches(spec.podSelector, own.labels),
  );
  if (policed.length === 0) return true;
  return policed.some(({ spec }) =>
    (direction === 'Ingress' ? spec.ingress : spec.egress)?.some((rule: Manifest) => {
      const ends = direction === 'Ingress' ? rule.from : rule.to;
      return (
        (ends === undefined || ends.some((peer: Manifest) => allowsPeer(peer, own.namespace, other))) &&
        (rule.ports === undefined || rule.ports.some((each: Manifest) => each.port === port))
      );
    }),
  );
}

// The chart has the policy of the service's own pods: its rules are tested with it.
const service = { kind: 'NetworkPolicy', metadata: { namespace: 'wal-cdc' } };
policies.push({
  ...service,
  spec: {
    podSelector: { matchLabels: peers.service.labels },
    policyTypes: ['Ingress', 'Egress'],
    egress: [{ to: values.networkPolicy.to, ports: [5432, 9093, 8083, 8123].map(port => ({ port })) }],
  },
});

/** Of EKS, most others, minikube, MicroK8s. */
const apiServerPorts = [443, 6443, 8443, 16443];

const isOpen = (from: Name, to: Name, port: number) =>
  passes('Egress', peers[from], peers[to], port) && passes('Ingress', peers[to], peers[from], port);

test('who has to reach whom can', () => {
  const needed: [Name, Name, number][] = [
    ['service', 'postgres', 5432],
    ['service', 'redpanda', 9093],
    ['service', 'clickhouse', 8123],
    ['service', 'connect', 8083],
    ['connect', 'postgres', 5432],
    ['connect', 'redpanda', 9093],
    ['connector', 'connect', 8083],
    ['init', 'clickhouse', 9000],
    ['clickhouse operator', 'clickhouse', 8123],
    ['postgres operator', 'postgres', 8000],
    ['postgres operator', 'postgres', 5432],
    ['the API server', 'postgres operator', 9443],
    ['redpanda configuration', 'redpanda', 9644],
    ['redpanda', 'redpanda', 33145],
  ];
  for (const [from, to, port] of needed) assert.ok(isOpen(from, to, port), `${from} → ${to}:${port}`);
  for (const from of Object.keys(peers) as Name[])
    assert.ok(passes('Egress', peers[from], { namespace: 'kube-system', labels: {} }, 53), from);
});

test('nobody else can', () => {
  const closed: [Name, Name, number][] = [
    ['somebody', 'postgres', 5432],
    ['somebody', 'redpanda', 9093],
    ['somebody', 'clickhouse', 8123],
    ['somebody', 'connect', 8083],
    ['somebody', 'service', 8080],
    ['connect', 'clickhouse', 8123],
    ['connect', 'service', 8080],
    ['connector', 'postgres', 5432],
    ['service', 'postgres', 8000],
    ['service', 'redpanda', 9644],
    ['service', 'clickhouse', 9000],
    ['make-secrets', 'postgres', 5432],
    ['postgres', 'clickhouse', 8123],
    ['clickhouse', 'somebody', 80],
  ];
  for (const [from, to, port] of closed) assert.ok(!isOpen(from, to, port), `${from} → ${to}:${port}`);
});

test('those that ask the API server can, on every port that it may have; nobody else reaches the internet on these', () => {
  const asking: Name[] = [
    'postgres',
    'postgres operator',
    'clickhouse operator',
    // Its sidecar.
    'redpanda',
    'make-secrets',
  ];
  const others: Name[] = ['clickhouse', 'init', 'redpanda configuration', 'connect', 'connector', 'service'];
  const [documented] = /^The policies are open for an API server on .+$/m.exec(read('docs/deploy.md'))!;
  for (const port of apiServerPorts) {
    for (const from of asking) assert.ok(isOpen(from, 'the API server', port), `${from}: ${port}`);
    for (const from of others) assert.ok(!isOpen(from, 'the API server', port), `${from}: ${port}`);
    assert.match(documented, new RegExp(`\\b${port}\\b`));
  }
});

test('pods have the names that policies know them by', () => {
  const known = Object.values<Peer>(peers).map(
    ({ namespace, labels }) => `${namespace} ${labels['app.kubernetes.io/name']}`,
  );
  for (const { namespace, labels } of pods())
    assert.ok(known.includes(`${namespace} ${labels['app.kubernetes.io/name']}`), JSON.stringify(labels));
});
