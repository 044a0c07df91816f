import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { configSchema, type JsonSchema, secretSettings } from '../../scripts/chart/config-schema.ts';
import { chartFiles, describedValues } from '../../scripts/chart.ts';
import { leaves } from '../../src/config/setting-tree.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { chartDir } from '../support/helm-chart.ts';

const runbooks = join(import.meta.dirname, '../../docs/runbooks');
const read = (path: string) => readFileSync(join(chartDir, path), 'utf8');
const alerts = readdirSync(join(chartDir, 'files/alerts')).map(file => ({
  name: basename(file, '.yaml'),
  rule: parse(read(`files/alerts/${file}`)) as {
    alert: string;
    expr: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  },
}));

test('generated files of the chart are current', () => {
  for (const { file, text } of chartFiles())
    assert.equal(readFileSync(file, 'utf8'), text, `run "npm run chart" to update ${file.pathname}`);
});

test('the chart runs the version of the service that it lies beside', () => {
  assert.equal(parse(read('Chart.yaml')).appVersion, packageJson.version);
});

/** Paths of all keys, but for those in maps that are not sections. */
function schemaPaths(schema: JsonSchema, path = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const at = path === '' ? key : `${path}.${key}`;
    return child.properties ? schemaPaths(child, at) : [at];
  });
}

test('the schema has every setting of the service, secrets by reference, and nothing else', () => {
  const own = schemaPaths(configSchema());
  const inMaps = (path: string) => path.includes('*');
  const byReference = leaves.filter(({ info, path }) => info.secret && !own.includes(path));
  assert.deepEqual(
    [...own, ...byReference.map(({ path }) => path), 'mode'].sort(),
    leaves
      .map(({ path }) => path)
      .filter(path => !inMaps(path))
      .sort(),
  );
  for (const { path } of byReference) assert.ok(secretSettings().includes(path), path);
  for (const path of ['postgres.password', 'postgres.ssl.key', 'kafka.sasl.clientSecret', 'token'])
    assert.ok(byReference.some(leaf => leaf.path === path) && !own.includes(path), path);
});

test('every value is in the schema, and has a line in the README, and the other way round', () => {
  const schema = JSON.parse(read('values.schema.json'));
  const known = schemaPaths(schema);
  const described = describedValues().map(({ path }) => path);
  const isWithin = (path: string, parent: string) => path === parent || path.startsWith(`${parent}.`);
  const freely = [
    'config',
    'secrets',
    'demoWriter.config',
    'demoWriter.secrets',
    'resources',
    'dashboard.labels',
  ];
  for (const path of described)
    assert.ok(known.includes(path) || freely.some(parent => isWithin(path, parent)), path);
  assert.deepEqual(
    known.filter(path => path !== 'global' && !described.includes(path)),
    [],
  );
  assert.deepEqual(
    Object.keys(parse(read('values.yaml'))).filter(key => !described.some(path => isWithin(path, key))),
    [],
  );
});

/** `wal_cdc_…` in an expression, as the service declares it. */
const metricsIn = (text: string) =>
  [...text.matchAll(/\bwal_cdc_[a-z_]+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ''));
const declared = async () =>
  new Map(
    (await new Metrics().registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)] as const),
  );

test('alerts have a name after their file, a runbook, and metrics that exist', async () => {
  const metrics = await declared();
  for (const { name, rule } of alerts) {
    const camel = name.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
    assert.equal(rule.alert, `WalCdc${camel}`);
    assert.match(rule.labels.severity!, /^(warning|critical)$/);
    for (const metric of metricsIn(rule.expr)) assert.ok(metrics.has(metric), `${name}: ${metric}`);
    const selectors = rule.expr.match(/\$selector/g)?.length ?? 0;
    assert.equal(selectors, rule.expr.match(/(?:\bwal_cdc_[a-z_]+|\bup)\{/g)?.length, name);
    for (const counter of rule.expr.matchAll(/(increase|rate)\((wal_cdc_[a-z_]+)/g))
      assert.match(metrics.get(metricsIn(counter[2]!)[0]!)!, /counter|histogram/, `${name}: ${counter[0]}`);
  }
});

test('every alert has its runbook, which says what it means, how to look, and what to do', () => {
  const pages = readdirSync(runbooks).filter(file => file !== 'README.md');
  assert.deepEqual(pages.sort(), alerts.map(({ name }) => `${name}.md`).sort());
  const index = readFileSync(join(runbooks, 'README.md'), 'utf8');
  for (const { name, rule } of alerts) {
    const text = readFileSync(join(runbooks, `${name}.md`), 'utf8');
    assert.ok(text.startsWith(`# ${rule.alert}\n`), name);
    assert.deepEqual(text.match(/^## .+/gm), ['## What it means', '## How to look', '## What to do'], name);
    for (const metric of metricsIn(rule.expr)) {
      const pageOrStatus = text.includes(metric) || text.includes(' status ');
      assert.ok(pageOrStatus, `${name}: ${metric}`);
    }
    assert.ok(index.includes(`](${name}.md)`), name);
  }
});

test('runbooks name values and settings that exist', () => {
  const described = describedValues().map(({ path }) => path);
  const settings = leaves.map(({ path }) => `config.${path}`);
  for (const file of globSync('*.md', { cwd: runbooks })) {
    const text = readFileSync(join(runbooks, file), 'utf8');
    for (const [, path] of text.matchAll(
      /`((?:config|networkPolicy|serviceMonitor|autoscaling|image)\.[\w.]+)`/g,
    ))
      assert.ok(described.includes(path!) || settings.includes(path!), `${file}: ${path}`);
  }
});

test('the dashboard shows every metric, and none that does not exist', async () => {
  const metrics = await declared();
  const dashboard = JSON.parse(read('files/dashboards/wal-cdc.json'));
  const shown = new Set<string>();
  const places = new Set<string>();
  for (const { title, targets, gridPos } of dashboard.panels) {
    assert.ok(targets.length > 0, title);
    places.add(`${gridPos.x}/${gridPos.y}`);
    for (const { expr } of targets) {
      assert.match(expr, /namespace="\$namespace",job="\$job"/, title);
      for (const metric of metricsIn(expr)) shown.add(metric);
    }
  }
  assert.equal(places.size, dashboard.panels.length);
  assert.deepEqual([...shown].sort(), [...metrics.keys()].sort());
});

test('labels in alerts and dashboard are those of the metrics', async () => {
  const metrics = new Metrics();
  metrics.rowsWritten('a', 'copy', 1, 0);
  metrics.deadLettered('a', 1);
  metrics.setTableState('a', 'stopped');
  metrics.setKafkaLags([{ topic: 't', partition: 0, lag: 1 }]);
  metrics.restarted('SINK_FULL');
  const text = await metrics.registry.metrics();
  const pairs = alerts
    .flatMap(({ rule }) => [...rule.expr.matchAll(/(wal_cdc_[a-z_]+)\{\$selector,([a-z]+)=~?"([a-z|]+)"/g)])
    .map(([, metric, label, values]) => ({ metric, label, values: values!.split('|') }));
  assert.ok(pairs.length >= 3);
  for (const { metric, label, values } of pairs)
    for (const value of values)
      assert.match(
        text,
        new RegExp(`^${metric}\\{.*${label}="${value}"`, 'm'),
        `${metric} ${label} ${value}`,
      );
});
