import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { applications } from './manifests.ts';
import { read } from './parts.ts';
import { chartKeys, clickHouseDefinition, hasKey, leavesOf, pinnedCharts } from './upstream.ts';

test('the keys are those of the charts in use; write-upstream.ts writes them', () => {
  const page = read('docs/deploy.md');
  const definition = parse(readFileSync(clickHouseDefinition, 'utf8')).metadata.annotations;
  for (const { chart, version, pinned } of [
    ...Object.keys(pinnedCharts()).map(chartKeys),
    { chart: 'altinity-clickhouse-operator', ...definition },
  ]) {
    assert.equal(pinned, pinnedCharts()[chart], `${chart}: run test/platform/apps/write-upstream.ts`);
    // What could not be had is said.
    if (version !== pinned) assert.ok(page.includes(`\`${chart}\` ${version}`), `${chart} ${version}`);
  }
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
