import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CdcError } from '../core/errors.ts';

/** Who started the server of a folder; kept in `<dir>/owner` while it runs. */
interface Owner {
  pid: number;
  /** When that process started, so that a reused pid is not taken for it; absent where /proc is. */
  startedAt: string | undefined;
  postmaster: number | undefined;
}

/** The right to run a server in a folder, held by this process until `release`. */
export interface FolderClaim {
  /** Records the server's pid, so that whoever comes after a crash of ours knows it for an orphan. */
  setPostmaster(pid: number): void;
  release(): void;
}

/** Of the temporary folders that hold a server's unix socket. */
export const socketDirPrefix = 'wal-cdc-pg-';

const orphanFastShutdownMs = 10_000;
const orphanEndMs = 30_000;

/**
 * Claims `dir` for this process. Ends a server that a crashed process of ours left behind and waits for the last
 * backend of a killed one.
 * @param dataDir resolved path (no symbolic links)
 * @throws CdcError FOLDER_TAKEN when a living process uses the folder.
 */
export async function claimFolder(dir: string, dataDir: string): Promise<FolderClaim> {
  const file = join(dir, 'owner');
  const previous = readOwner(file);
  if (previous !== undefined && isRunning(previous)) throw taken(dir, previous.pid);
  rmSync(file, { force: true });
  const owner: Owner = { pid: process.pid, startedAt: startOf(process.pid), postmaster: undefined };
  try {
    writeFileSync(file, JSON.stringify(owner), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(dir, readOwner(file)?.pid);
    throw error;
  }
  const release = (): void => rmSync(file, { force: true });
  try {
    await endOrphan(dir, dataDir, previous?.postmaster);
  } catch (error) {
    release();
    throw error;
  }
  return {
    setPostmaster: pid => writeFileSync(file, JSON.stringify({ ...owner, postmaster: pid })),
    release,
  };
}

/** Whether the server wrote that it accepts connections. */
export function isPostmasterReady(dataDir: string, pid: number): boolean {
  const written = readPostmasterFile(dataDir);
  return written?.pid === pid && written.status === 'ready';
}

/** `postmaster.pid`, lines 1, 5 and 8 (LOCK_FILE_LINE_… in PostgreSQL's pidfile.h); the file may outlive the process. */
function readPostmasterFile(dataDir: string): { pid: number; socketDir: string; status: string } | undefined {
  const lines = readText(join(dataDir, 'postmaster.pid'))?.split('\n');
  return lines && { pid: Number(lines[0]), socketDir: lines[4] ?? '', status: lines[7]?.trim() ?? '' };
}

async function endOrphan(dir: string, dataDir: string, orphan: number | undefined): Promise<void> {
  const written = readPostmasterFile(dataDir);
  if (written === undefined) return;
  const { pid, socketDir } = written;
  if (serverProcesses(dataDir, pid).includes(pid)) {
    if (pid !== orphan) throw taken(dir, pid);
    signal(pid, 'SIGINT');
  }
  const startedAt = performance.now();
  let isForced = false;
  for (;;) {
    const [left] = serverProcesses(dataDir, pid);
    if (left === undefined) break;
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > orphanEndMs) throw taken(dir, left);
    if (waitedMs > orphanFastShutdownMs && !isForced) {
      isForced = true;
      signal(pid, 'SIGQUIT');
    }
    await delay(20);
  }
  if (basename(socketDir).startsWith(socketDirPrefix)) rmSync(socketDir, { recursive: true, force: true });
  // PostgreSQL would refuse to start if its pid belongs to some other process by now, as in a restarted container.
  // Where backends cannot be listed, PostgreSQL's own check of its shared memory has to stay.
  if (process.platform === 'linux') rmSync(join(dataDir, 'postmaster.pid'), { force: true });
}

/**
 * Living processes of the server in `dataDir`. All of them have it as their working directory; without /proc only the
 * postmaster can be told.
 */
function serverProcesses(dataDir: string, postmaster: number): number[] {
  if (process.platform !== 'linux') return signal(postmaster, 0) ? [postmaster] : [];
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === dataDir && readText(`/proc/${pid}/comm`) === 'postgres\n';
      } catch {
        return false; // ended, or of another user
      }
    })
    .map(Number);
}

function isRunning(owner: Owner): boolean {
  return signal(owner.pid, 0) && startOf(owner.pid) === owner.startedAt;
}

/** False when there is no such process; one of another user counts. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Field 22 of /proc/PID/stat, counted after the command name, which may hold anything but `)` at its end. Undefined for a
 * process that has ended and only waits for its parent to take note.
 */
function startOf(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`);
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields?.[0] === 'Z' ? undefined : fields?.[19];
}

function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Owner;
  } catch {
    return undefined; // absent, or cut off by a crash
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function taken(dir: string, pid: number | undefined): CdcError {
  const by = pid === undefined ? 'another process' : `process ${pid}`;
  return new CdcError('FOLDER_TAKEN', `The folder ${dir} is in use by ${by}.`);
}
