import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '../../support/helm-chart.ts';
import { applications, platformObjects } from './manifests.ts';
import { leavesOf, type Schema, schemaOf, upstream, upstreamFile, withoutUpstream } from './upstream.ts';

const charts = applications().flatMap(({ spec }) => spec.sources.slice(1));
const definitions: Record<string, string> = {
  Cluster: 'postgresql.cnpg.io_clusters.yaml',
  Publication: 'postgresql.cnpg.io_publications.yaml',
  ClickHouseInstallation: 'CustomResourceDefinition-clickhouseinstallations.clickhouse.altinity.com.yaml',
};

/** Whether the chart's own values have it: a map that is empty there takes anything. */
function hasValue(values: Manifest, [first, ...rest]: (string | number)[]): boolean {
  if (first === undefined) return true;
  if (Array.isArray(values)) return true;
  if (typeof values !== 'object' || values === null || !(first in values)) return false;
  const isOpen = JSON.stringify(values[first]) === '{}' || values[first] === null;
  return isOpen || hasValue(values[first], rest);
}

test('every value that we set is one that the chart has', t => {
  if (!upstream) return t.diagnostic(withoutUpstream);
  assert.equal(charts.length, 3);
  for (const { chart, helm } of charts) {
    const values = upstreamFile(`values/${chart}.yaml`);
    const schema: Schema = upstreamFile(`values/${chart}.schema.json`);
    assert.ok(values && schema, chart);
    for (const path of leavesOf(helm!.valuesObject)) {
      const where = `${chart}: ${path.join('.')}`;
      assert.ok(schemaOf(schema, path) !== undefined || hasValue(values, path), where);
    }
  }
});

test('what would be misspelt is noticed', t => {
  if (!upstream) return t.diagnostic(withoutUpstream);
  for (const { chart } of charts) {
    const values = upstreamFile(`values/${chart}.yaml`);
    const schema: Schema = upstreamFile(`values/${chart}.schema.json`);
    const wrong = ['noSuchValue', 'at', 'all'];
    assert.ok(schemaOf(schema, wrong) === undefined && !hasValue(values, wrong), chart);
  }
});

test("in lists of operators' objects every field with a default is set: the API server would add it, and Argo CD see a difference", t => {
  if (!upstream) return t.diagnostic(withoutUpstream);
  let looked = 0;
  for (const object of platformObjects()) {
    const file = definitions[object.kind];
    if (!file) continue;
    const { versions } = upstreamFile(`crds/${file}`).spec;
    const root: Schema = versions.find((version: Manifest) => version.storage).schema.openAPIV3Schema;
    for (const path of leavesOf(object.spec)) {
      const items = path.flatMap((key, i) => (typeof key === 'number' ? [path.slice(0, i + 1)] : []));
      for (const item of items) {
        const schema = schemaOf(root, ['spec', ...item]);
        if (schema === true || schema === undefined) continue;
        const value = item.reduce<Manifest>((at, key) => at[key], object.spec);
        for (const [name, property] of Object.entries(schema.properties ?? {})) {
          if (property.default === undefined) continue;
          assert.ok(name in value, `${object.kind} ${item.join('.')}.${name}`);
          looked++;
        }
      }
    }
  }
  assert.ok(looked > 0);
});
