import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../test/support/free-port.ts';
import {
  connect,
  sharedPostgres,
  startTestPostgres,
  withoutPostgres15,
} from '../../test/support/postgres.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { startPostgres } from './postgres.ts';

const isRoot = process.getuid?.() === 0;

/** The one value that `sql` gives. */
async function value(url: string, sql: string): Promise<unknown> {
  const client = await connect(url);
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

/** A process that ended is not alive, even if its parent has not taken note yet. */
function isAlive(pid: number): boolean {
  try {
    if (process.platform === 'linux')
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

interface Other {
  process: ChildProcess;
  /** Resolves with the words it prints: pid and URL of the server, or code and message of the error. */
  started: Promise<string[]>;
}

/** Another process of ours that starts a server on `dir` and then waits to be killed. */
function startInOtherProcess(
  dir: string,
  options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Other {
  const script = `
    import { startPostgres } from '${fileURLToPath(new URL('postgres.ts', import.meta.url))}';
    try {
      const server = await startPostgres({ dir: process.argv[1] });
      console.log(server.pid, server.url);
    } catch (error) {
      console.log(error.code, error.message);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: '/',
    ...options,
  });
  const started = once(createInterface(child.stdout!), 'line').then(([line]) => (line as string).split(' '));
  return { process: child, started };
}

test('a server has what replication needs, and its data and password outlive a stop', async () => {
  using dir = tempDir();
  const first = await startPostgres({ dir: join(dir.path, 'new', 'folder') });
  assert.equal(await value(first.url, 'SHOW wal_level'), 'logical');
  assert.equal(await value(first.url, 'SHOW fsync'), 'on');
  assert.equal(
    await value(first.url, "SELECT lower('ÄÖ') || pg_encoding_to_char(encoding) FROM pg_database"),
    'äöUTF8',
  );
  await value(first.url, 'CREATE TABLE kept AS SELECT 1');
  await first.stop();
  assert.deepEqual(await first.exited, { code: 0, signal: null });
  assert.equal(isAlive(first.pid), false);
  assert.equal(statSync(join(first.dir, 'password')).mode & 0o777, 0o600);

  const port = await freePort();
  const second = await startPostgres({
    dir: first.dir,
    port,
    settings: { application_name: "it's \\ quoted" },
  });
  assert.equal(second.url, first.url.replace(/:\d+\/postgres$/, `:${port}/postgres`));
  assert.equal(await value(second.url, 'SELECT count(*)::int FROM kept'), 1);
  assert.equal(
    await value(second.url, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'"),
    "it's \\ quoted",
  );
  await second.stop('immediate');
});

test('only the password opens it, over TCP and over the socket; another one can be set', async () => {
  using dir = tempDir();
  const first = await startPostgres({ dir: dir.path });
  const wrong = first.url.replace(/:[^:@]+@/, ':wrong@');
  await assert.rejects(connect(wrong), { code: '28P01' });
  await assert.rejects(
    connect(wrong.replace(/@.*/, `@/postgres?host=${first.socketDir}&port=${first.port}`)),
    {
      code: '28P01',
    },
  );
  await first.stop();

  const second = await startPostgres({ dir: dir.path, password: "p@ss'w/rd" });
  assert.equal(new URL(second.url).password, "p%40ss'w%2Frd");
  assert.equal(await value(second.url, 'SELECT 1'), 1);
  await second.stop();

  rmSync(join(dir.path, 'password'));
  const third = await startPostgres({ dir: dir.path });
  assert.equal(await value(third.url, 'SELECT 1'), 1);
  await third.stop();
});

test('starts at once after a SIGKILL of the server, with all that was committed', async () => {
  using dir = tempDir();
  const first = await startPostgres({ dir: dir.path });
  const client = await connect(first.url);
  await client.query('CREATE TABLE kept AS SELECT generate_series(1, 1000)');
  client.query('SELECT pg_sleep(60)').catch(() => {}); // a backend that is busy when its postmaster dies
  first.kill();
  assert.deepEqual(await first.exited, { code: null, signal: 'SIGKILL' });
  const second = await startPostgres({ dir: dir.path });
  assert.equal(await value(second.url, 'SELECT count(*)::int FROM kept'), 1000);
  await second.stop();
  await client.end();
});

test('a folder or a port in use is refused by name, and the one who uses it stays', async () => {
  await using server = await startTestPostgres();
  await assert.rejects(startPostgres({ dir: server.dir }), {
    code: 'FOLDER_TAKEN',
    message: `The folder ${server.dir} is in use by process ${process.pid}.`,
  });
  const other = startInOtherProcess(server.dir);
  assert.equal((await other.started)[0], 'FOLDER_TAKEN');
  // Nor is a server ended that was not started by us.
  rmSync(join(server.dir, 'owner'));
  await assert.rejects(startPostgres({ dir: server.dir }), { code: 'FOLDER_TAKEN' });
  assert.equal(await value(server.url, 'SELECT 1'), 1);

  using dir = tempDir();
  await assert.rejects(startPostgres({ dir: dir.path, port: server.port }), {
    code: 'PORT_TAKEN',
    message: `Port ${server.port} on 127.0.0.1 is in use.`,
  });
  const listener = createServer().listen(0);
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  await assert.rejects(startPostgres({ dir: dir.path, port }), { code: 'PORT_TAKEN' });
  listener.close();
});

test('a server that does not start says why, and leaves the folder usable', async () => {
  using dir = tempDir();
  await assert.rejects(startPostgres({ dir: dir.path, settings: { shared_buffers: 'plenty' } }), {
    code: 'EMBEDDED_UNAVAILABLE',
    message: /did not start in .*invalid value for parameter "shared_buffers": "plenty"/s,
  });
  await assert.rejects(startPostgres({ dir: join(dir.path, 'postgres.log', 'x') }), {
    code: 'EMBEDDED_UNAVAILABLE',
    message: /postgres\.log\/x cannot be used/,
  });
  const server = await startPostgres({ dir: dir.path });
  await server.stop();
});

test('no server is left when our process is killed, and the folder can be used again', async () => {
  using dir = tempDir();
  const first = startInOtherProcess(dir.path);
  const [pid, url] = await first.started;
  await value(url, 'CREATE TABLE kept AS SELECT 1');
  first.process.kill('SIGKILL');
  await waitFor(() => !isAlive(Number(pid)), { what: 'the server to follow its owner' });
  assert.match(readFileSync(join(dir.path, 'postgres.log'), 'utf8'), /database system is shut down/);

  const second = startInOtherProcess(dir.path);
  const [pid2, url2] = await second.started;
  assert.equal(await value(url2, 'SELECT count(*)::int FROM kept'), 1);
  second.process.kill('SIGKILL');
  await once(second.process, 'exit');
  const server = await startPostgres({ dir: dir.path }); // while the old one is still on its way down
  assert.equal(isAlive(Number(pid2)), false);
  assert.equal(await value(server.url, 'SELECT count(*)::int FROM kept'), 1);
  await server.stop();
});

test('an orphan is ended by the next start', {
  skip: process.platform !== 'linux' && 'needs /proc',
}, async () => {
  using dir = tempDir();
  const other = startInOtherProcess(dir.path);
  const [pid] = await other.started;
  const { pid: ownPid } = other.process;
  const children = readFileSync(`/proc/${ownPid}/task/${ownPid}/children`, 'utf8').trim().split(' ');
  const [lifeline] = children.filter(child => child !== pid);
  process.kill(Number(lifeline), 'SIGKILL');
  other.process.kill('SIGKILL');
  await once(other.process, 'exit');
  assert.equal(isAlive(Number(pid)), true);
  const socketDir = readFileSync(join(dir.path, 'data', 'postmaster.pid'), 'utf8').split('\n')[4];

  const server = await startPostgres({ dir: dir.path });
  assert.equal(isAlive(Number(pid)), false);
  assert.equal(existsSync(socketDir), false);
  await server.stop();
  assert.equal(existsSync(server.socketDir), false);
});

test('runs as an ordinary user', async () => {
  using dir = tempDir();
  const home = join(dir.path, 'home');
  mkdirSync(home);
  const nobody = { uid: 65534, gid: 65534 };
  if (isRoot) chownSync(home, nobody.uid, nobody.gid);
  const other = startInOtherProcess(home, isRoot ? nobody : {});
  const [pid, url] = await other.started;
  assert.equal(await value(url, 'SELECT 1'), 1);
  other.process.kill('SIGKILL');
  await waitFor(() => !isAlive(Number(pid)), { what: 'the server to follow its owner' });
});

if (isRoot) {
  test('run by root the server gives up its rights, also below a folder that only root may enter', async () => {
    using dir = tempDir();
    chmodSync(dir.path, 0o700);
    const server = await startPostgres({ dir: join(dir.path, 'inner') });
    const [, uid] = readFileSync(`/proc/${server.pid}/status`, 'utf8').match(/^Uid:\s+(\d+)/m) ?? [];
    assert.notEqual(Number(uid), 0);
    assert.equal(await value(server.url, 'SELECT 1'), 1);
    await server.stop();

    const withoutSetpriv = { ...process.env, PATH: '/nowhere' };
    const [code, ...message] = await startInOtherProcess(join(dir.path, 'inner'), { env: withoutSetpriv })
      .started;
    assert.equal(code, 'EMBEDDED_UNAVAILABLE');
    assert.ok(message.join(' ').endsWith(`may not enter ${dir.path}.`), message.join(' '));
  });
}

test('PostgreSQL of another installation', { skip: withoutPostgres15 }, async () => {
  const server = await sharedPostgres(15);
  assert.match(String(await value(server.url, 'SHOW server_version')), /^15\./);
  assert.equal(await value(server.url, 'SHOW wal_level'), 'logical');
});
