/** docs/deploy.md with real kubectl and Helm, as far as it goes without nodes: pods are played. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { slowToolMissing, toolPath } from '../../support/built-tool.ts';
import { ControlPlane, withoutControlPlane } from '../../support/kubernetes/control-plane.ts';
import { StandIns } from '../../support/kubernetes/stand-ins.ts';
import { type TempDir, tempDir } from '../../support/temp-dir.ts';
import { definitionFiles, withoutSchemas } from '../apps/definitions.ts';
import { secrets } from '../apps/parts.ts';
import { callsOf, commands, commandsUnder, page } from '../deploy-page.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';

const skip = withoutControlPlane || withoutSchemas || slowToolMissing('helm');

suite('docs/deploy.md in a cluster', { skip }, () => {
  const stack = new AsyncDisposableStack();
  let cluster: ControlPlane;
  let dir: TempDir;
  before(async () => {
    dir = stack.use(tempDir());
    symlinkSync(join(repository, 'helm'), join(dir.path, 'helm'));
    cluster = stack.use(await ControlPlane.start());
    await cluster.startControllers();
    await cluster.define(definitionFiles());
    stack.use(new StandIns(cluster.api, { operators: [], startMs: 100 }));
  });
  after(() => stack.disposeAsync());

  /** What commands print to a shell in which kubectl and Helm know the cluster. */
  async function shell(script: string): Promise<string> {
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: dir.path,
      env: {
        PATH: `${dirname(toolPath('kubectl'))}:${process.env.PATH}`,
        HOME: dir.path,
        KUBECONFIG: cluster.kubeconfig,
      },
    });
    return stdout;
  }

  /** The one line of the page that has it. */
  function line(part: string): string {
    const found = commands.filter(each => each.includes(part));
    assert.equal(found.length, 1, `${found.length} lines with ${part}`);
    return found[0]!;
  }

  test('kubectl has every command and option that the pages give', t => {
    const calls = callsOf('kubectl');
    assert.ok(calls.length > 30, `${calls.length} calls`);
    for (const call of calls) {
      // What comes behind "--" is for the container. Options are read before help is given.
      const { status, stdout, stderr } = spawnSync('bash', ['-c', `${call.split(' -- ')[0]} --help`], {
        env: { PATH: `${dirname(toolPath('kubectl'))}:${process.env.PATH}`, HOME: dir.path },
        encoding: 'utf8',
      });
      assert.equal(status, 0, `${call}: ${stderr}`);
      // Where a command is unknown there is the help of the group that it would be in.
      const [, usage] = /^Usage:\n {2}kubectl (.+)$/m.exec(stdout) ?? [];
      assert.ok(usage && !usage.startsWith('[') && !usage.includes('SUBCOMMAND'), `${call}: ${usage}`);
    }
    t.diagnostic(`${calls.length} different calls`);
  });

  test('the chart comes up, is tested, changed and left as the page says', async () => {
    const values = /^\*\*2\. Values\.\*\*[\s\S]*?^```yaml\n([\s\S]*?)^```/m.exec(page)![1]!;
    writeFileSync(join(dir.path, 'values.yaml'), values);
    for (const command of commandsUnder('## The chart'))
      if (!command.includes(' exec ')) {
        const printed = await shell(command);
        if (command.startsWith('kubectl')) assert.match(printed, /created|successfully rolled out/, command);
        if (command.startsWith('helm install')) assert.match(printed, /^STATUS: deployed$[\s\S]*^NOTES:$/m);
        if (command.startsWith('helm --')) assert.match(printed, /^Phase: +Succeeded$/m);
      }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'pipeline', namespace: 'pipeline' },
    };
    const { spec, status } = (await cluster.api.get(deployment))!;
    assert.equal(status.readyReplicas, 1);
    assert.ok(spec.template.spec.containers[0].args.includes('--mode=wal'));

    await shell(/`(kubectl --namespace pipeline rollout restart [^`]+)`/.exec(page)![1]!);
    const [scale, get] = commandsUnder('## The chart, day by day');
    await shell(scale!);
    assert.equal((await cluster.api.get(deployment))!.spec.replicas, 0);
    await shell(get!);
    const config = parse(readFileSync(join(dir.path, 'wal-cdc.yaml'), 'utf8'));
    assert.deepEqual(config.postgres, parse(values).config.postgres);
    await shell('helm uninstall pipeline --namespace pipeline --wait');
    assert.equal(await cluster.api.get(deployment), undefined);
  });

  test('passwords are where the page reads them', async () => {
    const all = [
      ...secrets.flatMap(({ name, namespaces }) => namespaces.map(namespace => ({ name, namespace }))),
      // Argo CD's own.
      { name: 'argocd-initial-admin-secret', namespace: names.argocdNamespace },
    ];
    for (const name of new Set(all.map(({ namespace }) => namespace)))
      await cluster.api.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    for (const metadata of all)
      await cluster.api.put({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata,
        stringData: { password: `of ${metadata.namespace}/${metadata.name}` },
      });
    assert.equal(
      await shell(line('argocd-initial-admin-secret')),
      `of ${names.argocdNamespace}/argocd-initial-admin-secret\n`,
    );
    assert.equal(
      await shell(`${line('secret postgres-app')}; echo "$WAL_CDC_POSTGRES_PASSWORD"`),
      'of wal-cdc-postgres/postgres-app\n',
    );
    assert.match(
      await shell(`curl() { echo "$2"; }; ${line('secret clickhouse-wal-cdc')}`),
      /^wal_cdc:of wal-cdc-clickhouse\/clickhouse-wal-cdc$/m,
    );
  });

  test('Argo CD is asked for passwords, and what the operators leave is removed', async () => {
    const application = {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Application',
      metadata: { name: 'namespaces', namespace: names.argocdNamespace },
    };
    const destination = { server: 'https://kubernetes.default.svc' };
    const source = { repoURL: 'https://git.example.com/me/wal-cdc.git', path: 'platform/namespaces' };
    await cluster.api.put({ ...application, spec: { project: 'wal-cdc', destination, source } });
    await shell(line('patch application namespaces'));
    assert.deepEqual((await cluster.api.get(application))!.operation, { sync: {} });

    await shell(line('delete namespace'));
    assert.equal(await cluster.api.get(application), undefined);
    const definitions = () => shell('kubectl get customresourcedefinitions -o name');
    assert.match(await definitions(), /clickhouseinstallations\.clickhouse\.altinity\.com/);
    await shell(line('get customresourcedefinitions'));
    const groups = new Set((await definitions()).trim().match(/[a-z]+\.[a-z]+$/gm));
    assert.deepEqual([...groups].sort(), ['argoproj.io', 'keda.sh']);
  });
});
