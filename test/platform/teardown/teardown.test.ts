import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../../support/temp-dir.ts';
import { runTeardown } from './run-teardown.ts';

/** Only these programs, which answer as given. */
async function withPrograms(programs: Record<string, string>, args: string[]) {
  using dir = tempDir();
  const bin = join(dir.path, 'bin');
  mkdirSync(bin);
  for (const [name, body] of Object.entries(programs))
    writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return await runTeardown(
    args.map(arg => arg.replace('DIR', dir.path)),
    { PATH: bin },
  );
}

const cases: [string, Record<string, string>, string[], RegExp][] = [
  ['without the AWS CLI', {}, [], /^teardown: aws not found: install the AWS CLI/],
  [
    'without Terraform',
    { aws: '' },
    [],
    /^teardown: terraform not found: install Terraform .* pass --sweep-only if the cluster is gone/,
  ],
  ['an unknown option', {}, ['--force'], /^teardown: unknown option --force; --help lists them/],
  ['an option without its value', {}, ['--region'], /^teardown: --region takes a value/],
  [
    'a wait that is no number',
    {},
    ['--wait', 'long'],
    /^teardown: --wait takes a number of seconds, not long/,
  ],
  ['a folder that is not there', { aws: '', terraform: '' }, ['--dir', '/nowhere'], /no folder \/nowhere/],
  [
    'a state that knows nothing',
    { aws: '', terraform: 'exit 1' },
    ['--dir', 'DIR'],
    /does not know the name in .*: run terraform init there, or pass --cluster, and --sweep-only if/,
  ],
  ['a sweep without a name', { aws: '' }, ['--sweep-only'], /--sweep-only needs --cluster/],
  [
    'a sweep without a region',
    { aws: '' },
    ['--sweep-only', '--cluster', 'c'],
    /--sweep-only needs --region/,
  ],
  [
    'a name that would find others',
    { aws: '' },
    ['--sweep-only', '--cluster', "c' || 'a'=='a", '--region', 'r'],
    /is not the name of a cluster/,
  ],
  [
    'without credentials',
    { aws: 'exit 255' },
    ['--sweep-only', '--cluster', 'c', '--region', 'r'],
    /^teardown: AWS does not know you: log in/,
  ],
  [
    'no answer about the cluster',
    { aws: '[ "$1" = sts ] && echo 1 || { echo AccessDeniedException; exit 254; }' },
    ['--sweep-only', '--cluster', 'c', '--region', 'r'],
    /cannot tell whether the cluster still exists: AccessDeniedException/,
  ],
  [
    'a destroy that fails',
    { aws: 'echo 1', terraform: 'case "$*" in *output*) echo c;; *destroy*) exit 1;; esac' },
    ['--dir', 'DIR'],
    /terraform destroy did not finish; .* it goes on where it was/,
  ],
];

for (const [name, programs, args, message] of cases)
  test(`stops with a clear error: ${name}`, async () => {
    const { code, stderr } = await withPrograms(programs, args);
    assert.match(stderr, message);
    assert.equal(code, 2);
  });

test('--help needs nothing', async () => {
  const { code, stdout } = await runTeardown(['--help'], { PATH: process.env.PATH });
  assert.equal(code, 0);
  assert.match(stdout, /--sweep-only/);
});

test('what cannot be listed is not taken for gone', async () => {
  const { code, stdout } = await withPrograms(
    {
      aws: 'case "$1 $2" in sts*) echo 1;; "eks "*) echo ResourceNotFoundException; exit 254;; *volumes) exit 254;; esac',
    },
    ['--sweep-only', '--cluster', 'c', '--region', 'r'],
  );
  assert.equal(code, 2);
  assert.doesNotMatch(stdout, /Nothing is left over/);
});

/** An account without anything in it, except what is said before. */
const emptyAccount = 'case "$1" in sts) echo 1;; eks) echo ResourceNotFoundException; exit 254;; esac';

test('a destroy that stopped half-way is gone on with: name and region are those of the variables', async () => {
  const { code, stdout, stderr } = await withPrograms(
    {
      aws: emptyAccount,
      terraform: `case "$*" in *output*) exit 1;; *console*) echo '"c"';; esac`,
    },
    ['--dir', 'DIR', '--yes'],
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Cluster c in c, account 1\nNothing is left over/);
});

test('a network that Terraform lost sight of is named, and the exit code says so', async () => {
  const { code, stderr } = await withPrograms(
    { aws: `case "$*" in *describe-vpcs*) echo vpc-1;; esac; ${emptyAccount}` },
    ['--sweep-only', '--cluster', 'c', '--region', 'r', '--wait', '0', '--yes'],
  );
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^vpc vpc-1 is not deleted here: run terraform destroy, or delete it in the console\n/,
  );
  assert.match(stderr, /^Still left over:\nvpc vpc-1$/m);
});

test('what goes by itself is waited for', async () => {
  const { code, stdout, stderr } = await withPrograms(
    {
      sleep: '',
      aws: `case "$*" in *volumes*) [ -e "$0.asked" ] || echo vol-1; : >"$0.asked";; esac; ${emptyAccount}`,
    },
    ['--sweep-only', '--cluster', 'c', '--region', 'r', '--wait', '60'],
  );
  assert.equal(code, 0, stdout + stderr);
  assert.doesNotMatch(stdout, /Left over/);
});
