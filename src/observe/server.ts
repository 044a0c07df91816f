import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { streamSSE } from 'hono/streaming';
import { isLoopback } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { Metrics } from './metrics.ts';
import type { StatusSnapshot } from './status.ts';

export interface StatusProvider {
  status(): StatusSnapshot;
  /** Whether source and sink are reachable and the lease is held. */
  ready(): Promise<{ ready: boolean; reason?: string }>;
  /** True once `position` is queryable, false after `timeoutMs`. Throws `SyntaxError` when it is not a position. */
  waitFor(position: string, timeoutMs: number): Promise<boolean>;
}

export interface ServerOptions {
  listen: { host: string; port: number };
  /** Guards everything but /healthz, /readyz and /metrics. */
  token?: string;
  provider: StatusProvider;
  metrics: Pick<Metrics, 'registry'>;
}

const cookieName = 'wal_cdc_token';
const streamIntervalMs = 1000;
const longestWaitMs = 600_000;

const page = (name: string, type: string) => ({
  type,
  body: readFileSync(new URL(`../../web/${name}`, import.meta.url), 'utf8'),
});

/** Health, metrics, API and status page. Rejects with PORT_TAKEN when the address is in use. */
export async function startServer(options: ServerOptions): Promise<{ url: string; close(): Promise<void> }> {
  const closing = new AbortController();
  const { fetch } = routes(options, closing.signal);
  const server = createAdaptorServer({ fetch }) as Server;
  await listen(server, options.listen);
  const { address, family, port } = server.address() as AddressInfo;
  const host = /^(0\.0\.0\.0|::)$/.test(address) ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
  return {
    url: `http://${host}:${port}`,
    close: () => {
      closing.abort();
      const closed = new Promise<void>(resolve => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}

function routes({ token, provider, metrics }: ServerOptions, closing: AbortSignal): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    await next();
    c.header(
      'Content-Security-Policy',
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    c.header('X-Content-Type-Options', 'nosniff');
    c.header('Referrer-Policy', 'no-referrer');
    if (!c.res.headers.has('Cache-Control')) c.header('Cache-Control', 'no-store');
  });

  app.get('/healthz', c => c.text('ok\n'));
  app.get('/readyz', async c => {
    const state = await provider
      .ready()
      .catch(error => ({ ready: false, reason: asCdcError(error).message }));
    return c.json(state, state.ready ? 200 : 503);
  });
  app.get('/metrics', async c =>
    c.body(await metrics.registry.metrics(), 200, { 'Content-Type': metrics.registry.contentType }),
  );

  app.use(token === undefined ? localHosts : guard(token));

  for (const [path, { type, body }] of Object.entries({
    '/': page('index.html', 'text/html; charset=utf-8'),
    '/status.js': page('status.js', 'text/javascript; charset=utf-8'),
    '/status.css': page('status.css', 'text/css; charset=utf-8'),
  }))
    app.get(path, c => c.body(body, 200, { 'Content-Type': type, 'Cache-Control': 'no-cache' }));

  app.get('/api/status', c => c.json(provider.status()));
  app.get('/api/stream', c =>
    streamSSE(c, async stream => {
      while (!stream.closed && !stream.aborted && !closing.aborted) {
        await stream.writeSSE({ data: JSON.stringify(provider.status()) });
        await sleep(streamIntervalMs, undefined, { signal: closing }).catch(() => {});
      }
    }),
  );
  app.get('/api/wait', c => wait(c, provider));

  app.notFound(c => c.json({ error: 'not found' }, 404));
  app.onError((error, c) => c.json({ error: asCdcError(error).message }, 500));
  return app;
}

/** Without a token only this machine is listened to: a page of somewhere else must not come by a name that leads here. */
async function localHosts(c: Context, next: () => Promise<void>): Promise<Response | undefined> {
  const { hostname } = new URL(c.req.url);
  if (!isLoopback(hostname.replace(/^\[|\]$/g, '')))
    return c.json({ error: `unknown host ${hostname}: without a token only local names are answered` }, 403);
  await next();
}

async function wait(c: Context, provider: StatusProvider): Promise<Response> {
  const position = c.req.query('position');
  const timeoutMs = Number(c.req.query('timeoutMs') ?? 30_000);
  if (!position) return c.json({ error: 'position is missing' }, 400);
  if (!(timeoutMs >= 0 && timeoutMs <= longestWaitMs))
    return c.json({ error: `timeoutMs must be a number from 0 to ${longestWaitMs}` }, 400);
  try {
    const queryable = await provider.waitFor(position, timeoutMs);
    return c.json({ position, queryable }, queryable ? 200 : 504);
  } catch (error) {
    if (error instanceof SyntaxError) return c.json({ error: error.message }, 400);
    throw error;
  }
}

/** A token comes as a bearer, as `?token=`, or in the cookie that the latter sets for the page's own requests. */
function guard(token: string) {
  const expected = digest(token);
  const fits = (given: string | undefined) => given !== undefined && timingSafeEqual(digest(given), expected);
  return async (c: Context, next: () => Promise<void>) => {
    const given = c.req.query('token');
    if (fits(given)) {
      setCookie(c, cookieName, token, { httpOnly: true, sameSite: 'Lax', path: '/' });
      // Keeps the token out of the address bar and the history.
      if (c.req.path === '/') return c.redirect('./', 303);
      return next();
    }
    if (fits(/^Bearer (.+)$/i.exec(c.req.header('Authorization') ?? '')?.[1])) return next();
    if (fits(getCookie(c, cookieName))) return next();
    return c.text(
      'A token is needed: "Authorization: Bearer TOKEN", or open this page with ?token=TOKEN\n',
      401,
      {
        'WWW-Authenticate': 'Bearer realm="wal-cdc"',
      },
    );
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function listen(server: Server, { host, port }: ServerOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen(port, host, resolve);
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): CdcError {
  if (error.code === 'EADDRINUSE')
    return new CdcError('PORT_TAKEN', `${host}:${port} is in use`, {
      cause: error,
      hint: 'Stop the other process, or choose another port with --listen (demo: --port).',
    });
  const reason =
    error.code === 'EACCES'
      ? 'this user may not listen on that port'
      : isLoopback(host) || error.code !== 'EADDRNOTAVAIL'
        ? (error.code ?? error.message)
        : 'it is not an address of this machine';
  return new CdcError('CONFIG_INVALID', `cannot listen on ${host}:${port}: ${reason}`, { cause: error });
}
