import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { callsOf } from './deploy-page.ts';
import { names } from './names.ts';
import { AwsEmulator, withoutAws } from './teardown/aws-emulator.ts';

test('the AWS CLI does what docs/deploy.md has it do', { skip: withoutAws }, async () => {
  await using aws = await AwsEmulator.start();
  const repositories = async () =>
    (
      await aws.aws<{ repositories: { repositoryName: string }[] }>('ecr', 'describe-repositories')
    ).repositories.map(({ repositoryName }) => repositoryName);
  const role = 'arn:aws:iam::123456789012:role/any';
  await aws.aws(
    ...['eks', 'create-cluster', '--name', names.cluster, '--role-arn', role],
    ...['--resources-vpc-config', 'subnetIds=subnet-1,subnet-2'],
  );
  // Nobody can sign in at the emulator.
  const calls = callsOf('aws').filter(call => !call.startsWith('aws sso'));
  const { AWS_DEFAULT_REGION: _, ...env } = aws.env;
  const seen: Record<string, (printed: string) => unknown> = {
    'aws ecr create-repository': async () => assert.deepEqual(await repositories(), ['wal-cdc']),
    'aws ecr get-login-password': printed => assert.match(printed, /^\S+\n$/),
    'aws ecr delete-repository': async () => assert.deepEqual(await repositories(), []),
    'aws sts get-caller-identity': printed => assert.match(printed, /"Arn"/),
    'aws eks update-kubeconfig': () => {
      const { contexts, users } = parse(readFileSync(join(env.HOME!, '.kube/config'), 'utf8'));
      assert.equal(contexts.length, 1);
      assert.ok(users[0].user.exec.args.includes(names.cluster));
    },
  };
  assert.deepEqual(calls.map(call => call.split(' ').slice(0, 3).join(' ')).sort(), Object.keys(seen).sort());
  for (const [command, look] of Object.entries(seen)) {
    const call = calls.find(each => each.startsWith(command))!;
    await look((await promisify(execFile)('bash', ['-c', call], { env })).stdout);
  }
});
