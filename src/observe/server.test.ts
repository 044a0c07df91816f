import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { CdcError } from '../core/errors.ts';
import { Metrics } from './metrics.ts';
import { type StatusProvider, startServer } from './server.ts';
import type { StatusSnapshot } from './status.ts';

const snapshot: StatusSnapshot = {
  pipeline: 'default',
  mode: 'wal',
  phase: 'streaming',
  startedAt: '2024-01-01T00:00:00.000Z',
  freshnessMs: 0,
  commitToQueryableMs: {},
  rowsPerSecond: 0,
  rowsTotal: 0,
  tables: [],
  deadLetters: 0,
};

async function start(t: TestContext, options: { token?: string; provider?: Partial<StatusProvider> } = {}) {
  const server = await startServer({
    listen: { host: '127.0.0.1', port: 0 },
    token: options.token,
    metrics: new Metrics(),
    provider: {
      status: () => snapshot,
      ready: async () => ({ ready: true }),
      waitFor: async () => true,
      ...options.provider,
    },
  });
  t.after(() => server.close());
  return server.url;
}

test('health is open, readiness says why not', async t => {
  let state = { ready: true, reason: undefined as string | undefined };
  const url = await start(t, { token: 'secret', provider: { ready: async () => state } });
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  state = { ready: false, reason: 'ClickHouse does not answer' };
  const answer = await fetch(`${url}/readyz`);
  assert.equal(answer.status, 503);
  assert.deepEqual(await answer.json(), state);
});

test('readiness that cannot be found out is not ready', async t => {
  const ready = async () => {
    throw new CdcError('SINK_UNREACHABLE', 'ClickHouse at h:1 does not answer');
  };
  const answer = await fetch(`${await start(t, { provider: { ready } })}/readyz`);
  assert.equal(answer.status, 503);
  assert.deepEqual(await answer.json(), { ready: false, reason: 'ClickHouse at h:1 does not answer' });
});

test('the token guards page and API, by header, query and cookie', async t => {
  const url = await start(t, { token: 'a secret' });
  for (const path of ['/', '/status.js', '/api/status', '/api/stream', '/api/wait?position=0/1', '/api/none'])
    assert.equal((await fetch(url + path)).status, 401, path);
  for (const path of ['/healthz', '/readyz', '/metrics'])
    assert.equal((await fetch(url + path)).status, 200, path);
  const by = (headers: Record<string, string>) => fetch(`${url}/api/status`, { headers });
  assert.equal((await by({ authorization: 'Bearer a secret' })).status, 200);
  assert.equal((await by({ authorization: 'Bearer another' })).status, 401);
  assert.equal((await by({ authorization: 'Basic a secret' })).status, 401);
  assert.equal((await fetch(`${url}/api/status?token=a%20secret`)).status, 200);
  assert.equal((await fetch(`${url}/api/status?token=b`)).status, 401);

  const opened = await fetch(`${url}/?token=a%20secret`, { redirect: 'manual' });
  assert.equal(opened.status, 303);
  assert.equal(opened.headers.get('location'), './');
  const cookie = opened.headers.get('set-cookie')!;
  assert.match(cookie, /HttpOnly; SameSite=Lax/);
  assert.equal((await by({ cookie: cookie.split(';')[0]! })).status, 200);
});

test('the page and its parts come with a strict content policy', async t => {
  const url = await start(t);
  const page = await fetch(url);
  assert.match(page.headers.get('content-security-policy')!, /default-src 'none'; script-src 'self'/);
  const html = await page.text();
  assert.doesNotMatch(html, /https?:\/\/(?!www\.w3\.org)/);
  for (const [, part] of html.matchAll(/(?:src|href)="([\w/.]+)"/g))
    assert.equal((await fetch(`${url}/${part}`)).status, 200, part);
  assert.equal((await fetch(`${url}/../package.json`)).status, 404);
  assert.equal((await fetch(url, { method: 'POST' })).status, 404);
});

test('the status streams until the server closes', async t => {
  let rowsTotal = 0;
  const server = await startServer({
    listen: { host: '127.0.0.1', port: 0 },
    metrics: new Metrics(),
    provider: {
      status: () => ({ ...snapshot, rowsTotal: rowsTotal++ }),
      ready: async () => ({ ready: true }),
      waitFor: async () => true,
    },
  });
  t.after(() => server.close());
  const answer = await fetch(`${server.url}/api/stream`);
  assert.equal(answer.headers.get('content-type'), 'text/event-stream');
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (const expected of [0, 1]) {
    const { value } = await reader.read();
    const status = JSON.parse(/^data: (.*)\n\n$/.exec(value!)![1]!);
    assert.deepEqual(status, { ...snapshot, rowsTotal: expected });
  }
  await server.close();
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
    throw new Error('ended');
  });
});

test('waiting answers 200 when queryable, 504 when not in time, 400 for what is no position', async t => {
  const asked: [string, number][] = [];
  const url = await start(t, {
    provider: {
      waitFor: async (position, timeoutMs) => {
        asked.push([position, timeoutMs]);
        if (position === 'x') throw new SyntaxError('not an LSN: "x"');
        return position === '0/1';
      },
    },
  });
  const wait = async (query: string) => {
    const answer = await fetch(`${url}/api/wait?${query}`);
    return [answer.status, await answer.json()];
  };
  assert.deepEqual(await wait('position=0/1'), [200, { position: '0/1', queryable: true }]);
  assert.deepEqual(await wait('position=0/2&timeoutMs=5'), [504, { position: '0/2', queryable: false }]);
  assert.deepEqual(await wait('position=x'), [400, { error: 'not an LSN: "x"' }]);
  assert.equal((await wait(''))[0], 400);
  assert.equal((await wait('position=0/1&timeoutMs=soon'))[0], 400);
  assert.deepEqual(asked, [
    ['0/1', 30_000],
    ['0/2', 5],
    ['x', 30_000],
  ]);
});

test('a fault is answered without its stack', async t => {
  const status = () => {
    throw new Error('broken');
  };
  const answer = await fetch(`${await start(t, { provider: { status } })}/api/status`);
  assert.equal(answer.status, 500);
  assert.equal(await answer.text(), '{"error":"broken"}');
});

test('a taken port is PORT_TAKEN, an address of another machine CONFIG_INVALID', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const provider = {
    status: () => snapshot,
    ready: async () => ({ ready: true }),
    waitFor: async () => true,
  };
  const listen = (host: string, port: number) =>
    startServer({ listen: { host, port }, metrics: new Metrics(), provider });
  await assert.rejects(listen('127.0.0.1', port), {
    code: 'PORT_TAKEN',
    message: `127.0.0.1:${port} is in use`,
  });
  await assert.rejects(listen('192.0.2.1', port), { code: 'CONFIG_INVALID' });
  other.close();
});

test('without a token a name that only leads here is not answered', async t => {
  const { port } = new URL(await start(t, {}));
  const statusFor = async (host: string) => {
    const asked = request({ host: '127.0.0.1', port, path: '/api/status', headers: { host } }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  };
  assert.equal(await statusFor(`localhost:${port}`), 200);
  assert.equal(await statusFor(`evil.example:${port}`), 403);
});
