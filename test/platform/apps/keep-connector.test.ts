import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../../support/free-port.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait-for.ts';
import { repository } from '../terraform/terraform.ts';

const script = join(repository, 'platform/debezium/connector/keep-connector.mjs');

/** Kafka Connect with at most one connector, as far as the script asks. */
class Connect implements AsyncDisposable {
  config: Record<string, string> | undefined;
  connector = 'RUNNING';
  task = 'RUNNING';
  readonly changes: string[] = [];
  /** As while workers agree on who does what. */
  busy = false;
  readonly #server: Server;
  readonly #dir = tempDir();
  readonly file = join(this.#dir.path, 'connector.json');
  #child: ChildProcess | undefined;
  #port = 0;
  output = '';

  constructor() {
    this.#server = createServer(async (request, response) => {
      const body = (await request.toArray()).join('');
      const answer = (status: number, object?: unknown) =>
        response
          .writeHead(status, { 'content-type': 'application/json' })
          .end(object === undefined ? '' : JSON.stringify(object));
      const path = request.url!.replace('/connectors/', '');
      if (this.busy) return answer(409, { message: 'rebalance' });
      if (request.method === 'PUT') {
        assert.equal(path, 'one/config');
        this.config = JSON.parse(body);
        this.changes.push('PUT');
        return answer(201, {});
      }
      if (request.method === 'POST') {
        assert.equal(path, 'one/restart?includeTasks=true&onlyFailed=true');
        this.connector = this.task = 'RUNNING';
        this.changes.push('restart');
        return answer(204);
      }
      if (this.config === undefined) return answer(404, { error_code: 404 });
      if (path === 'one/config') return answer(200, this.config);
      const trace = 'org.postgresql.util.PSQLException: gone\n\tat somewhere';
      return answer(200, {
        connector: { state: this.connector },
        tasks: [{ id: 0, state: this.task, trace }],
      });
    });
  }

  write(config: Record<string, string>): void {
    writeFileSync(this.file, JSON.stringify({ name: 'one', ...config }));
  }

  async keep(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    this.#port = await freePort();
    this.#child = spawn(process.execPath, [script, this.file], {
      env: { CONNECT_URL: `http://127.0.0.1:${port}`, INTERVAL_MS: '20', PORT: String(this.#port) },
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on('data', text => {
        this.output += text;
      });
  }

  async status(path: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`).catch(() => undefined);
    return response?.status ?? 0;
  }

  readonly ready = async () => (await this.status('/readyz')) === 200;

  async stop(): Promise<number> {
    this.#child!.kill('SIGTERM');
    const [code] = await once(this.#child!, 'exit');
    return code;
  }

  async [Symbol.asyncDispose]() {
    if (this.#child?.exitCode === null) await this.stop();
    this.#server.closeAllConnections();
    this.#server.close();
    this.#dir[Symbol.dispose]();
  }
}

test('a connector that is missing is put, and left alone from then on', async () => {
  await using connect = new Connect();
  connect.write({ 'tasks.max': '1' });
  await connect.keep();
  await waitFor(connect.ready, { what: 'the connector to run' });
  assert.deepEqual(connect.config, { name: 'one', 'tasks.max': '1' });
  const seen = connect.changes.length;
  await waitFor(() => connect.output.includes('connector runs'), { what: 'the log' });
  assert.deepEqual([seen, connect.changes], [1, ['PUT']]);
  assert.equal(await connect.stop(), 0);
});

test('a change of the file is put, a change that somebody else made is undone', async () => {
  await using connect = new Connect();
  connect.write({ 'tasks.max': '1' });
  await connect.keep();
  await waitFor(connect.ready, { what: 'the connector to run' });
  connect.write({ 'tasks.max': '1', 'poll.interval.ms': '10' });
  await waitFor(() => connect.config?.['poll.interval.ms'] === '10', { what: 'the change' });
  connect.config = { ...connect.config, extra: 'x' };
  await waitFor(() => connect.config?.extra === undefined, { what: 'the extra setting to go' });
  await waitFor(connect.ready, { what: 'the connector to run' });
});

test('what failed is started again', async () => {
  await using connect = new Connect();
  connect.write({});
  await connect.keep();
  await waitFor(connect.ready, { what: 'the connector to run' });
  for (const part of ['task', 'connector'] as const) {
    connect[part] = 'FAILED';
    await waitFor(() => connect[part] === 'RUNNING', { what: `the ${part} to be started again` });
  }
  assert.deepEqual(connect.changes, ['PUT', 'restart', 'restart']);
  assert.match(connect.output, /started again after: org\.postgresql\.util\.PSQLException: gone/);
});

test('while it cannot tell, it is not ready, and alive', async () => {
  await using connect = new Connect();
  connect.write({});
  connect.busy = true;
  await connect.keep();
  await waitFor(() => connect.output.includes('cannot be looked at'), { what: 'the log' });
  assert.deepEqual([await connect.status('/readyz'), await connect.status('/healthz')], [503, 200]);
  connect.busy = false;
  await waitFor(connect.ready, { what: 'the connector to run' });
  connect.task = 'PAUSED';
  await waitFor(async () => !(await connect.ready()), { what: 'a paused task to be seen' });
});
