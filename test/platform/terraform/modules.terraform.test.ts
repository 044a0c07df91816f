import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Terraform, terraformFolder, withoutTerraform } from './terraform.ts';

/** Everything with files `tests/*.tftest.hcl`. */
const folders = [
  ...new Set(globSync('**/tests/*.tftest.hcl', { cwd: terraformFolder }).map(file => dirname(dirname(file)))),
].sort();

suite('terraform test', { skip: withoutTerraform }, () => {
  let terraform: Terraform;
  before(() => (terraform = new Terraform()));
  after(() => terraform?.[Symbol.dispose]());

  for (const folder of folders)
    test(folder, t => {
      terraform.init(folder);
      terraform.succeed(folder, 'validate', '-no-color');
      const { code, output } = terraform.run(folder, 'test', '-no-color');
      assert.equal(code, 0, output);
      t.diagnostic(/^Success!.*$/m.exec(output)![0]);
    });

  test('what Argo CD is told can be printed, for a cluster without a cloud', () => {
    const folder = 'modules/argocd';
    terraform.init(folder);
    const printed = (expression: string) =>
      terraform.succeedWithInput(
        folder,
        expression,
        ...['console', '-var-file=../../environments/dev/terraform.tfvars.example'],
      );
    assert.match(printed('yamlencode(local.root_values)'), /^"applications":\n(.*\n)+"projects":\n/m);
    assert.match(printed('yamlencode(local.argocd_values)'), /argoproj\.io_Application/);
  });
});
