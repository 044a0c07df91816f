import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { isUrl, secretSettings } from '../../scripts/chart/config-schema.ts';
import { leaves, variableOf } from '../../src/config/setting-tree.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import {
  chartDir,
  chartExamples,
  exampleValues,
  helmMissing,
  type Manifest,
  mergeValues,
  renderChart,
  renderError,
  type Values,
} from '../support/helm-chart.ts';
import { find, mountPod } from '../support/rendered-pod.ts';
import { tempDir } from '../support/temp-dir.ts';

const skip = helmMissing();
const modes = ['synthetic', 'cdc', 'wal'] as const;

/** Enough for every mode. */
const base: Values = {
  image: { repository: 'ghcr.io/example/wal-cdc' },
  config: {
    clickhouse: { url: 'http://wal_cdc@clickhouse:8123' },
    postgres: { url: 'postgres://wal_cdc@postgres:5432/app' },
    kafka: { brokers: ['kafka:9092'] },
  },
  secrets: { token: { name: 'wal-cdc', key: 'token' } },
};
const withValues = (...over: Values[]) => over.reduce(mergeValues, base);

const podSpecs = (objects: Manifest[]): Manifest[] =>
  objects
    .map(object => (object.kind === 'Pod' ? object.spec : object.spec?.template?.spec))
    .filter(spec => spec !== undefined);

/** What the service makes of file, variables and arguments of a rendered Deployment. */
function configOf(objects: Manifest[], name = 'pipe'): Config {
  using dir = tempDir();
  const { file, env, args } = mountPod(objects, dir.path, { name });
  const flags: Record<string, string> = {};
  for (const [, flag, value] of args.join('\n').matchAll(/^--(mode|into)=(.+)$/gm))
    flags[flag === 'mode' ? 'mode' : 'synthetic.into'] = value!;
  assert.deepEqual(
    args.filter(arg => !/^--(mode|into)=/.test(arg)),
    ['run', '--config=/etc/wal-cdc/wal-cdc.yaml'],
  );
  return loadConfig({ file, env, flags });
}

/** Pod Security "restricted", and more: no token, a root that cannot be written. */
function assertRestricted(spec: Manifest): void {
  assert.equal(spec.automountServiceAccountToken, false);
  assert.equal(spec.enableServiceLinks, false);
  assert.equal(spec.securityContext.runAsNonRoot, true);
  assert.equal(spec.securityContext.runAsUser, 10001);
  assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' });
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) assert.equal(spec[key], undefined);
  for (const volume of spec.volumes ?? [])
    assert.ok(volume.configMap || volume.projected || volume.emptyDir, JSON.stringify(volume));
  for (const { securityContext, resources } of spec.containers) {
    assert.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.ok(resources.requests.cpu && resources.requests.memory && resources.limits.memory);
  }
}

const options: Record<string, Values> = {
  nothing: {},
  digest: { image: { digest: `sha256:${'0'.repeat(64)}` } },
  'two replicas': { replicas: 2 },
  'rolling update': { rollingUpdate: true },
  'autoscaling by cpu': { autoscaling: { type: 'cpu' } },
  'autoscaling by lag': { autoscaling: { type: 'lag', triggerAuthentication: 'kafka' } },
  'no disruption budget': { podDisruptionBudget: { enabled: false } },
  'service monitor': { serviceMonitor: { enabled: true, labels: { release: 'p' } } },
  alerts: { prometheusRule: { enabled: true, runbookUrl: 'https://example.com/runbooks' } },
  dashboard: { dashboard: { enabled: true } },
  'no network policy': { networkPolicy: { enabled: false } },
  'no topology spread': { topologySpread: false },
  'name override': { nameOverride: 'pipe' },
  'demo writer': {
    demoWriter: { enabled: true, config: { postgres: { url: 'postgres://demo@postgres/app' } } },
  },
  'another port': { config: { listen: '[::]:9090' } },
  'large numbers': { config: { batch: { maxBytes: 2 ** 30 }, synthetic: { seed: 2 ** 53 - 1 } } },
};

