/**
 * Makes the passwords of the platform where they are missing:  node make-secrets.mjs secrets.json
 *
 * Each entry is a Secret of type basic-auth, with a random password, in its first namespace; the others get copies of that. What is
 * there stays, so that it may run as often as it likes. To change a password, delete the Secret in its first namespace and run this.
 * Talks to the API server that KUBERNETES_API names, with the token in TOKEN_FILE.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

const api = process.env.KUBERNETES_API ?? 'https://kubernetes.default.svc';
const tokenFile = process.env.TOKEN_FILE ?? '/var/run/secrets/kubernetes.io/serviceaccount/token';
const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;

/** The answer as an object, or undefined when there is no such Secret. */
async function call(method, path, body, type = 'application/json') {
  const response = await fetch(`${api}/api/v1/namespaces/${path}`, {
    method,
    headers: { authorization, 'content-type': type },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  if (response.status === 404 && method === 'GET') return undefined;
  // What the server says to a refused body could repeat it: only who, where and how it ended is told.
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${response.statusText}`);
  return response.json();
}

const base64 = text => Buffer.from(text).toString('base64');

/** ClickHouse takes the SHA-256 of a password in place of it. */
function makeData(username) {
  const password = randomBytes(24).toString('base64url');
  const sha256 = createHash('sha256').update(password).digest('hex');
  return { username: base64(username), password: base64(password), sha256: base64(sha256) };
}

function secret(name, data) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    // CloudNativePG looks at once at a Secret with this label when it changes.
    metadata: { name, labels: { 'app.kubernetes.io/part-of': 'wal-cdc', 'cnpg.io/reload': 'true' } },
    type: 'kubernetes.io/basic-auth',
    data,
  };
}

const isSame = (a, b) => Object.entries(a).every(([key, value]) => b?.[key] === value);

for (const { name, username, namespaces } of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
  let data;
  for (const namespace of namespaces) {
    const path = `${namespace}/secrets/${name}`;
    const found = await call('GET', path);
    data ??= found?.data ?? makeData(username);
    if (!found) await call('POST', `${namespace}/secrets`, secret(name, data));
    else if (!isSame(data, found.data)) await call('PATCH', path, { data }, 'application/merge-patch+json');
    else continue;
    console.log(`${path} ${found ? 'changed' : 'made'}`);
  }
}
