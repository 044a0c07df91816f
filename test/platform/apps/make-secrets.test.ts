import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Manifest } from '../../support/helm-chart.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { repository } from '../terraform/terraform.ts';
import { secrets } from './parts.ts';

const folder = join(repository, 'platform/namespaces/secrets');

/** Secrets of an API server by `namespace/name`, and what was asked of it. */
class SecretStore implements AsyncDisposable {
  readonly secrets = new Map<string, Manifest>();
  readonly changes: string[] = [];
  readonly #server: Server;
  /** Answers 403 to it. */
  forbidden: string | undefined;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/secrets(?:\/(.+))?$/.exec(request.url!)!;
      const body = (await request.toArray()).join('');
      const answer = (status: number, object: unknown) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(object));
      assert.equal(request.headers.authorization, 'Bearer the-token');
      const key = `${namespace}/${name ?? JSON.parse(body).metadata.name}`;
      const found = this.secrets.get(key);
      if (key === this.forbidden) return answer(403, { message: 'no' });
      if (request.method === 'GET') return found ? answer(200, found) : answer(404, {});
      this.changes.push(`${request.method} ${key}`);
      if (request.method === 'POST') this.secrets.set(key, JSON.parse(body));
      else {
        assert.equal(request.headers['content-type'], 'application/merge-patch+json');
        this.secrets.set(key, { ...found, data: { ...found.data, ...JSON.parse(body).data } });
      }
      return answer(200, this.secrets.get(key));
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  /** Runs the script against it. */
  async make(): Promise<{ code: number; output: string }> {
    using dir = tempDir();
    const tokenFile = join(dir.path, 'token');
    writeFileSync(tokenFile, 'the-token\n');
    const { port } = this.#server.address() as AddressInfo;
    const child = spawn(process.execPath, [join(folder, 'make-secrets.mjs'), join(folder, 'secrets.json')], {
      env: { KUBERNETES_API: `http://127.0.0.1:${port}`, TOKEN_FILE: tokenFile },
    });
    const output: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', text => output.push(String(text)));
    const [code] = await once(child, 'close');
    return { code, output: output.join('') };
  }

  value(key: string, field: string): string {
    return Buffer.from(this.secrets.get(key).data[field], 'base64').toString();
  }

  async [Symbol.asyncDispose]() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

test('every Secret is made, once, and is the same in each of its namespaces', async () => {
  await using store = await new SecretStore().start();
  const { code, output } = await store.make();
  assert.equal(code, 0, output);
  const passwords = new Set<string>();
  for (const { name, username, namespaces } of secrets) {
    for (const namespace of namespaces) {
      const secret = store.secrets.get(`${namespace}/${name}`);
      assert.equal(secret.type, 'kubernetes.io/basic-auth');
      assert.deepEqual(secret.data, store.secrets.get(`${namespaces[0]}/${name}`).data);
      const at = `${namespace}/${name}`;
      assert.equal(store.value(at, 'username'), username);
      const password = store.value(at, 'password');
      assert.match(password, /^[\w-]{32}$/);
      assert.equal(store.value(at, 'sha256'), createHash('sha256').update(password).digest('hex'));
      assert.ok(!output.includes(password));
      passwords.add(password);
    }
  }
  assert.equal(passwords.size, secrets.length);
  const before = new Map(store.secrets);
  store.changes.length = 0;
  assert.equal((await store.make()).code, 0);
  assert.deepEqual(store.changes, []);
  assert.deepEqual(store.secrets, before);
});

test('a Secret that is deleted where it is made gets a new password, everywhere', async () => {
  await using store = await new SecretStore().start();
  await store.make();
  const old = store.value('wal-cdc/postgres-wal-cdc', 'password');
  store.secrets.delete('wal-cdc-postgres/postgres-wal-cdc');
  store.changes.length = 0;
  assert.equal((await store.make()).code, 0);
  assert.deepEqual(store.changes, [
    'POST wal-cdc-postgres/postgres-wal-cdc',
    'PATCH wal-cdc/postgres-wal-cdc',
  ]);
  assert.notEqual(store.value('wal-cdc/postgres-wal-cdc', 'password'), old);
  assert.equal(
    store.value('wal-cdc/postgres-wal-cdc', 'password'),
    store.value('wal-cdc-postgres/postgres-wal-cdc', 'password'),
  );
});

test('what is refused ends it with who and where, and without what', async () => {
  await using store = await new SecretStore().start();
  store.forbidden = 'wal-cdc-debezium/postgres-debezium';
  const { code, output } = await store.make();
  assert.equal(code, 1);
  assert.match(output, /GET wal-cdc-debezium\/secrets\/postgres-debezium: 403/);
  assert.ok(!output.includes(store.value('wal-cdc-postgres/postgres-debezium', 'password')));
});
