import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { slowToolMissing, toolPath } from '../built-tool.ts';
import { freePort } from '../free-port.ts';
import type { Manifest } from '../helm-chart.ts';
import { tempDir } from '../temp-dir.ts';
import { KubeApi } from './kube-api.ts';
import { Servers } from './servers.ts';

/** Why the API server cannot run here, or false: for `skip`. */
export const withoutControlPlane =
  slowToolMissing('kubernetes', ['kube-apiserver', 'kube-controller-manager']) ||
  (spawnSync('etcd', ['--version']).error !== undefined && 'etcd not found: in Debian it is etcd-server');

const token = 'administrator';

/**
 * A real control plane of Kubernetes without nodes: objects are checked, stored, defaulted, owned and collected as in any cluster; no
 * container runs. Everything is in one folder and goes with the scope.
 */
export class ControlPlane implements AsyncDisposable {
  readonly servers: Servers;
  readonly api: KubeApi;
  /** For programs that are no part of it. */
  readonly kubeconfig: string;
  /** File with the one of the API server. */
  readonly certificate: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(servers: Servers, api: KubeApi, certificate: string, stack: AsyncDisposableStack) {
    this.servers = servers;
    this.api = api;
    this.kubeconfig = join(servers.dir, 'kubeconfig');
    this.certificate = certificate;
    this.#stack = stack;
  }

  static async start(): Promise<ControlPlane> {
    await using starting = new AsyncDisposableStack();
    const dir = starting.use(tempDir()).path;
    const servers = starting.use(new Servers(dir));
    const at = (name: string) => join(dir, name);

    const [clients, peers] = [await freePort(), await freePort()].map(port => `http://127.0.0.1:${port}`);
    servers.start('etcd', [
      'etcd',
      `--data-dir=${at('etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${clients}`,
      `--advertise-client-urls=${clients}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
    ]);

    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(at('accounts.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
    writeFileSync(at('tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
    const port = await freePort();
    servers.start('kube-apiserver', [
      toolPath('kube-apiserver'),
      `--etcd-servers=${clients}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${at('certificates')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=RBAC',
      `--token-auth-file=${at('tokens.csv')}`,
      `--service-account-key-file=${at('accounts.key')}`,
      `--service-account-signing-key-file=${at('accounts.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--endpoint-reconciler-type=none',
      '--profiling=false',
    ]);
    const url = `https://127.0.0.1:${port}`;
    const certificate = at('certificates/apiserver.crt');
    let api: KubeApi | undefined;
    await servers.wait('the API server', async () => {
      api ??= new KubeApi(url, token, readFileSync(certificate));
      return (await api.call('GET', '/readyz')).status === 200;
    });
    starting.defer(() => api!.close());

    const name = 'test';
    writeFileSync(
      at('kubeconfig'),
      stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': name,
        clusters: [{ name, cluster: { server: url, 'certificate-authority': certificate } }],
        users: [{ name, user: { token } }],
        contexts: [{ name, context: { cluster: name, user: name } }],
      }),
      { mode: 0o600 },
    );
    return new ControlPlane(servers, api!, certificate, starting.move());
  }

  /** With it Deployments get pods, service accounts get made, and what is owned goes with its owner. */
  async startControllers(): Promise<void> {
    const at = (name: string) => join(this.servers.dir, name);
    const port = await freePort();
    this.servers.start('kube-controller-manager', [
      toolPath('kube-controller-manager'),
      ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map(
        flag => `--${flag}=${this.kubeconfig}`,
      ),
      `--service-account-private-key-file=${at('accounts.key')}`,
      `--root-ca-file=${at('certificates/apiserver.crt')}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${at('controller-certificates')}`,
    ]);
  }

  /** The API as somebody else. */
  as(token: string): KubeApi {
    const api = new KubeApi(this.api.url, token, readFileSync(this.certificate));
    this.#stack.defer(() => api.close());
    return api;
  }

  /** Adds kinds, of files with CustomResourceDefinitions, and resolves when objects of them can be stored. */
  async define(files: string[]): Promise<void> {
    const definitions = files.flatMap(file => parseAllDocuments(readFileSync(file, 'utf8')));
    for (const definition of definitions) {
      const { apiVersion, kind, metadata } = await this.api.put(definition.toJS());
      await this.servers.wait(`${metadata.name} to be known`, async () => {
        const { status } = await this.api.get({ apiVersion, kind, metadata });
        return status.conditions?.some(
          ({ type, status }: Manifest) => type === 'Established' && status === 'True',
        );
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
