import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { names } from '../names.ts';
import { Terraform, withoutTerraform } from '../terraform/terraform.ts';
import { AwsEmulator, withoutAws } from './aws-emulator.ts';
import { runTeardown } from './run-teardown.ts';

const cluster = names.cluster;
const sweep = ['--sweep-only', '--cluster', cluster, '--region', 'us-east-1', '--wait', '0'];

suite('what a cluster leaves over in AWS', { skip: withoutAws }, () => {
  let aws: AwsEmulator;
  let network: { vpc: string; subnets: string[] };
  before(async () => {
    aws = await AwsEmulator.start();
    const { Vpc } = await aws.aws<{ Vpc: { VpcId: string } }>(
      'ec2',
      'create-vpc',
      '--cidr-block',
      '10.0.0.0/16',
    );
    const subnets = await Promise.all(
      ['a', 'b'].map(async (zone, i) => {
        const { Subnet } = await aws.aws<{ Subnet: { SubnetId: string } }>(
          ...['ec2', 'create-subnet', '--vpc-id', Vpc.VpcId],
          ...['--cidr-block', `10.0.${i}.0/24`, '--availability-zone', `us-east-1${zone}`],
        );
        return Subnet.SubnetId;
      }),
    );
    network = { vpc: Vpc.VpcId, subnets };
  });
  after(() => aws?.[Symbol.asyncDispose]());

  const tags = (type: string, key: string, value: string) => [
    '--tag-specifications',
    `ResourceType=${type},Tags=[{Key=${key},Value=${value}}]`,
  ];

  async function volume(key: string, value: string): Promise<string> {
    const { VolumeId } = await aws.aws<{ VolumeId: string }>(
      ...['ec2', 'create-volume', '--availability-zone', 'us-east-1a', '--size', '1'],
      ...tags('volume', key, value),
    );
    return VolumeId;
  }

  async function securityGroup(name: string, key: string, value: string): Promise<string> {
    const { GroupId } = await aws.aws<{ GroupId: string }>(
      ...['ec2', 'create-security-group', '--group-name', name, '--description', name],
      ...['--vpc-id', network.vpc, ...tags('security-group', key, value)],
    );
    return GroupId;
  }

  async function networkInterface(key: string, value: string): Promise<string> {
    const { NetworkInterface } = await aws.aws<{ NetworkInterface: { NetworkInterfaceId: string } }>(
      ...['ec2', 'create-network-interface', '--subnet-id', network.subnets[0]!],
      ...tags('network-interface', key, value),
    );
    return NetworkInterface.NetworkInterfaceId;
  }

  test('is found by tag, kept without consent, deleted with it, and gone then', async () => {
    const groups = await Promise.all([
      securityGroup('nodes', `kubernetes.io/cluster/${cluster}`, 'owned'),
      securityGroup('balancer', 'elbv2.k8s.aws/cluster', cluster),
    ]);
    // Each lets the other in: neither can be deleted before its rules.
    for (const [group, other] of [groups, groups.toReversed()])
      await aws.aws(
        ...['ec2', 'authorize-security-group-ingress', '--group-id', group!],
        ...['--protocol', 'tcp', '--port', '443', '--source-group', other!],
      );
    const balancer = await aws.aws<{ LoadBalancers: { LoadBalancerArn: string }[] }>(
      ...['elbv2', 'create-load-balancer', '--name', 'left', '--type', 'network', '--subnets'],
      ...network.subnets,
      ...['--tags', `Key=kubernetes.io/cluster/${cluster},Value=owned`],
    );
    await aws.aws(
      ...['elb', 'create-load-balancer', '--load-balancer-name', 'classic'],
      ...['--listeners', 'Protocol=TCP,LoadBalancerPort=80,InstanceProtocol=TCP,InstancePort=80'],
      ...['--subnets', network.subnets[0]!, '--tags', `Key=kubernetes.io/cluster/${cluster},Value=owned`],
    );
    await aws.aws('logs', 'create-log-group', '--log-group-name', `/aws/eks/${cluster}/cluster`);
    const planted = [
      `volume ${await volume(names.clusterTag, cluster)}`,
      `volume ${await volume('KubernetesCluster', cluster)}`,
      `network-interface ${await networkInterface('cluster.k8s.amazonaws.com/name', cluster)}`,
      ...groups.map(group => `security-group ${group}`),
      `load-balancer ${balancer.LoadBalancers[0]!.LoadBalancerArn}`,
      'classic-load-balancer classic',
      `log-group /aws/eks/${cluster}/cluster`,
    ];
    // Of others: a cluster with a longer name, one that shares, and no cluster at all.
    const others = [
      await volume(names.clusterTag, `${cluster}-2`),
      await volume(`kubernetes.io/cluster/${cluster}`, 'shared'),
      await volume('Name', cluster),
    ];
    await aws.aws('logs', 'create-log-group', '--log-group-name', `/aws/eks/${cluster}-2/cluster`);

    const refused = await runTeardown(sweep, aws.env, 'n\n');
    assert.equal(refused.code, 1, refused.stderr);
    assert.deepEqual(leftIn(refused.stdout), planted.toSorted());
    assert.match(refused.stdout, /Nothing was deleted/);

    const agreed = await runTeardown(sweep, aws.env, 'y\n');
    assert.equal(agreed.code, 0, agreed.stdout + agreed.stderr);
    assert.match(agreed.stdout, /Nothing is left over/);

    const kept = await aws.aws<{ Volumes: { VolumeId: string }[] }>('ec2', 'describe-volumes');
    assert.deepEqual(kept.Volumes.map(({ VolumeId }) => VolumeId).sort(), others.toSorted());
    const logs = await aws.aws<{ logGroups: { logGroupName: string }[] }>('logs', 'describe-log-groups');
    assert.deepEqual(
      logs.logGroups.map(({ logGroupName }) => logGroupName),
      [`/aws/eks/${cluster}-2/cluster`],
    );
  });

  test('what cannot be deleted is named, and the exit code says so', async () => {
    const { Instances } = await aws.aws<{ Instances: { InstanceId: string }[] }>(
      ...['ec2', 'run-instances', '--image-id', 'ami-12c6146b', '--subnet-id', network.subnets[0]!],
      ...tags('instance', names.clusterTag, cluster),
    );
    const instance = Instances[0]!.InstanceId;
    const used = await volume(names.clusterTag, cluster);
    // That of the tests before has no tag.
    const { Vpc } = await aws.aws<{ Vpc: { VpcId: string } }>(
      ...['ec2', 'create-vpc', '--cidr-block', '10.1.0.0/16', ...tags('vpc', names.clusterTag, cluster)],
    );
    await aws.aws(
      ...['ec2', 'attach-volume', '--volume-id', used, '--instance-id', instance, '--device', '/dev/sdf'],
    );
    const { code, stderr } = await runTeardown([...sweep, '--yes'], aws.env);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`volume ${used} could not be deleted`));
    assert.match(stderr, new RegExp(`instance ${instance} is not deleted here: run terraform destroy`));
    assert.match(stderr, new RegExp(`vpc ${Vpc.VpcId} is not deleted here: run terraform destroy`));
    assert.doesNotMatch(stderr, new RegExp(network.vpc));
    assert.match(stderr, new RegExp(`Still left over:\n(.*\n)*volume ${used}\n`));
    await aws.aws('ec2', 'terminate-instances', '--instance-ids', instance);
    await aws.aws('ec2', 'delete-volume', '--volume-id', used);
    await aws.aws('ec2', 'delete-vpc', '--vpc-id', Vpc.VpcId);
  });

  test('nothing is deleted while the cluster exists', async () => {
    const { Role } = await aws.aws<{ Role: { Arn: string } }>(
      ...['iam', 'create-role', '--role-name', 'cluster', '--assume-role-policy-document', '{}'],
    );
    await aws.aws(
      ...['eks', 'create-cluster', '--name', cluster, '--role-arn', Role.Arn],
      ...['--resources-vpc-config', `subnetIds=${network.subnets}`],
    );
    const needed = await volume(names.clusterTag, cluster);
    const { code, stderr } = await runTeardown([...sweep, '--yes'], aws.env);
    assert.equal(code, 2);
    assert.match(stderr, /the cluster still exists \(ACTIVE\): nothing is deleted/);
    await aws.aws('ec2', 'describe-volumes', '--volume-ids', needed);
    await aws.aws('eks', 'delete-cluster', '--name', cluster);
    await aws.aws('ec2', 'delete-volume', '--volume-id', needed);
  });

  test('after a destroy by Terraform nothing is left', { skip: withoutTerraform }, async () => {
    using terraform = new Terraform();
    const dev = 'environments/dev';
    const variables = '-var-file=terraform.tfvars.example';
    terraform.init(dev);
    terraform.succeed(dev, 'apply', '-auto-approve', '-no-color', variables);
    const { code, stdout, stderr } = await runTeardown(
      ['--dir', terraform.pathOf(dev), '--yes', '--', variables],
      { ...terraform.env, ...aws.env },
    );
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^Cluster postgres-wal-cdc-cluster in us-east-1, account 123456789012\n/);
    assert.match(stdout, /Destroy complete![\s\S]+Nothing is left over/);
  });
});

function leftIn(output: string): string[] {
  const [, list = ''] = /^Left over:\n((?:[a-z-]+ \S+\n)*)/m.exec(output) ?? [];
  return list.split('\n').filter(Boolean).sort();
}
