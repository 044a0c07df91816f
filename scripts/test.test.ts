import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempDir } from '../test/support/temp-dir.ts';

const script = fileURLToPath(new URL('test.ts', import.meta.url));

/** Runs the script over a made-up project. */
function runTests(
  files: Record<string, string>,
  args: string[] = [],
  variables: Record<string, string> = {},
) {
  using dir = tempDir();
  for (const [name, body] of Object.entries(files)) {
    mkdirSync(join(dir.path, name, '..'), { recursive: true });
    writeFileSync(join(dir.path, name), `import { test } from 'node:test';\n${body}`);
  }
  const { NODE_TEST_CONTEXT: _, CI: __, WAL_CDC_SLOW: ___, WAL_CDC_TEST_WITHOUT: ____, ...env } = process.env;
  const options = { cwd: dir.path, env: { ...env, ...variables }, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], options);
  return { status, output: stdout + stderr };
}

const passing = `test('works', () => {});`;
const failing = `test('breaks', () => { throw new Error('broken'); });`;
const skipping = `test('needs a moon', { skip: 'no moon' }, () => {});`;

test('passes, and closes with the totals of the test runner', () => {
  const { status, output } = runTests({ 'src/a.test.ts': passing, 'test/deep/b.test.ts': passing });
  assert.equal(status, 0, output);
  assert.match(output, /tests 2\n(.*\n)*.*pass 2\n.*fail 0\n(.*\n)*.*duration_ms [\d.]+\n$/);
});

test('a failing test fails the run', () => {
  const { status, output } = runTests({ 'src/a.test.ts': passing, 'src/b.test.ts': failing });
  assert.equal(status, 1, output);
  assert.match(output, /fail 1\n/);
});

test('a file that does not load fails the run', () => {
  assert.equal(runTests({ 'src/a.test.ts': 'nonsense(' }).status, 1);
});

test('what is skipped is named with its reason before the totals, and fails only with CI set', () => {
  const files = { 'src/a.test.ts': passing, 'src/b.kafka.test.ts': skipping };
  const here = runTests(files);
  assert.equal(here.status, 0, here.output);
  assert.match(here.output, /left out: src\/b\.kafka\.test\.ts "needs a moon": no moon\n(.*\n)*.*tests 2\n/);
  const ci = runTests(files, [], { CI: 'true' });
  assert.equal(ci.status, 1, ci.output);
  assert.match(ci.output, /nothing may be left out/);
});

test('a tier that the machine cannot run is named before the totals, also with CI set', () => {
  const files = { 'src/a.test.ts': passing, 'test/b.image.test.ts': failing };
  assert.equal(runTests(files).status, 1);
  const { status, output } = runTests(files, [], { CI: 'true', WAL_CDC_TEST_WITHOUT: 'image' });
  assert.equal(status, 0, output);
  assert.match(
    output,
    /not run: test\/b\.image\.test\.ts: WAL_CDC_TEST_WITHOUT says that what it needs is not here\n(.*\n)*.*tests 1\n/,
  );
});

test('the slow tier runs on request, by name, and with CI set', () => {
  const files = { 'src/a.test.ts': passing, 'test/b.pg.slow.test.ts': failing };
  const without = runTests(files);
  assert.equal(without.status, 0, without.output);
  assert.match(without.output, /left out: test\/b\.pg\.slow\.test\.ts: slow tier/);
  assert.equal(runTests(files, [], { WAL_CDC_SLOW: '1' }).status, 1);
  assert.equal(runTests(files, ['test/b.pg.slow.test.ts']).status, 1);
  assert.equal(runTests(files, [], { CI: '1' }).status, 1);
});

test('tests with a control plane come last', () => {
  const named = (name: string) => `test('${name}', () => {});`;
  const files = { 'src/a.cluster.slow.test.ts': named('late'), 'test/b.test.ts': named('early') };
  assert.match(runTests(files, [], { WAL_CDC_SLOW: '1' }).output, /early[\s\S]*late/);
});

test('a path picks the files; one that matches nothing is an error', () => {
  const files = { 'src/core/a.test.ts': passing, 'src/b.test.ts': failing };
  assert.equal(runTests(files, ['src/core']).status, 0);
  const nothing = runTests(files, ['src/moon']);
  assert.equal(nothing.status, 2);
  assert.match(nothing.output, /No test file matches src\/moon/);
});
