import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { applications } from './manifests.ts';
import { chartKeys, clickHouseDefinition, hasKey, leavesOf, pinnedCharts } from './upstream.ts';

test('the keys are those of the charts in use; write-upstream.ts writes them', () => {
  const { version } = parse(readFileSync(clickHouseDefinition, 'utf8')).metadata.annotations;
  for (const known of [
    ...Object.keys(pinnedCharts()).map(chartKeys),
    { chart: 'altinity-clickhouse-operator', version },
  ])
    assert.equal(known.version, pinnedCharts()[known.chart], `${known.chart}: run write-upstream.ts`);
});

test('every value that we set is one that the chart has', () => {
  const charts = applications().flatMap(({ spec }) => spec.sources.slice(1));
  assert.equal(charts.length, 3);
  for (const { chart, helm } of charts)
    for (const path of leavesOf(helm!.valuesObject))
      assert.ok(hasKey(chartKeys(chart!), path), `${chart}: ${path.join('.')}`);
});

test('what is misspelt is noticed, at any depth', () => {
  for (const [chart, path] of [
    ['altinity-clickhouse-operator', 'operator.containerSecurityContexts'],
    ['cloudnative-pg', 'config.clusterwide'],
    ['redpanda', 'statefulset.podTemplate.spec.containers.0.securityContexts'],
    ['argo-cd', 'repoServer.resource'],
    ['argocd-apps', 'application'],
    ['kube-prometheus-stack', 'grafana.sidecar.dashboards.skipReloads'],
  ] as const)
    assert.ok(
      !hasKey(
        chartKeys(chart),
        path.split('.').map(key => (key === '0' ? 0 : key)),
      ),
      chart,
    );
});
