import { createRequire } from 'node:module';
import { CdcError } from '../core/errors.ts';
import { type ClickHouseExit, startEngine } from './clickhouse/engine.ts';
import { prepareFolder, readOwnerPid } from './clickhouse/folder.ts';
import { freePort, isPortTaken } from './clickhouse/loopback-port.ts';

export interface ClickHouseOptions {
  /** Holds everything of the server; made when it is not there. One running server per folder. */
  dir: string;
  /** Of 127.0.0.1; 0 or absent: a free one. */
  port?: number;
  /** Of the user `wal_cdc`, for this run. Absent: the one of the folder, made up when the folder is new. */
  password?: string;
  /** What the user may do beyond the usual, as in `TABLE ENGINE ON Kafka`. */
  grants?: readonly string[];
  /** Takes the engine's log (errors only) line by line. */
  logger?: (line: string) => void;
}

/**
 * A ClickHouse server in a child process. It ends by itself when this process dies, however that happens, and does not see
 * the terminal's Ctrl-C.
 */
export interface EmbeddedClickHouse {
  /** The HTTP interface: `http://wal_cdc:PASSWORD@127.0.0.1:PORT`. */
  url: string;
  port: number;
  dir: string;
  pid: number;
  /** Resolves once the process is gone, by `stop` or otherwise. */
  exited: Promise<ClickHouseExit>;
  /** Rejects with EMBEDDED_UNAVAILABLE when the process ends without `stop`. */
  failed: Promise<never>;
  /** Ends the process at once and resolves when it is gone: acknowledged inserts are on disk, running statements are lost. */
  stop(): Promise<void>;
  /** SIGKILL, as in a crash; await `exited` before another start. */
  kill(): void;
}

const user = 'wal_cdc';

/**
 * Starts ClickHouse on `dir`. Resolves when it answers queries.
 * @throws CdcError FOLDER_TAKEN, PORT_TAKEN, EMBEDDED_UNAVAILABLE
 */
export async function startClickHouse(options: ClickHouseOptions): Promise<EmbeddedClickHouse> {
  const libraryPath = findLibrary();
  const folder = prepareFolder(options.dir);
  const password = options.password || folder.password;
  const { dir, dataDir } = folder;
  if (options.port && (await isPortTaken(options.port))) throw portTaken(options.port);
  for (let attempt = 1; ; attempt++) {
    const port = options.port || (await freePort());
    const { grants, logger } = options;
    const engine = startEngine({ libraryPath, dataDir, port, user, password, grants, logger });
    if (await engine.becomesReady()) {
      const { pid, exited, kill } = engine;
      // Also fit for single quotes in a shell.
      const userInfo = `${user}:${encodeURIComponent(password).replaceAll("'", '%27')}`;
      const url = `http://${userInfo}@127.0.0.1:${port}`;
      let isStopping = false;
      const stop = async () => {
        isStopping = true;
        kill();
        await exited;
      };
      const failed = new Promise<never>((_, reject) => {
        void exited.then(exit => !isStopping && reject(endedByItself(dir, exit, engine.lastMessages())));
      });
      // Not everybody waits for it.
      failed.catch(() => {});
      return { url, port, dir, pid, exited, failed, stop, kill };
    }
    const messages = engine.lastMessages();
    if (messages.includes('Cannot lock file')) throw folderTaken(dir, readOwnerPid(dataDir));
    if (messages.includes('Address already in use')) {
      if (options.port) throw portTaken(port);
      // Someone took the free port between our choice and the engine's bind.
      if (attempt < 3) continue;
    }
    throw new CdcError('EMBEDDED_UNAVAILABLE', `ClickHouse did not start in ${dir}:\n${messages}`, {
      hint: 'If the message is about the data, choose another folder with --dir; if about the library, run "npm ci" again.',
    });
  }
}

function findLibrary(): string {
  try {
    const require = createRequire(import.meta.url);
    require.resolve('ffi-rs');
    return require('chdb/libchdb').libchdbPath();
  } catch (cause) {
    throw new CdcError(
      'EMBEDDED_UNAVAILABLE',
      `The embedded ClickHouse is not installed: ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}

function portTaken(port: number): CdcError {
  return new CdcError('PORT_TAKEN', `Port ${port} on 127.0.0.1 is in use.`);
}

function folderTaken(dir: string, pid: number | undefined): CdcError {
  const owner = pid === undefined ? 'Another process' : `Process ${pid}`;
  return new CdcError('FOLDER_TAKEN', `${owner} runs the ClickHouse in ${dir}.`);
}

function endedByItself(dir: string, { signal, code }: ClickHouseExit, messages: string): CdcError {
  const how = signal ?? `exit code ${code}`;
  return new CdcError(
    'EMBEDDED_UNAVAILABLE',
    `ClickHouse in ${dir} ended by itself (${how})${messages && `:\n${messages}`}`,
    {
      hint: 'Start again: what was acknowledged is kept. SIGKILL may mean that the machine ran out of memory.',
    },
  );
}