test('every mode with every option renders, runs restricted, and its configuration is accepted', {
  skip,
}, () => {
  const cases: Record<string, Values> = {};
  for (const mode of modes)
    for (const [name, option] of Object.entries(options))
      cases[`${mode}, ${name}`] = withValues({ mode }, option);
  for (const name of chartExamples) cases[name] = exampleValues(name);
  let writers = 0;
  for (const [name, objects] of Object.entries(renderChart(cases))) {
    const own = name === 'secrets' ? 'pipeline' : 'pipe';
    const { mode } = configOf(objects, own);
    assert.equal(mode, cases[name]!.mode ?? 'synthetic', name);
    if (find(objects, 'Deployment', `${own}-demo-writer`)) {
      const config = configOf(objects, `${own}-demo-writer`);
      assert.equal(config.synthetic.into, 'postgres', name);
      writers++;
    }
    const specs = podSpecs(objects);
    assert.ok(specs.length >= 2, name);
    for (const spec of specs) assertRestricted(spec);
    const ids = objects.filter(({ raw }) => !raw).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    assert.equal(new Set(ids).size, ids.length, `${name}: ${ids}`);
  }
  assert.equal(writers, 4);
  assert.equal(Object.keys(cases).length, modes.length * Object.keys(options).length + chartExamples.length);
});

test('the values in docs/deploy.md are accepted', { skip }, () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/deploy.md'), 'utf8');
  const [, values] = /```yaml\n([\s\S]+?)```/.exec(text)!;
  const { documented } = renderChart({ documented: parse(values!) });
  assert.equal(configOf(documented!).mode, 'wal');
  const [, made] = /create secret generic (.+\\\n.+)/.exec(text)!;
  for (const { name, key } of Object.values<Values>(parse(values!).secrets))
    assert.ok(made!.startsWith(`${name} `) && made!.includes(`--from-literal=${key}=`), `${name}/${key}`);
});

test('every secret of the service is mounted, under the variable that names its file', { skip }, () => {
  const secrets = Object.fromEntries(
    secretSettings().map((setting, i) => [setting, { name: `secret-${i}`, key: `key-${i}` }]),
  );
  const { all } = renderChart({ all: withValues({ secrets }) });
  const { containers, volumes } = find(all!, 'Deployment').spec.template.spec;
  assert.deepEqual(
    containers[0].env.map(({ name, value }: Manifest) => [name, value]).sort(),
    Object.keys(secrets)
      .map(path => [`${variableOf(path)}_FILE`, `/run/secrets/wal-cdc/${path}`])
      .sort(),
  );
  const { sources } = volumes.find(({ name }: Manifest) => name === 'secrets').projected;
  const mounted = sources.map(({ secret }: Manifest) => {
    const [{ key, path }] = secret.items;
    return [path, { name: secret.name, key }];
  });
  assert.deepEqual(Object.fromEntries(mounted), secrets);
});

test('large numbers arrive as they are', { skip }, () => {
  const { rendered } = renderChart({ rendered: withValues(options['large numbers']!) });
  const { batch, synthetic } = configOf(rendered!);
  assert.deepEqual([batch.maxBytes, synthetic.seed], [2 ** 30, 2 ** 53 - 1]);
});

