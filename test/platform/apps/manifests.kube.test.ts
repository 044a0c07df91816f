import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toolMissing, toolPath } from '../../support/built-tool.ts';
import {
  chartExamples,
  exampleValues,
  helmMissing,
  type Manifest,
  renderChart,
} from '../../support/helm-chart.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';
import { clickHouseDefinition, fetchedDefinitions, fetchSchemas, withoutSchemas } from './definitions.ts';
import { schemaLocation, writeSchemas } from './json-schemas.ts';
import { folders, kustomize, patchedApplications } from './kustomize.ts';
import { application, applications, objectsOf } from './manifests.ts';
import { read } from './parts.ts';
import { upstream, withoutUpstream } from './upstream.ts';

const skip = toolMissing('kustomize');

const id = ({ kind, metadata }: Manifest) => `${kind} ${metadata.namespace} ${metadata.name}`;
const sorted = (objects: Manifest[]) => objects.toSorted((a, b) => (id(a) < id(b) ? -1 : 1));

test('kustomize makes the objects that the other tests look at', { skip }, () => {
  assert.equal(folders.length, 5);
  for (const folder of folders) {
    const rendered = kustomize(join(repository, folder));
    const text = JSON.stringify(rendered);
    const hashes = rendered.flatMap(({ kind, metadata }) =>
      kind === 'ConfigMap' ? (/-[0-9a-z]{10}$/.exec(metadata.name) ?? []) : [],
    );
    const plain: Manifest[] = JSON.parse(hashes.reduce((rest, hash) => rest.replaceAll(hash, ''), text));
    assert.deepEqual(sorted(plain), sorted(objectsOf(folder)), folder);
  }
  assert.deepEqual(
    sorted(kustomize(join(repository, names.applicationsFolder))).map(id),
    sorted(applications()).map(id),
  );
});

test('init.sql runs as it lies in clickhouse/, and a change of it is a change of what is deployed', {
  skip,
}, () => {
  using dir = tempDir();
  for (const folder of ['clickhouse', 'platform'])
    cpSync(join(repository, folder), join(dir.path, folder), { recursive: true });
  const deployed = () => {
    const objects = kustomize(join(dir.path, 'platform/clickhouse'));
    const { volumes } = objects.find(({ kind }) => kind === 'Job').spec.template.spec;
    const { metadata, data } = objects.find(({ kind }) => kind === 'ConfigMap');
    assert.equal(volumes[0].configMap.name, metadata.name);
    return { name: metadata.name, sql: data['init.sql'] };
  };
  const before = deployed();
  appendFileSync(join(dir.path, 'clickhouse/init.sql'), 'SELECT 1;\n');
  const after = deployed();
  assert.notEqual(after.name, before.name);
  assert.equal(after.sql, `${before.sql}SELECT 1;\n`);
});

test('repository, revision and image come from the root Application alone', { skip }, () => {
  const [applied, own] = [patchedApplications(), applications()];
  assert.equal(applied.length, own.length);
  for (const { metadata, spec } of applied) {
    const [first, ...others] = spec.sources;
    assert.deepEqual([first.repoURL, first.targetRevision], ['https://example.com/me/fork.git', 'trial']);
    assert.deepEqual(others, application(metadata.name).spec.sources.slice(1));
    assert.equal(first.helm?.parameters !== undefined, metadata.name === names.ingestionService);
  }
});

test('the schemas are those of the version of the cluster', () => {
  const [, version] = /k8s\.io\/kubernetes v(\d+\.\d+)\./.exec(read('test/platform/apps/fetch-schemas.sh'))!;
  const variables = read('terraform/environments/dev/variables.tf');
  assert.match(variables, new RegExp(`variable "kubernetes_version" \\{[^}]*default += "${version}"`));
});

/** What kubeconform has against objects. */
function complaints(folder: string, objects: Manifest[]): string[] {
  const { stdout, stderr } = spawnSync(
    toolPath('kubeconform'),
    ['-strict', '-output', 'json', '-schema-location', schemaLocation(folder), '-'],
    { input: objects.map(object => JSON.stringify(object)).join('\n---\n'), encoding: 'utf8' },
  );
  assert.equal(stderr, '');
  return JSON.parse(stdout).resources.map(({ kind, name, msg }: Manifest) => `${kind} ${name}: ${msg}`);
}

test('every object is what the API server knows, field by field', {
  skip: skip || toolMissing('kubeconform') || withoutSchemas,
}, t => {
  using dir = tempDir();
  const definitions = fetchedDefinitions();
  if (clickHouseDefinition) definitions.push(clickHouseDefinition);
  else t.diagnostic(`ClickHouseInstallation: ${withoutUpstream}`);
  const kinds = writeSchemas(dir.path, { openApi: join(fetchSchemas(), 'kubernetes'), definitions });

  const objects = [
    ...patchedApplications(),
    ...folders.flatMap(folder => kustomize(join(repository, folder))),
  ];
  if (helmMissing() === false) {
    const { valuesObject } = application(names.ingestionService).spec.sources[0]!.helm!;
    const withImage = { ...valuesObject, image: { repository: 'ghcr.io/example/wal-cdc', tag: '1.2' } };
    const rendered = renderChart({
      platform: { ...withImage, demoWriter: { ...valuesObject.demoWriter, enabled: true } },
      ...Object.fromEntries(chartExamples.map(name => [name, exampleValues(name)])),
    });
    for (const chart of Object.values(rendered)) objects.push(...chart.filter(object => !object.raw));
  } else t.diagnostic(`objects of the chart: ${helmMissing()}`);

  const known = objects.filter(({ kind }) => upstream || kind !== 'ClickHouseInstallation');
  for (const { kind } of known) assert.ok(kinds.includes(kind), kind);
  assert.deepEqual(complaints(dir.path, known), []);

  for (const object of known) {
    const wrong = structuredClone(object);
    (wrong.spec ?? wrong).noSuchField = 1;
    assert.equal(complaints(dir.path, [wrong]).length, 1, id(object));
  }
});
