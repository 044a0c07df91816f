import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resourcesOf, valuesOf } from './resources.ts';
import { repository, Terraform, withoutTerraform } from './terraform.ts';

const dev = 'environments/dev';

test('the stated costs are those of what is planned', { skip: withoutTerraform }, () => {
  using terraform = new Terraform();
  terraform.init(dev);
  terraform.succeed(dev, 'plan', '-out=plan', '-no-color', '-var-file=terraform.tfvars.example');
  const plan = JSON.parse(terraform.succeed(dev, 'show', '-json', 'plan'));
  const prices = JSON.parse(
    consoleValue(terraform, 'jsonencode(merge(local.prices, { claimed_gib = local.claimed_gib }))'),
  );
  const planned = (type: string) => valuesOf(plan.planned_values.root_module, type);

  const [nodes] = planned('aws_eks_node_group');
  const [template] = planned('aws_launch_template');
  const count = nodes!.scaling_config[0].max_size;
  const usd =
    planned('aws_eks_cluster').length * prices.control_plane +
    count * Math.max(...nodes!.instance_types.map((type: string) => prices.instances[type])) +
    planned('aws_nat_gateway').length * prices.nat_gateway +
    planned('aws_eip').length * prices.public_ipv4 +
    (count * template!.block_device_mappings[0].ebs[0].volume_size + prices.claimed_gib) * prices.gp3_gib +
    planned('aws_kms_key').length * prices.kms_key +
    planned('aws_cloudwatch_log_group').length * prices.logs;

  const { hour, month } = plan.planned_values.outputs.costs.value;
  assert.equal(hour, usd.toFixed(3));
  // Nothing else that is charged by the hour.
  const free = /^aws_(vpc|subnet|route|internet_gateway|default_security|iam_|eks_addon|vpc_endpoint)/;
  const charged =
    /^aws_(eks_cluster|eks_node_group|launch_template|nat_gateway|eip|kms_key|cloudwatch_log_group)$/;
  for (const { type } of resourcesOf(plan.planned_values.root_module))
    assert.match(type, type.startsWith('aws_') && !charged.test(type) ? free : /./, type);

  const page = readFileSync(join(repository, 'docs/deploy.md'), 'utf8');
  assert.ok(page.includes(`${usd.toFixed(2)} USD an hour`), `docs/deploy.md does not say ${usd.toFixed(2)}`);
  assert.ok(page.includes(`${month} USD a month`), `docs/deploy.md does not say ${month}`);
});

/** An expression as `terraform console` evaluates it; the strings that it prints are JSON. */
function consoleValue(terraform: Terraform, expression: string): string {
  return JSON.parse(
    terraform.succeedWithInput(dev, expression, 'console', '-var-file=terraform.tfvars.example'),
  );
}
