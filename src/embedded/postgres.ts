import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { CdcError } from '../core/errors.ts';
import { createLauncher, type Launcher } from './postgres-account.ts';
import { bundledPostgresBinDir } from './postgres-binaries.ts';
import { claimFolder, isPostmasterReady } from './postgres-folder.ts';

export interface PostgresOptions {
  /** Holds everything of the server; made when it is not there. One running server per folder. */
  dir: string;
  /** 0 or absent: a free one. */
  port?: number;
  /** Lines of postgresql.conf by name, over the ones that we set. */
  settings?: Readonly<Record<string, string>>;
  /** Of the superuser `postgres`. Absent: the one of the folder, made up when the folder is new. */
  password?: string;
  /** The folder with `initdb` and `postgres` of another installation; absent: the bundled PostgreSQL 18. */
  binDir?: string;
}

export interface PostgresExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * A PostgreSQL server that belongs to this process: it ends by itself when this process dies, however that happens.
 * It does not see the terminal's Ctrl-C.
 */
export interface EmbeddedPostgres {
  /** Superuser, over TCP: `postgres://postgres:PASSWORD@127.0.0.1:PORT/postgres`. */
  url: string;
  /** Folder of the unix socket. */
  socketDir: string;
  port: number;
  dir: string;
  pid: number;
  /** Resolves once the postmaster is gone, by `stop` or otherwise. */
  exited: Promise<PostgresExit>;
  /**
   * Resolves once the server is gone. `fast` (default) ends sessions in order, and turns into `immediate` after 20 s, since
   * a consumer of a slot that withholds its acks blocks it; `smart` waits for clients without limit.
   */
  stop(mode?: 'fast' | 'immediate' | 'smart'): Promise<void>;
  /** SIGKILL, as in a crash; await `exited` before another start. */
  kill(): void;
}

const startTimeoutMs = 120_000;
const fastStopMs = 20_000;
const maxLogBytes = 1 << 20;
const stopSignals = { fast: 'SIGINT', immediate: 'SIGQUIT', smart: 'SIGTERM' } as const;

const defaultSettings = {
  listen_addresses: '127.0.0.1',
  wal_level: 'logical',
  max_replication_slots: '20',
  max_wal_senders: '20',
  max_prepared_transactions: '10',
  max_connections: '60',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  fsync: 'on',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
};

/**
 * Starts PostgreSQL on `dir`, after `initdb` when it is new. Resolves when it accepts connections, crash recovery included.
 * Run by root it gives itself to the user `postgres` or `nobody`.
 * @throws CdcError FOLDER_TAKEN, PORT_TAKEN, EMBEDDED_UNAVAILABLE
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const binDir = realpathSync(options.binDir ?? bundledPostgresBinDir());
  const dir = prepareDir(options.dir);
  const dataDir = join(dir, 'data');
  const launcher = createLauncher(dataDir, [dir, binDir]);
  const claim = await claimFolder(dir, dataDir);
  try {
    const programs = { binDir, launcher, bundled: options.binDir === undefined };
    const password = await initialise(dir, dataDir, options.password, programs);
    if (options.port) await checkPort(options.port);
    for (let attempt = 1; ; attempt++) {
      const port = options.port || (await freePort());
      const run = await launch(dir, dataDir, port, options.settings ?? {}, programs);
      claim.setPostmaster(run.pid);
      void run.exited.then(claim.release);
      if (await becomesReady(run, dataDir)) {
        const url = `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;
        return { ...run, url, port, dir };
      }
      if (!run.hasExited()) await run.stop('immediate');
      const cause = logTail(dir, run.logStart);
      if (options.port) await checkPort(options.port);
      // Someone may have taken the free port between our choice and the server's bind.
      else if (attempt < 3 && (await isPortTaken(port))) continue;
      throw new CdcError('EMBEDDED_UNAVAILABLE', `PostgreSQL did not start in ${dir}:\n${cause}`, {
        hint: `See ${join(dir, 'postgres.log')}.`,
      });
    }
  } catch (error) {
    claim.release();
    throw error;
  }
}

interface Programs {
  binDir: string;
  launcher: Launcher;
  bundled: boolean;
}

/** The folder is ours; only `data` in it belongs to the account of the server, which must be able to pass through. */
function prepareDir(path: string): string {
  try {
    mkdirSync(path, { recursive: true });
    const dir = realpathSync(path);
    const stat = statSync(dir);
    if (process.getuid?.() === 0 && (stat.mode & 0o011) !== 0o011)
      chmodSync(dir, (stat.mode & 0o7777) | 0o011);
    return dir;
  } catch (cause) {
    throw new CdcError(
      'EMBEDDED_UNAVAILABLE',
      `The folder ${path} cannot be used: ${(cause as Error).message}`,
      {
        cause,
        hint: 'Choose another folder with --dir.',
      },
    );
  }
}

