import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
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
import { definitionFiles, fetchSchemas, withoutSchemas } from './definitions.ts';
import { schemaLocation, writeSchemas } from './json-schemas.ts';
import { folders, kustomize, patchedApplications } from './kustomize.ts';
import { application, applications, objectsOf, platformObjects } from './manifests.ts';
import { read } from './parts.ts';
import { leavesOf } from './upstream.ts';

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
  const openApi = join(fetchSchemas(), 'kubernetes');
  const kinds = writeSchemas(dir.path, { openApi, definitions: definitionFiles() });

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

  for (const { kind } of objects) assert.ok(kinds.includes(kind), kind);
  assert.deepEqual(complaints(dir.path, objects), []);

  for (const object of objects) {
    const wrong = structuredClone(object);
    (wrong.spec ?? wrong).noSuchField = 1;
    assert.equal(complaints(dir.path, [wrong]).length, 1, id(object));
  }
});

test("in lists of operators' objects every field with a default is set: the API server would add it, and Argo CD see a difference", {
  skip: withoutSchemas,
}, () => {
  const roots: Record<string, Manifest> = Object.fromEntries(
    definitionFiles().map(file => {
      const { names, versions } = parse(readFileSync(file, 'utf8')).spec;
      return [names.kind, versions.find(({ storage }: Manifest) => storage).schema.openAPIV3Schema];
    }),
  );
  let looked = 0;
  for (const { kind, spec } of platformObjects().filter(({ kind }) => kind in roots))
    for (const path of leavesOf(spec))
      for (const [i, key] of path.entries()) {
        if (typeof key !== 'number') continue;
        const item = path.slice(0, i + 1);
        const value = item.reduce<Manifest>((at, key) => at[key], spec);
        const schema = item.reduce<Manifest>(
          (at, key) =>
            typeof key === 'number' ? at?.items : (at?.properties?.[key] ?? at?.additionalProperties),
          roots[kind].properties.spec,
        );
        for (const [name, property] of Object.entries<Manifest>(schema?.properties ?? {}))
          if (property.default !== undefined) {
            assert.ok(name in value, `${kind} ${item.join('.')}.${name}`);
            looked++;
          }
      }
  assert.ok(looked > 0);
});
