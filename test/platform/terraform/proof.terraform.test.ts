import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { names } from '../names.ts';
import { DestroyOrder } from './destroy-order.ts';
import { resourcesOf, valuesOf } from './resources.ts';
import { Terraform, withoutTerraform } from './terraform.ts';

const dev = 'environments/dev';
const variables = '-var-file=terraform.tfvars.example';
const upgraded = [variables, '-var=kubernetes_version=1.37'];

/** From the first to go to the last; those of one line in any order. */
const teardown = [
  ['module.argocd.helm_release.root'],
  ['module.argocd.helm_release.argocd'],
  ['ebs_csi', 'coredns', 'metrics_server'].map(name => `module.eks.aws_eks_addon.${name}`),
  ['module.eks.aws_eks_node_group.this'],
  ['vpc-cni', 'eks-pod-identity-agent', 'kube-proxy'].map(
    name => `module.eks.aws_eks_addon.before_nodes["${name}"]`,
  ),
  ['module.eks.aws_eks_cluster.this'],
  [
    'module.eks.aws_cloudwatch_log_group.cluster',
    'module.iam.aws_iam_role_policy_attachment.this["cluster/AmazonEKSClusterPolicy"]',
    'module.vpc.aws_subnet.private[0]',
    'module.vpc.aws_route.nat[0]',
  ],
];

/** How the log of the stub provider calls the middle of that. */
const logged = [
  ['helm_release root'],
  ['helm_release argocd'],
  ['aws_eks_addon aws-ebs-csi-driver', 'aws_eks_addon coredns', 'aws_eks_addon metrics-server'],
  ['aws_eks_node_group nodes-'],
  ['aws_eks_addon vpc-cni', 'aws_eks_addon eks-pod-identity-agent', 'aws_eks_addon kube-proxy'],
  ['aws_eks_cluster postgres-wal-cdc-cluster'],
  ['aws_cloudwatch_log_group /aws/eks/postgres-wal-cdc-cluster/cluster'],
  ['aws_vpc 10.42.0.0/16'],
];

