import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { slowToolMissing, toolMissing, toolPath } from '../built-tool.ts';
import { freePort } from '../free-port.ts';
import { type ControlPlane, withoutControlPlane } from './control-plane.ts';

/** Why Argo CD cannot run here, or false: for `skip`. */
export const withoutArgoCd =
  withoutControlPlane ||
  slowToolMissing('argo-cd') ||
  slowToolMissing('helm') ||
  toolMissing('kustomize') ||
  missing('git') ||
  missing('redis-server');

function missing(program: string): string | false {
  return spawnSync(program, ['--version']).error !== undefined && `${program} not found`;
}

/**
 * Starts the real application controller and repo server of Argo CD; they end with the control plane.
 * @param settings for ConfigMap argocd-cm
 */
export async function startArgoCd(
  { api, servers, kubeconfig }: ControlPlane,
  { namespace, settings }: { namespace: string; settings: Record<string, string> },
): Promise<void> {
  await api.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const labels = { 'app.kubernetes.io/part-of': 'argocd' };
  const others = ['rbac-cm', 'cmd-params-cm', 'ssh-known-hosts-cm', 'tls-certs-cm', 'gpg-keys-cm'];
  for (const name of ['cm', ...others].map(name => `argocd-${name}`))
    await api.put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, labels },
      data: name === 'argocd-cm' ? settings : {},
    });
  await api.put({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'argocd-secret', namespace, labels },
    stringData: { 'server.secretkey': 'test' },
  });

  const at = (name: string) => join(servers.dir, 'argo-cd', name);
  for (const folder of ['tls', 'ssh', 'gpg/source', 'gpg/keys', 'plugins', 'tmp', 'bin'])
    mkdirSync(at(folder), { recursive: true });
  // Asked whether a commit is signed even where nobody wants to know.
  writeFileSync(at('bin/git-verify-wrapper.sh'), '#!/bin/sh\n');
  chmodSync(at('bin/git-verify-wrapper.sh'), 0o755);
  const env = {
    // helm and kustomize are among the tools.
    PATH: `${at('bin')}:${toolPath('.')}:${process.env.PATH}`,
    HOME: at('tmp'),
    TMPDIR: at('tmp'),
    HOSTNAME: 'argo-cd-0',
    // Its own cluster is the one that this names.
    ARGOCD_FAKE_IN_CLUSTER: 'true',
    KUBECONFIG: kubeconfig,
    ARGOCD_APPLICATION_CONTROLLER_REPLICAS: '1',
    ARGOCD_TLS_DATA_PATH: at('tls'),
    ARGOCD_SSH_DATA_PATH: at('ssh'),
    ARGOCD_GPG_DATA_PATH: at('gpg/source'),
    ARGOCD_GNUPGHOME: at('gpg/keys'),
    ARGOCD_GPG_ENABLED: 'false',
    ARGOCD_PLUGINSOCKFILEPATH: at('plugins'),
    // The repository may belong to somebody else than who runs this.
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'safe.directory',
    GIT_CONFIG_VALUE_0: '*',
  };

  const [redis, repo, repoMetrics, metrics] = await freePorts(4);
  servers.start('redis', [
    'redis-server',
    ...['--port', String(redis), '--bind', '127.0.0.1', '--dir', servers.dir],
    // Kept in memory.
    ...['--appendonly', 'no', '--save', ''],
  ]);
  servers.start(
    'repo-server',
    [
      toolPath('argo-cd'),
      'repo-server',
      '--disable-tls',
      '--client-ca-path=',
      '--address=127.0.0.1',
      `--port=${repo}`,
      '--metrics-address=127.0.0.1',
      `--metrics-port=${repoMetrics}`,
      `--redis=127.0.0.1:${redis}`,
    ],
    env,
  );
  servers.start(
    'application-controller',
    [
      toolPath('argo-cd'),
      'controller',
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${namespace}`,
      `--repo-server=127.0.0.1:${repo}`,
      '--repo-server-plaintext',
      `--redis=127.0.0.1:${redis}`,
      `--metrics-port=${metrics}`,
      // Seconds after which it looks at everything again; two minutes otherwise.
      '--app-resync=10',
    ],
    env,
  );
  await servers.wait('the application controller', () =>
    fetch(`http://127.0.0.1:${metrics}/healthz`).then(({ ok }) => ok),
  );
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
