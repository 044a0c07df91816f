import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import {
  chartExamples,
  exampleValues,
  helmMissing,
  type Manifest,
  mergeValues,
  renderChart,
  type Values,
} from '../support/helm-chart.ts';
import { find } from '../support/rendered-pod.ts';

const skip = helmMissing();

test('a cluster asks what the service answers, and lets it end', { skip }, () => {
  const rendered = renderChart(Object.fromEntries(chartExamples.map(name => [name, exampleValues(name)])));
  for (const [name, objects] of Object.entries(rendered)) {
    const own = name === 'secrets' ? 'pipeline' : 'pipe';
    const { spec } = find(objects, 'Deployment', own).spec.template;
    const [{ livenessProbe, readinessProbe, ports }] = spec.containers;
    // Not ready is no reason to be started again.
    assert.deepEqual(livenessProbe.httpGet, { path: '/healthz', port: 'http' }, name);
    assert.deepEqual(readinessProbe.httpGet, { path: '/readyz', port: 'http' }, name);
    assert.deepEqual(ports, [{ name: 'http', containerPort: name === 'secrets' ? 9090 : 8080 }], name);
    assert.equal(find(objects, 'Service', own).spec.ports[0].targetPort, 'http', name);
    // For the insert in flight and the checkpoint.
    assert.equal(spec.terminationGracePeriodSeconds, 60, name);
  }
  const { selector: _, ...budget } = find(rendered.wal!, 'PodDisruptionBudget').spec;
  // Otherwise no node with a pod could be drained.
  assert.deepEqual(budget, { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' });
  assert.deepEqual(find(rendered.wal!, 'ServiceMonitor').spec.endpoints, [
    { port: 'http', path: '/metrics', interval: '15s' },
  ]);
});

test('values arrive where they belong', { skip }, () => {
  const values = mergeValues(exampleValues('cdc'), {
    image: { pullPolicy: 'Always' },
    terminationGracePeriodSeconds: 90,
    resources: { requests: { cpu: '2' }, limits: { memory: '3Gi' } },
    service: { port: 80 },
    serviceMonitor: { interval: '1m' },
    demoWriter: { resources: { requests: { cpu: '50m' } } },
  }) as Record<string, Values>;
  const { all } = renderChart({ all: values });
  const pods: Manifest[] = [
    find(all!, 'Deployment').spec.template.spec,
    find(all!, 'Deployment', 'pipe-demo-writer').spec.template.spec,
    find(all!, 'Pod', 'pipe-test').spec,
  ];
  for (const spec of pods) {
    for (const key of ['imagePullSecrets', 'nodeSelector', 'tolerations'])
      assert.deepEqual(spec[key], values[key], key);
    assert.equal(spec.containers[0].imagePullPolicy, 'Always');
  }
  const [pod, writer] = pods;
  assert.equal(pod.terminationGracePeriodSeconds, 90);
  assert.partialDeepStrictEqual(pod.containers[0].resources, values.resources);
  assert.partialDeepStrictEqual(writer.containers[0].resources, values.demoWriter!.resources);
  const { metadata } = find(all!, 'Deployment').spec.template;
  assert.partialDeepStrictEqual(metadata.labels, values.podLabels);
  assert.partialDeepStrictEqual(metadata.annotations, values.podAnnotations);
  assert.deepEqual(
    find(all!, 'ServiceAccount').metadata.annotations,
    (values.serviceAccount as Values).annotations,
  );
  assert.equal(find(all!, 'Service').spec.ports[0].port, 80);
  assert.equal(find(all!, 'ServiceMonitor').spec.endpoints[0].interval, '1m');
  for (const kind of ['ServiceMonitor', 'PrometheusRule'])
    assert.equal(find(all!, kind).metadata.labels.release, 'prometheus', kind);
  const { from, to, egress } = values.networkPolicy!;
  for (const name of ['pipe', 'pipe-demo-writer']) {
    const [dns, databases, ...more] = find(all!, 'NetworkPolicy', name).spec.egress;
    assert.deepEqual(dns.to, [{ namespaceSelector: {} }], name);
    assert.deepEqual(databases.to, to, name);
    assert.deepEqual(more, egress, name);
  }
  const [{ from: peers, ports }] = find(all!, 'NetworkPolicy').spec.ingress;
  assert.deepEqual(peers.slice(1), from);
  assert.deepEqual(ports, [{ port: 'http', protocol: 'TCP' }]);
});

test('the pod of "helm test" ends once the service is ready and has metrics, not sooner', {
  skip,
}, async t => {
  const { synthetic } = renderChart({ synthetic: exampleValues('synthetic') });
  const { command, args } = find(synthetic!, 'Pod', 'pipe-test').spec.containers[0];
  const asked: string[] = [];
  const server = createServer(({ url }, response) => {
    asked.push(url!);
    const isFirst = asked.filter(path => path === '/readyz').length === 1;
    response.statusCode = url === '/readyz' && isFirst ? 503 : 200;
    response.end(url === '/metrics' ? 'wal_cdc_freshness_seconds 1\n' : 'text\n');
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [, ...words] = [...command, args[0].replaceAll('http://pipe:8080', url)];
  const [code] = await once(spawn(process.execPath, words, { stdio: 'ignore' }), 'exit');
  assert.equal(code, 0);
  assert.deepEqual(asked, ['/healthz', '/readyz', '/healthz', '/readyz', '/metrics']);
});