suite('environments/dev without a cloud', { skip: withoutTerraform }, () => {
  let terraform: Terraform;
  before(() => {
    terraform = new Terraform();
    terraform.init(dev);
  });
  after(() => terraform?.[Symbol.dispose]());

  test('is valid', () => {
    terraform.succeed(dev, 'validate', '-no-color');
  });

  test('wrong values are refused with the way out', () => {
    const refused: [string, RegExp][] = [
      ['kubernetes_version=1.34', /must be "1\.35" or newer/],
      ['node_count=1', /whole number from 2 to 20/],
      ['node_count=4', /more than budget_usd_per_hour = 0\.42.*raise the budget/],
      ['nat_gateway_count=3', /must be 1, or zone_count/],
      ['instance_types=["t3.nano"]', /must have a price in costs\.tf.*t3\.large/],
      ['instance_types=["t3.large", "t4g.large"]', /must not mix ARM types/],
      ['api_allowed_cidrs=[]', /must name the range that you come from/],
      ['api_allowed_cidrs=["my house"]', /IPv4 ranges such as 203\.0\.113\.7\/32/],
      ['admin_principal_arns=["arn:aws:sts::123456789012:assumed-role/a/b"]', /name its role/],
      ['repository_url=https://me:secret@example.com/r.git', /without user and password/],
      ['image_tag=latest', /a restart may change the version/],
      ['image_repository=ghcr.io/you/wal-cdc:1', /without tag/],
      ['region=mars', /a region of AWS such as us-east-1/],
      ['name=Cluster_1', /lower-case letters, digits and hyphens/],
    ];
    for (const [assignment, message] of refused) {
      const { code, output } = terraform.run(
        dev,
        'plan',
        '-input=false',
        '-no-color',
        variables,
        '-var',
        assignment,
      );
      assert.equal(code, 1, `${assignment}: ${output}`);
      assert.match(output.replace(/[\s│]+/g, ' '), message, assignment);
    }
  });

  test('what the cluster leaves over is found by its name', () => {
    terraform.succeed(dev, 'plan', '-out=tags.plan', '-no-color', variables, '-var=name=another');
    const { configuration, planned_values } = JSON.parse(
      terraform.succeed(dev, 'show', '-json', 'tags.plan'),
    );
    // The provider tags what Terraform makes itself; the one of the tests does not.
    const { default_tags } = configuration.provider_config.aws.expressions;
    assert.deepEqual(default_tags?.[0].tags.references, ['local.tags']);
    const [template] = valuesOf(planned_values.root_module, 'aws_launch_template');
    const driver = valuesOf(planned_values.root_module, 'aws_eks_addon').find(
      ({ addon_name }) => addon_name === 'aws-ebs-csi-driver',
    );
    for (const tags of [
      ...template!.tag_specifications.map(({ tags }: { tags: unknown }) => tags),
      JSON.parse(driver!.configuration_values).controller.extraVolumeTags,
    ])
      assert.equal(tags[names.clusterTag], 'another');
  });

  test('a second plan has nothing to do', () => {
    terraform.succeed(dev, 'apply', '-auto-approve', '-no-color', variables);
    const { code, output } = terraform.run(dev, 'plan', '-detailed-exitcode', '-no-color', variables);
    assert.equal(code, 0, output);
  });

  test('nodes are made from the template, and everybody has the role that is theirs', () => {
    const { values } = JSON.parse(terraform.succeed(dev, 'show', '-json'));
    const made = Object.fromEntries(
      resourcesOf(values.root_module).map(({ address, values }) => [address, values]),
    );
    const role = (name: string) => made[`module.iam.aws_iam_role.this["${name}"]`]!.arn;
    const nodes = made['module.eks.aws_eks_node_group.this']!;
    const template = made['module.eks.aws_launch_template.node']!;
    const driver = made['module.eks.aws_eks_addon.ebs_csi']!;
    assert.equal(nodes.launch_template[0]?.id, template.id);
    assert.equal(nodes.launch_template[0].version, String(template.latest_version));
    assert.equal(nodes.node_role_arn, role('node'));
    assert.equal(made['module.eks.aws_eks_cluster.this']!.role_arn, role('cluster'));
    assert.equal(driver.pod_identity_association[0].role_arn, role('ebs-csi'));
  });

  test('another version of Kubernetes goes to the control plane, its add-ons, the nodes and what runs on them', () => {
    terraform.succeed(dev, 'plan', '-out=upgrade.plan', '-no-color', ...upgraded);
    const plan = JSON.parse(terraform.succeed(dev, 'show', '-json', 'upgrade.plan'));
    const versions = (values: Record<string, string>) => values.version ?? values.addon_version;
    for (const { address, change } of plan.resource_changes)
      if (/\.aws_eks_(cluster|node_group|addon)\./.test(address)) {
        assert.deepEqual(change.actions, ['update'], address);
        assert.notEqual(versions(change.after), versions(change.before), address);
      } else assert.deepEqual(change.actions, ['no-op'], address);

    const { length } = terraform.log();
    terraform.succeed(dev, 'apply', '-auto-approve', '-no-color', ...upgraded);
    const updated = terraform.log().slice(length);
    const steps = logged.slice(2, 6).toReversed();
    assert.equal(updated.length, steps.flat().length);
    for (const step of steps)
      assert.deepEqual(updated.splice(0, step.length).sort(), step.map(name => `update ${name}`).sort());
    const { code, output } = terraform.run(dev, 'plan', '-detailed-exitcode', '-no-color', ...upgraded);
    assert.equal(code, 0, output);
  });

  test('other nodes come before those that they replace go', () => {
    const { length } = terraform.log();
    // The schemas do not tell which change replaces a resource.
    const replace = '-replace=module.eks.aws_eks_node_group.this';
    const larger = ['-var=instance_types=["t3.xlarge"]', '-var=budget_usd_per_hour=1'];
    terraform.succeed(dev, 'apply', '-auto-approve', '-no-color', ...upgraded, replace, ...larger);
    assert.deepEqual(
      terraform
        .log()
        .slice(length)
        .filter(line => line.includes('node_group')),
      ['create aws_eks_node_group nodes-', 'destroy aws_eks_node_group nodes-'],
    );
  });

  test('the outputs print the next commands', () => {
    const outputs = JSON.parse(terraform.succeed(dev, 'output', '-json'));
    assert.equal(
      outputs.argocd_password.value,
      `kubectl -n wal-cdc-argocd get secret argocd-initial-admin-secret -o jsonpath='{.data.password}' | base64 -d; echo`,
    );
    assert.match(outputs.kubeconfig.value, /^aws eks update-kubeconfig --name postgres-wal-cdc-cluster /);
    assert.match(outputs.argocd_port_forward.value, /^kubectl -n wal-cdc-argocd port-forward /);
  });

  test('a plan to destroy takes things in the order of their dependencies', () => {
    terraform.succeed(dev, 'plan', '-destroy', '-out=destroy.plan', '-no-color', variables);
    const order = new DestroyOrder(terraform.succeed(dev, 'graph', '-plan=destroy.plan'));
    for (const [i, resources] of teardown.entries())
      for (const resource of resources) {
        assert.ok(order.resources.includes(resource), `${resource} is not in the plan`);
        for (const earlier of teardown[i - 1] ?? [])
          assert.ok(order.isBefore(earlier, resource), `${resource} does not wait for ${earlier}`);
      }
    // Claims of Argo CD's Applications are gone before their class, and volumes before their driver.
    const storageClass = 'module.eks.helm_release.storage_class';
    assert.ok(order.isBefore('module.argocd.helm_release.argocd', storageClass));
    assert.ok(order.isBefore(storageClass, 'module.eks.aws_eks_addon.ebs_csi'));
    assert.ok(order.isBefore('module.vpc.aws_subnet.private[0]', 'module.vpc.aws_vpc.this'));
  });

  test('destroy keeps that order and leaves nothing', () => {
    const { length } = terraform.log();
    terraform.succeed(dev, 'destroy', '-auto-approve', '-no-color', variables);
    const log = terraform.log();
    const names = (operation: string, lines: string[]) =>
      lines.flatMap(line => (line.startsWith(operation) ? line.slice(operation.length + 1) : []));
    assert.deepEqual(names('destroy', log).sort(), names('create', log).sort());
    const destroyed = names('destroy', log.slice(length));
    const positions = logged.map(names =>
      names.map(name => {
        assert.ok(destroyed.includes(name), `${name} was not destroyed`);
        return destroyed.indexOf(name);
      }),
    );
    for (const [i, group] of positions.entries())
      if (i > 0) assert.ok(Math.max(...positions[i - 1]!) < Math.min(...group), `${logged[i]}: ${destroyed}`);
  });
});