test('changing the mode changes the argument; all but cdc run one pod, which ends before the next starts', {
  skip,
}, () => {
  const many = { replicas: 3, rollingUpdate: true };
  const rendered = renderChart(Object.fromEntries(modes.map(mode => [mode, withValues(many, { mode })])));
  for (const mode of modes) {
    const { spec } = find(rendered[mode]!, 'Deployment');
    assert.equal(spec.template.spec.containers[0].args[1], `--mode=${mode}`);
    assert.equal(spec.replicas, mode === 'cdc' ? 3 : 1);
    assert.equal(spec.strategy.type, mode === 'cdc' ? 'RollingUpdate' : 'Recreate');
  }
  // Nothing else depends on it, so that one line switches.
  const plain = renderChart({ cdc: withValues({ mode: 'cdc' }), wal: withValues({ mode: 'wal' }) });
  const [cdc, wal] = ['cdc', 'wal'].map(name => plain[name]!.filter(object => !object.raw));
  find(cdc!, 'Deployment').spec.template.spec.containers[0].args[1] = '--mode=wal';
  assert.deepEqual(cdc, wal);
});

test('cdc is scaled by CPU or by the lag of its group, and the number of pods is left to that', {
  skip,
}, () => {
  const { lag, cpu, wal } = renderChart({
    lag: exampleValues('cdc'),
    cpu: exampleValues('cpu'),
    wal: exampleValues('wal'),
  });
  for (const objects of [lag!, cpu!]) assert.equal(find(objects, 'Deployment').spec.replicas, undefined);
  const scaled = find(lag!, 'ScaledObject').spec;
  assert.deepEqual(scaled.triggers, [
    {
      type: 'kafka',
      metadata: {
        bootstrapServers: 'redpanda-0.redpanda.kafka.svc:9093,redpanda-1.redpanda.kafka.svc:9093',
        consumerGroup: configOf(lag!).kafka.group,
        lagThreshold: '10000',
        offsetResetPolicy: 'earliest',
        tls: 'enable',
        sasl: 'scram_sha256',
      },
      authenticationRef: { name: 'kafka' },
    },
  ]);
  assert.deepEqual([scaled.minReplicaCount, scaled.maxReplicaCount], [2, 6]);
  const scaler = find(cpu!, 'HorizontalPodAutoscaler').spec;
  assert.equal(scaler.scaleTargetRef.name, find(cpu!, 'Deployment').metadata.name);
  assert.equal(find(wal!, 'HorizontalPodAutoscaler'), undefined);
  assert.equal(find(wal!, 'Deployment').spec.replicas, 1);
});

test('only what is needed comes in and goes out', { skip }, () => {
  const { cdc, wal, synthetic } = renderChart({
    cdc: exampleValues('cdc'),
    wal: exampleValues('wal'),
    synthetic: exampleValues('synthetic'),
  });
  const ports = (objects: Manifest[], name = 'pipe') =>
    find(objects, 'NetworkPolicy', name)
      .spec.egress.flatMap((rule: Manifest) => rule.ports)
      .map((port: Manifest) => port.port);
  assert.deepEqual(ports(synthetic!), [53, 53, 8123]);
  assert.deepEqual(ports(wal!), [53, 53, 5432, 8443]);
  assert.deepEqual(ports(cdc!), [53, 53, 5432, 80, 8081, 8083, 9093, 6432]);
  assert.deepEqual(ports(cdc!, 'pipe-demo-writer'), [53, 53, 5432, 6432]);
  const { spec } = find(cdc!, 'NetworkPolicy');
  assert.deepEqual(spec.policyTypes, ['Ingress', 'Egress']);
  const [{ from }] = spec.ingress;
  assert.equal(from.length, 2);
  assert.deepEqual(from[0].podSelector.matchLabels, {
    ...spec.podSelector.matchLabels,
    'app.kubernetes.io/component': 'test',
  });
  assert.equal(find(cdc!, 'NetworkPolicy', 'pipe-demo-writer').spec.ingress, undefined);
});

