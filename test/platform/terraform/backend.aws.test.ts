import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AwsEmulator, withoutAws } from '../teardown/aws-emulator.ts';
import { Terraform, withoutTerraform } from './terraform.ts';

const dev = 'environments/dev';
const variables = '-var-file=terraform.tfvars.example';

test('the examples keep the state in S3, encrypted, and lock it there', {
  skip: withoutAws || withoutTerraform,
}, async () => {
  await using aws = await AwsEmulator.start();
  using terraform = new Terraform();
  for (const name of Object.keys(aws.env).filter(name => name.startsWith('AWS_')))
    terraform.env[name] = aws.env[name];
  const at = (file: string) => join(terraform.pathOf(dev), file);
  for (const file of ['backend.tf', 'backend.hcl']) copyFileSync(at(`${file}.example`), at(file));
  const [bucket, key] = ['bucket', 'key'].map(
    name => new RegExp(`^${name} += "(.+)"$`, 'm').exec(readFileSync(at('backend.hcl'), 'utf8'))![1]!,
  );
  await aws.aws('s3api', 'create-bucket', '--bucket', bucket!);
  // A bucket has no name of its own at the emulator's address, and the emulator no account.
  const local = ['-backend-config=use_path_style=true', '-backend-config=skip_requesting_account_id=true'];
  terraform.succeed(dev, 'init', '-input=false', '-no-color', '-backend-config=backend.hcl', ...local);
  terraform.succeed(dev, 'apply', '-auto-approve', '-no-color', variables);
  const state = ['s3api', 'head-object', '--bucket', bucket!, '--key', key!];
  assert.equal((await aws.aws<{ ServerSideEncryption?: string }>(...state)).ServerSideEncryption, 'AES256');

  // As while somebody else is at it.
  const lock = at('lock');
  writeFileSync(lock, JSON.stringify({ ID: '1', Operation: 'OperationTypeApply', Who: 'somebody@else' }));
  await aws.aws('s3api', 'put-object', '--bucket', bucket!, '--key', `${key}.tflock`, '--body', lock);
  const { code, output } = terraform.run(dev, 'plan', '-no-color', variables);
  assert.equal(code, 1, output);
  assert.match(output, /Error acquiring the state lock[\s\S]+somebody@else/);
});
