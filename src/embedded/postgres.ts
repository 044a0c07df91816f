import { once } from 'node:events';
import { accessSync, chmodSync, constants, realpathSync, statSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { CdcError } from '../core/errors.ts';
import { makeFolder } from './make-folder.ts';
import { createLauncher } from './postgres-account.ts';
import { bundledPostgresBinDir } from './postgres-binaries.ts';
import { prepareCluster } from './postgres-cluster.ts';
import { claimFolder } from './postgres-folder.ts';
import { type PostgresExit, type Postmaster, type StopMode, startPostmaster } from './postgres-process.ts';

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
  stop(mode?: StopMode): Promise<void>;
  /** SIGKILL, as in a crash; await `exited` before another start. */
  kill(): void;
}

/**
 * Starts PostgreSQL on `dir`, after `initdb` when it is new. Resolves when it accepts connections, crash recovery included.
 * Run by root it gives itself to the user `postgres` or `nobody`. Ends a server that a crashed process of ours left on `dir`.
 * @throws CdcError FOLDER_TAKEN, PORT_TAKEN, EMBEDDED_UNAVAILABLE
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const binDir = realpathSync(options.binDir ?? bundledPostgresBinDir());
  const dir = prepareDir(options.dir);
  const dataDir = join(dir, 'data');
  const launcher = createLauncher(dataDir, [dir, binDir]);
  const claim = await claimFolder(dir, dataDir);
  try {
    if (options.port) await checkPort(options.port);
    const password = await prepareCluster({
      dir,
      dataDir,
      binDir,
      launcher,
      password: options.password,
      localeProvider: options.binDir === undefined ? 'builtin' : 'libc',
    });
    for (let attempt = 1; ; attempt++) {
      const port = options.port || (await freePort());
      const settings = { port: String(port), ...options.settings };
      const postmaster = await startPostmaster({ dir, dataDir, binDir, launcher, settings });
      claim.setPostmaster(postmaster.pid);
      if (await postmaster.becomesReady()) {
        void postmaster.exited.then(claim.release);
        return embedded(postmaster, dir, port, password);
      }
      const messages = postmaster.lastMessages();
      if (options.port) await checkPort(options.port);
      // Someone may have taken the free port between our choice and the server's bind.
      else if (attempt < 3 && (await isPortTaken(port))) continue;
      throw new CdcError('EMBEDDED_UNAVAILABLE', `PostgreSQL did not start in ${dir}:\n${messages}`, {
        hint: `All messages are in ${join(dir, 'postgres.log')}.`,
      });
    }
  } catch (error) {
    claim.release();
    throw error;
  }
}

function embedded(postmaster: Postmaster, dir: string, port: number, password: string): EmbeddedPostgres {
  const { pid, socketDir, exited, stop, kill } = postmaster;
  const url = `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;
  return { url, socketDir, port, dir, pid, exited, stop, kill };
}

/** The folder is ours; only `data` in it belongs to the account of the server, which must be able to pass through. */
function prepareDir(path: string): string {
  try {
    makeFolder(path);
    const dir = realpathSync(path);
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    const mode = statSync(dir).mode & 0o7777;
    if (process.getuid?.() === 0 && (mode & 0o011) !== 0o011) chmodSync(dir, mode | 0o011);
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
  const address = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return address.port;
}