test('selectors match the pods they are meant for, and no others', { skip }, () => {
  const { cdc } = renderChart({ cdc: exampleValues('cdc') });
  const pods: Record<string, Values> = Object.fromEntries(
    ['pipe', 'pipe-demo-writer'].map(name => [
      name,
      find(cdc!, 'Deployment', name).spec.template.metadata.labels,
    ]),
  );
  pods['pipe-test'] = find(cdc!, 'Pod', 'pipe-test').metadata.labels;
  const matched = (selector: Values) =>
    Object.keys(pods).filter(name =>
      Object.entries(selector).every(([key, value]) => pods[name]![key] === value),
    );
  assert.deepEqual(matched(find(cdc!, 'Service').spec.selector), ['pipe']);
  assert.deepEqual(matched(find(cdc!, 'PodDisruptionBudget').spec.selector.matchLabels), ['pipe']);
  for (const kind of ['Deployment', 'NetworkPolicy'])
    for (const object of cdc!.filter(each => each.kind === kind)) {
      const { matchLabels } = object.spec.selector ?? object.spec.podSelector;
      assert.deepEqual(matched(matchLabels), [object.metadata.name], kind);
    }
  const service = find(cdc!, 'Service');
  const monitored = find(cdc!, 'ServiceMonitor').spec.selector.matchLabels;
  for (const [key, value] of Object.entries(monitored)) assert.equal(service.metadata.labels[key], value);
});

test('alerts are of this release, link to their runbooks, and can be left out', { skip }, () => {
  const { wal, cdc } = renderChart({ wal: exampleValues('wal'), cdc: exampleValues('cdc') });
  const files = readdirSync(join(chartDir, 'files/alerts'));
  const rules = find(wal!, 'PrometheusRule').spec.groups[0].rules;
  assert.equal(rules.length, files.length);
  for (const rule of rules) {
    assert.match(rule.expr, /\{namespace="data",job="pipe"[,}]/);
    assert.doesNotMatch(rule.expr, /\$selector/);
    assert.match(
      rule.annotations.runbook_url,
      /^https:\/\/git\.example\.com\/wal-cdc\/docs\/runbooks\/[a-z-]+\.md$/,
    );
    assert.ok(rule.annotations.summary && rule.annotations.description);
  }
  const others = find(cdc!, 'PrometheusRule').spec.groups[0].rules.map((rule: Manifest) => rule.alert);
  assert.equal(others.length, files.length - 1);
  assert.ok(!others.includes('WalCdcSlotNearlyLost'));
});

test('nothing asks for definitions that a cluster may not have, unless it is switched on', { skip }, () => {
  const rendered = renderChart(Object.fromEntries(modes.map(mode => [mode, withValues({ mode })])));
  for (const [mode, objects] of Object.entries(rendered))
    for (const { apiVersion, kind } of objects.filter(object => !object.raw))
      assert.match(apiVersion, /^(v1|[a-z]+\/v1|networking\.k8s\.io\/v1)$/, `${mode}: ${kind}`);
});

test('the dashboard is delivered as it is', { skip }, () => {
  const { wal } = renderChart({ wal: exampleValues('wal') });
  const { data, metadata } = find(wal!, 'ConfigMap', 'pipe-dashboard');
  assert.equal(metadata.labels.grafana_dashboard, '1');
  assert.deepEqual(
    JSON.parse(data['wal-cdc.json']),
    JSON.parse(readFileSync(join(chartDir, 'files/dashboards/wal-cdc.json'), 'utf8')),
  );
});

test('pods start anew when their configuration changes, and only then', { skip }, () => {
  const rendered = renderChart({
    first: withValues({}),
    same: withValues({ service: { port: 80 } }),
    other: withValues({ config: { batch: { maxDelayMs: 5 } } }),
  });
  const [first, same, other] = ['first', 'same', 'other'].map(name =>
    JSON.stringify(find(rendered[name]!, 'Deployment').spec.template),
  );
  assert.equal(first, same);
  assert.notEqual(first, other);
});

/** Where the values have a URL that could have a password. */
const urls = [
  ...leaves.filter(({ path, info }) => info.secret && isUrl(path)).map(({ path }) => `config.${path}`),
  'demoWriter.config.postgres.url',
];
const withUrl = (path: string, url: string): Values =>
  path.split('.').reduceRight<Values | string>((value, key) => ({ [key]: value }), url) as Values;

