import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** First line of `postmaster.pid`, whether that process lives or not. */
export function readPostmasterPid(dataDir: string): number | undefined {
  const text = readText(join(dataDir, 'postmaster.pid'));
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/** Whether the server wrote that it accepts connections: line 8 (LOCK_FILE_LINE_PM_STATUS in miscadmin.h). */
export function isPostmasterReady(dataDir: string, pid: number): boolean {
  const lines = readText(join(dataDir, 'postmaster.pid'))?.split('\n') ?? [];
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

async function endOrphan(dir: string, dataDir: string, orphan: number | undefined): Promise<void> {
  const postmaster = readPostmasterPid(dataDir);
  if (postmaster === undefined) return;
  if (serverProcesses(dataDir, postmaster).includes(postmaster)) {
    if (postmaster !== orphan) throw taken(dir, postmaster);
    signal(postmaster, 'SIGINT');
  }
  const startedAt = performance.now();
  let forced = false;
  while (serverProcesses(dataDir, postmaster).length > 0) {
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > orphanEndMs) throw taken(dir, serverProcesses(dataDir, postmaster)[0]);
    if (waitedMs > orphanFastShutdownMs && !forced) {
      forced = true;
      signal(postmaster, 'SIGQUIT');
    }
    await delay(20);
  }
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

/** Field 22 of /proc/PID/stat, counted after the command name, which may hold anything but `)` at its end. */
function startOf(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
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
