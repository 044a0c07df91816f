/** Helm itself on the chart; what helm-unittest, with the templates of Helm 3, renders is tested in chart.helm.test.ts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { buildHelm, helm, withoutHelm } from '../support/helm.ts';
import { chartDir, exampleValues, helmMissing, type Manifest, renderChart } from '../support/helm-chart.ts';
import { tempDir } from '../support/temp-dir.ts';

const examples = readdirSync(join(chartDir, 'ci')).map(file => file.replace('-values.yaml', ''));
const valuesOf = (example: string) => join(chartDir, 'ci', `${example}-values.yaml`);
const page = readFileSync(join(import.meta.dirname, '../../docs/deploy.md'), 'utf8');

/** Objects of `helm template` as release `pipe` in namespace `data`, as renderChart has them. */
function template(chart: string, example: string): Manifest[] {
  const { code, stdout, stderr } = helm(
    ...['template', 'pipe', chart, '--namespace', 'data', '--values', valuesOf(example)],
  );
  assert.equal(code, 0, stderr);
  // As Kubernetes reads it: 0440 is octal.
  return parseAllDocuments(stdout, { version: '1.1' })
    .map(document => document.toJS())
    .filter(object => object !== null);
}

const sorted = (objects: Manifest[]) =>
  objects.toSorted((a, b) => `${a.kind}/${a.metadata.name}`.localeCompare(`${b.kind}/${b.metadata.name}`));

suite('helm', { skip: withoutHelm() || helmMissing() }, () => {
  before(buildHelm);

  test('has nothing to say about the chart with any example', () => {
    for (const example of examples) {
      const { code, stdout, stderr } = helm('lint', '--strict', chartDir, '--values', valuesOf(example));
      assert.equal(code, 0, `${example}: ${stdout}${stderr}`);
      assert.doesNotMatch(stdout + stderr, /WARNING|ERROR/, example);
    }
  });

  test('renders what the service was asked about: the same objects as helm-unittest', () => {
    const expected = renderChart(Object.fromEntries(examples.map(name => [name, exampleValues(name)])));
    for (const example of examples) {
      const objects = template(chartDir, example);
      assert.ok(objects.length >= 5, `${example}: ${objects.length} objects`);
      assert.deepEqual(sorted(objects), sorted(expected[example]!.filter(({ raw }) => !raw)), example);
    }
  });

  test('packages the chart without its examples, and renders the same from the package', () => {
    using dir = tempDir();
    const { code, stderr } = helm('package', chartDir, '--destination', dir.path);
    assert.equal(code, 0, stderr);
    const archive = join(dir.path, 'ingestion-service-0.1.0.tgz');
    const files = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trim().split('\n');
    for (const file of ['Chart.yaml', 'values.schema.json', 'templates/deployment.yaml', 'README.md'])
      assert.ok(files.includes(`ingestion-service/${file}`), file);
    assert.ok(!files.some(file => file.startsWith('ingestion-service/ci')));
    for (const example of examples) assert.deepEqual(template(archive, example), template(chartDir, example));
  });

  test('refuses wrong values and names them', () => {
    for (const [value, named] of [
      ['mode=other', /mode/],
      ['config.batch.maxByte=1', /maxByte/],
      ['replica=2', /replica/],
    ] as const) {
      const { code, stderr } = helm(
        ...['template', chartDir, '--values', valuesOf('synthetic'), '--set', value],
      );
      assert.notEqual(code, 0, value);
      assert.match(stderr, named);
    }
  });

  test('installs the values of docs/deploy.md, as far as that goes without a cluster', () => {
    using dir = tempDir();
    const values = /^\*\*2\. Values\.\*\*[\s\S]*?^```yaml\n([\s\S]*?)^```/m.exec(page)![1]!;
    writeFileSync(join(dir.path, 'values.yaml'), values);
    const { code, stdout, stderr } = helm(
      ...['install', 'pipeline', 'helm/ingestion-service', '--namespace', 'pipeline'],
      ...['--values', join(dir.path, 'values.yaml'), '--dry-run=client'],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /--mode=wal/);
    assert.match(stdout, /^NOTES:$/m);
  });

  test('has every command and option that docs/deploy.md gives', () => {
    const commands = page.replaceAll(/\\\n */g, '').match(/^helm .+$/gm)!;
    assert.ok(commands.length >= 6);
    for (const command of commands) {
      // Options are read before help is given.
      const { code, stdout, stderr } = helm(...command.split(' ').slice(1), '--help');
      assert.equal(code, 0, `${command}: ${stderr}`);
      const [, name] = /^Usage:\n {2}helm ([a-z]+)/m.exec(stdout) ?? [];
      assert.ok(name && command.split(' ').includes(name), `${command}: ${stdout}`);
    }
  });
});