/** Makes the cluster when there is none, sets the password when it is to change, and returns it. */
async function initialise(
  dir: string,
  dataDir: string,
  wanted: string | undefined,
  programs: Programs,
): Promise<string> {
  const file = join(dir, 'password');
  const current = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  const password = wanted ?? current ?? randomBytes(18).toString('base64url');
  if (existsSync(dataDir)) {
    if (password === current) return password;
    // Without the file in between: after a crash here the next start sets the password again.
    rmSync(file, { force: true });
    await setPassword(dataDir, password, programs);
  } else {
    await initdb(dir, dataDir, password, programs);
  }
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
  return password;
}

/** Into a folder that gets its name at the end: a crash or a full disk in between leaves nothing that looks usable. */
async function initdb(dir: string, dataDir: string, password: string, programs: Programs): Promise<void> {
  const { launcher, binDir, bundled } = programs;
  const fresh = join(dir, 'data.new');
  const passwordFile = join(dir, 'password.new');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  try {
    for (const path of [fresh, passwordFile]) {
      if (launcher.account !== undefined) chownSync(path, launcher.account.uid, launcher.account.gid);
    }
    const args = ['-D', fresh, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    args.push('--encoding=UTF8', '--locale=C', '--no-instructions');
    // Upper and lower case of all letters without any locale of the machine; older versions know C only.
    if (bundled) args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8');
    const child = launcher.spawn(join(binDir, 'initdb'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    await succeeds(child, `PostgreSQL could not make its folder ${dataDir}`);
    writeFileSync(join(fresh, 'postgresql.conf'), "\ninclude 'wal-cdc.conf'\n", { flag: 'a' });
    renameSync(fresh, dataDir);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
}

async function setPassword(dataDir: string, password: string, { launcher, binDir }: Programs): Promise<void> {
  const args = ['--single', '-D', dataDir, 'postgres'];
  const child = launcher.spawn(join(binDir, 'postgres'), args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin?.end(`ALTER ROLE postgres PASSWORD ${pg.escapeLiteral(password)};\n`);
  await succeeds(child, `PostgreSQL could not change the password of ${dataDir}`);
}

async function succeeds(child: ChildProcess, what: string): Promise<void> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const reason = await once(child, 'close').then(
    ([code]) => (code === 0 ? undefined : lastLines(output)),
    (error: Error) => error.message,
  );
  if (reason !== undefined) throw new CdcError('EMBEDDED_UNAVAILABLE', `${what}:\n${reason}`);
}

interface Run {
  pid: number;
  socketDir: string;
  exited: Promise<PostgresExit>;
  /** Where the messages of this run begin in postgres.log. */
  logStart: number;
  hasExited(): boolean;
  stop(mode?: keyof typeof stopSignals): Promise<void>;
  kill(): void;
}

async function launch(
  dir: string,
  dataDir: string,
  port: number,
  settings: Readonly<Record<string, string>>,
  { launcher, binDir }: Programs,
): Promise<Run> {
  const socketDir = makeSocketDir(launcher);
  const all = { ...defaultSettings, port: String(port), unix_socket_directories: socketDir, ...settings };
  const conf = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  writeFileSync(join(dataDir, 'wal-cdc.conf'), conf.join(''), { mode: 0o644 });

  const logFile = join(dir, 'postgres.log');
  const logBytes = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  const logStart = logBytes > maxLogBytes ? 0 : logBytes;
  const log = openSync(logFile, logStart === 0 ? 'w' : 'a', 0o600);
  // Detached: Ctrl-C on the terminal is for us alone, who stop the server in our own order.
  const child = launcher.spawn(join(binDir, 'postgres'), ['-D', dataDir], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) {
    const [error] = (await once(child, 'error')) as [Error];
    throw new CdcError('EMBEDDED_UNAVAILABLE', `PostgreSQL could not be run: ${error.message}`, {
      cause: error,
    });
  }
  const lifeline = attachLifeline(launcher, pid, dataDir, socketDir);
  let hasExited = false;
  const exited = new Promise<PostgresExit>(resolve => {
    child.once('exit', (code, signal) => {
      hasExited = true;
      lifeline.kill('SIGKILL');
      rmSync(socketDir, { recursive: true, force: true });
      resolve({ code, signal });
    });
  });
  return {
    pid,
    socketDir,
    exited,
    logStart,
    hasExited: () => hasExited,
    async stop(mode = 'fast') {
      child.kill(stopSignals[mode]);
      const force = mode === 'fast' ? setTimeout(() => child.kill('SIGQUIT'), fastStopMs) : undefined;
      await exited;
      clearTimeout(force);
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

/**
 * A shell that waits for the end of a pipe whose other end only we hold, and then shuts the server down: even a SIGKILL of
 * our process leaves no server behind. It ends with the server otherwise.
 */
function attachLifeline(launcher: Launcher, pid: number, dataDir: string, socketDir: string): ChildProcess {
  const script = `
    read -r _
    read -r postmaster < "$2/postmaster.pid" && [ "$postmaster" = "$1" ] || exit
    kill -INT "$1"
    tries=0
    while kill -0 "$1" && [ $tries -lt 150 ]; do
      tries=$((tries + 1))
      [ $tries -eq 100 ] && kill -QUIT "$1"
      sleep 0.1
    done
    rm -rf "$3"`;
  const lifeline = launcher.spawn('/bin/sh', ['-c', script, 'sh', String(pid), dataDir, socketDir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  lifeline.unref();
  (lifeline.stdin as Socket).unref();
  return lifeline;
}

/** Not in `dir`: the path of a unix socket is limited to about 100 bytes. */
function makeSocketDir(launcher: Launcher): string {
  const base = tmpdir().length <= 60 ? tmpdir() : '/tmp';
  const path = mkdtempSync(join(base, 'wal-cdc-pg-'));
  if (launcher.account !== undefined) chownSync(path, launcher.account.uid, launcher.account.gid);
  return path;
}

/** False when the server ended or took too long. */
async function becomesReady(run: Run, dataDir: string): Promise<boolean> {
  const deadline = performance.now() + startTimeoutMs;
  while (!run.hasExited() && performance.now() < deadline) {
    if (isPostmasterReady(dataDir, run.pid)) return true;
    await delay(10);
  }
  return false;
}

async function checkPort(port: number): Promise<void> {
  if (await isPortTaken(port)) throw new CdcError('PORT_TAKEN', `Port ${port} on 127.0.0.1 is in use.`);
}

function isPortTaken(port: number): Promise<boolean> {
  return listenOnce(port).then(
    () => false,
    () => true,
  );
}

function freePort(): Promise<number> {
  return listenOnce(0);
}

async function listenOnce(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : port;
}

function logTail(dir: string, start: number): string {
  return lastLines(readFileSync(join(dir, 'postgres.log')).subarray(start).toString());
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-8).join('\n') || 'no message';
}
