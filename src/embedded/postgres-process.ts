import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CdcError } from '../core/errors.ts';
import type { Launcher } from './postgres-account.ts';
import { isPostmasterReady, socketDirPrefix } from './postgres-folder.ts';

export interface PostgresExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export type StopMode = 'fast' | 'immediate' | 'smart';

/** A server process, whether it accepts connections yet or not. */
export interface Postmaster {
  pid: number;
  /** Of its unix socket; goes with the process. */
  socketDir: string;
  exited: Promise<PostgresExit>;
  /** Resolves with false when the server ended instead, or was ended after two minutes. */
  becomesReady(): Promise<boolean>;
  /** The last lines that this process wrote to the log. */
  lastMessages(): string;
  /** `fast` turns into `immediate` after 20 s. */
  stop(mode?: StopMode): Promise<void>;
  /** SIGKILL. */
  kill(): void;
}

export interface PostmasterOptions {
  /** Of `postgres.log`. */
  dir: string;
  dataDir: string;
  binDir: string;
  launcher: Launcher;
  settings: Readonly<Record<string, string>>;
}

/** In the data folder; postgresql.conf includes it, so that ALTER SYSTEM wins over it. */
export const settingsFile = 'wal-cdc.conf';

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

/** @throws CdcError EMBEDDED_UNAVAILABLE when the program cannot be run at all */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  const { dir, dataDir, binDir, launcher } = options;
  const socketDir = makeSocketDir(launcher);
  writeSettings(dataDir, { ...defaultSettings, unix_socket_directories: socketDir, ...options.settings });

  const logFile = join(dir, 'postgres.log');
  const logBytes = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  const logStart = logBytes > maxLogBytes ? 0 : logBytes;
  const log = openSync(logFile, logStart === 0 ? 'w' : 'a', 0o600);
  const child = launcher.spawn(join(binDir, 'postgres'), ['-D', dataDir], {
    stdio: ['ignore', log, log],
    // Ctrl-C on the terminal is for us alone, who stop the server in our own order.
    detached: true,
  });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) {
    rmSync(socketDir, { recursive: true });
    const [error] = (await once(child, 'error')) as [Error];
    throw new CdcError('EMBEDDED_UNAVAILABLE', `PostgreSQL could not be run: ${error.message}`, {
      cause: error,
    });
  }
  const lifeline = attachLifeline(launcher, pid, socketDir);
  let hasExited = false;
  const exited = new Promise<PostgresExit>(resolve => {
    child.once('exit', (code, signal) => {
      hasExited = true;
      lifeline.kill('SIGKILL');
      rmSync(socketDir, { recursive: true, force: true });
      resolve({ code, signal });
    });
  });

  async function stop(mode: StopMode = 'fast'): Promise<void> {
    child.kill(stopSignals[mode]);
    const force = mode === 'fast' ? setTimeout(() => child.kill('SIGQUIT'), fastStopMs) : undefined;
    await exited;
    clearTimeout(force);
  }

  async function becomesReady(): Promise<boolean> {
    const deadline = performance.now() + startTimeoutMs;
    while (!hasExited && performance.now() < deadline) {
      if (isPostmasterReady(dataDir, child.pid!)) return true;
      await delay(10);
    }
    await stop('immediate');
    return false;
  }

  return {
    pid,
    socketDir,
    exited,
    becomesReady,
    lastMessages: () => lastLines(readFileSync(logFile).subarray(logStart).toString()),
    stop,
    kill: () => void child.kill('SIGKILL'),
  };
}

/** What to show of a program's output in an error. */
export function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-8).join('\n') || 'It gave no message.';
}

function writeSettings(dataDir: string, settings: Readonly<Record<string, string>>): void {
  const quote = (value: string) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quote(value)}\n`);
  writeFileSync(join(dataDir, settingsFile), lines.join(''), { mode: 0o644 });
}

/** Not in the server's folder: the path of a unix socket is limited to about 100 bytes. */
function makeSocketDir(launcher: Launcher): string {
  const base = tmpdir().length <= 60 ? tmpdir() : '/tmp';
  const path = mkdtempSync(join(base, socketDirPrefix));
  if (launcher.account !== undefined) chownSync(path, launcher.account.uid, launcher.account.gid);
  return path;
}

/**
 * A shell that waits for the end of a pipe whose other end only we hold, and then shuts the server down: even a SIGKILL of
 * our process leaves no server behind. When the server ends first, we end the shell.
 */
function attachLifeline(launcher: Launcher, pid: number, socketDir: string): ChildProcess {
  const script = `
    read -r _
    kill -INT "$1"
    tries=0
    while kill -0 "$1" && [ $tries -lt 150 ]; do
      tries=$((tries + 1))
      [ $tries -eq 100 ] && kill -QUIT "$1"
      sleep 0.1
    done
    rm -rf "$2"`;
  const lifeline = launcher.spawn('/bin/sh', ['-c', script, 'sh', String(pid), socketDir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  lifeline.unref();
  (lifeline.stdin as Socket).unref();
  return lifeline;
}