test('wrong values are refused with a message that names them', { skip }, () => {
  const wrong: [Values, RegExp][] = [
    [{ mode: 'stream' }, /'\/mode'.*'synthetic', 'cdc', 'wal'/],
    [{ relicas: 2 }, /'relicas' not allowed/],
    [{ replicas: 'two' }, /'\/replicas'/],
    [{ config: { mode: 'wal' } }, /'\/config'.*'mode' not allowed/],
    [{ config: { batch: { maxDelay: 1 } } }, /'\/config\/batch'.*'maxDelay' not allowed/],
    [{ config: { batch: { maxDelayMs: 70_000 } } }, /'\/config\/batch\/maxDelayMs'/],
    [{ config: { log: { level: 'loud' } } }, /'\/config\/log\/level'/],
    [{ config: { kafka: { brokers: ['kafka'] } } }, /'\/config\/kafka\/brokers\/0'/],
    [{ config: { postgres: { password: 'secret' } } }, /'\/config\/postgres'.*'password' not allowed/],
    [{ config: { token: 'secret' } }, /'\/config'.*'token' not allowed/],
    ...urls.flatMap(path =>
      ['http://me:secret@ch:8123', 'postgres://db/app?password=x'].map((url): [Values, RegExp] => [
        withUrl(path, url),
        new RegExp(`: ${path.replaceAll('.', '\\.')} has a password, and would be in a ConfigMap`),
      ]),
    ),
    [
      { secrets: { 'postgres.pasword': { name: 'a', key: 'b' } } },
      /'\/secrets'.*'postgres\.pasword' not allowed/,
    ],
    [{ secrets: { 'postgres.password': { name: 'a' } } }, /'\/secrets\/postgres\.password'.*'key'/],
    [{ autoscaling: { type: 'memory' } }, /'\/autoscaling\/type'/],
    [{ image: { digest: 'sha256:12' } }, /'\/image\/digest'/],
    [{ image: { repository: '' } }, /image\.repository is needed/],
    [{ config: { clickhouse: { url: null } } }, /config\.clickhouse\.url is needed/],
    [{ config: { listen: '127.0.0.1:8080' } }, /config\.listen is 127\.0\.0\.1:8080/],
    [{ mode: 'wal', config: { postgres: null } }, /config\.postgres\.url is needed in mode wal/],
    [{ mode: 'cdc', config: { kafka: null } }, /config\.kafka\.brokers is needed in mode cdc/],
    [{ config: { synthetic: { into: 'postgres' } } }, /config\.synthetic\.into is postgres: use demoWriter/],
    [{ autoscaling: { minReplicas: 5 } }, /autoscaling\.minReplicas is more than/],
    [{ prometheusRule: { enabled: true } }, /prometheusRule\.runbookUrl is needed/],
    [{ prometheusRule: { disabled: ['stail'] } }, /prometheusRule\.disabled names stail/],
    [{ demoWriter: { enabled: true } }, /demoWriter\.config\.postgres\.url is needed/],
  ];
  for (const [values, message] of wrong) assert.match(renderError(withValues(values)), message);
  const { secrets: _, ...tokenless } = base;
  assert.match(renderError(tokenless), /secrets\.token is needed/);
});

test('NOTES name what runs', { skip }, () => {
  const { wal, cdc } = renderChart({ wal: exampleValues('wal'), cdc: exampleValues('cdc') });
  const notes = (objects: Manifest[]): string => objects.find(object => object.raw).raw;
  assert.match(notes(wal!), /runs in mode wal\.[\s\S]*autoscaling\.type is cpu, which has no effect/);
  assert.match(notes(cdc!), /runs in mode cdc\.[\s\S]*demo writer/);
});
