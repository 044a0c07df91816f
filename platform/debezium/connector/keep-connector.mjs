/**
 * Keeps the connector as its file says:  node keep-connector.mjs connector.json
 *
 * Every few seconds: is it there and as in the file, otherwise it is put; has it or a task of it failed, then that is started again. The
 * file is read anew each time. /readyz on port 8080 answers 200 while connector and tasks run. Talks to the Kafka Connect of CONNECT_URL.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [file] = process.argv.slice(2);
const url = process.env.CONNECT_URL;
const intervalMs = Number(process.env.INTERVAL_MS ?? 10_000);
const stopping = new AbortController();
let state = 'not looked at yet';

/** The answer as an object, or undefined when there is no such connector. */
async function call(method, path, body) {
  const response = await fetch(`${url}/connectors/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(30_000)]),
  });
  if (response.status === 404 && method === 'GET') return undefined;
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

const isSame = (a, b) =>
  Object.keys({ ...a, ...b }).every(key => key in a && key in b && String(a[key]) === String(b[key]));

/** What was done, or how it is. */
async function look() {
  const config = JSON.parse(readFileSync(file, 'utf8'));
  const name = encodeURIComponent(config.name);
  const found = await call('GET', `${name}/config`);
  if (found === undefined || !isSame(config, found)) {
    await call('PUT', `${name}/config`, config);
    return found === undefined ? 'made' : 'changed';
  }
  const status = await call('GET', `${name}/status`);
  const states = [status?.connector, ...(status?.tasks ?? [])].map(part => part?.state);
  if (states.includes('FAILED')) {
    const trace = [status.connector, ...status.tasks].find(part => part.state === 'FAILED').trace ?? '';
    await call('POST', `${name}/restart?includeTasks=true&onlyFailed=true`);
    return `started again after: ${trace.split('\n').slice(0, 3).join(' ')}`;
  }
  const runs = states.length > 1 && states.every(each => each === 'RUNNING');
  return runs ? 'runs' : `not running: ${states.join(', ')}`;
}

const server = createServer((request, response) => {
  response.statusCode = request.url === '/readyz' && state !== 'runs' ? 503 : 200;
  response.end(`${state}\n`);
}).listen(Number(process.env.PORT ?? 8080));

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stopping.abort());

while (!stopping.signal.aborted) {
  const seen = await look().catch(error => `cannot be looked at: ${error.cause?.message ?? error.message}`);
  if (seen !== state && !stopping.signal.aborted) console.log(`connector ${seen}`);
  state = seen;
  await sleep(intervalMs, undefined, { signal: stopping.signal }).catch(() => {});
}
server.close();
