import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Terraform, withoutTerraform } from './terraform.ts';

/** Added to a module that is valid. */
const mistakes: [string, RegExp][] = [
  ['resource "aws_vpc" "a" {\n  cidr = "10.0.0.0/16"\n}', /Unsupported argument/],
  ['resource "aws_subnet" "a" {}', /argument "vpc_id" is required/],
  ['resource "aws_vpc" "a" {\n  enable_dns_support = "perhaps"\n}', /a bool is required/],
  ['resource "aws_vpc" "a" {\n  timeouts {}\n}', /Blocks of type "timeouts" are not expected here/],
  [
    'output "a" {\n  value = aws_vpc.this.address\n}',
    /no argument, nested block, or exported attribute named "address"/,
  ],
  ['resource "aws_vpcs" "a" {}', /does not support resource type "aws_vpcs"/],
];

test('the schemas of the providers find mistakes', { skip: withoutTerraform }, () => {
  using terraform = new Terraform();
  const folder = 'modules/vpc';
  terraform.init(folder);
  terraform.succeed(folder, 'validate', '-no-color');
  for (const [mistake, message] of mistakes) {
    writeFileSync(join(terraform.pathOf(folder), 'mistake.tf'), `${mistake}\n`);
    const { code, output } = terraform.run(folder, 'validate', '-no-color');
    assert.equal(code, 1, mistake);
    assert.match(output.replace(/[\s│]+/g, ' '), message, mistake);
  }
});
