import { type StdioOptions, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildServerXml, buildUsersXml } from './engine-config.ts';

export interface ClickHouseExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface EngineOptions {
  /** libchdb.so */
  libraryPath: string;
  dataDir: string;
  /** Of 127.0.0.1. */
  port: number;
  user: string;
  password: string;
  /** What the user may do beyond the usual, as in `TABLE ENGINE ON Kafka`. */
  grants?: readonly string[] | undefined;
  /** Takes what it writes once it is ready; until then, and if it never is, see `lastMessages`. */
  logger?: (line: string) => void;
}

/** The engine's process, whether it answers queries yet or not. */
export interface Engine {
  pid: number;
  exited: Promise<ClickHouseExit>;
  /** Resolves with false when the process ended instead, or was ended after two minutes. */
  becomesReady(): Promise<boolean>;
  /** The last lines that it wrote. */
  lastMessages(): string;
  /** SIGKILL. */
  kill(): void;
}

const startTimeoutMs = 120_000;
/** Frames of stack traces without symbols, and what comes of the query id below. */
const noise = /^\s*$|^\d+\. .* @ 0x|^ \(version |^Received exception:|query_id could be specified only/;
const program = fileURLToPath(new URL('engine-process.ts', import.meta.url));

/** The last one never ends: the engine lives while it runs. */
const statements = [
  'CREATE DATABASE IF NOT EXISTS default',
  'SYSTEM START LISTEN HTTP',
  'SELECT sleepEachRow(1) FROM system.numbers SETTINGS max_block_size = 1, max_threads = 1 FORMAT Null',
];

export function startEngine(options: EngineOptions): Engine {
  const { libraryPath, dataDir, port, user, password, grants, logger } = options;
  // Read at the start only. Not in the data folder, which another engine may hold.
  const configDir = mkdtempSync(join(tmpdir(), 'wal-cdc-ch-'));
  const usersPath = join(configDir, 'users.xml');
  const configPath = join(configDir, 'config.xml');
  writeFileSync(usersPath, buildUsersXml(user, password, grants), { mode: 0o600 });
  writeFileSync(configPath, buildServerXml(usersPath), { mode: 0o600 });

  const terminal = openTerminal();
  const stdio: StdioOptions = [terminal ?? 'ignore', 'ignore', 'pipe', 'ipc'];
  const engineArguments = [
    `--path=${dataDir}`,
    '--listen_host=127.0.0.1',
    `--http_port=${port}`,
    `--config-file=${configPath}`,
    '--log-level=error',
    // Keeps the engine from ending at the first bytes that are not HTTP; needs the terminal. With a query id
    // it never gets to the prompt (docs/adr/embedded-clickhouse.md).
    '--interactive',
    '--query_id=wal_cdc_listen',
    '--disable_suggestion',
    '--progress=off',
    '--progress-table=off',
    `--query=${statements.join('; ')}`,
  ];
  const child = spawn(process.execPath, [program, libraryPath, ...engineArguments], {
    stdio,
    env: { ...process.env, NODE_OPTIONS: '', TZ: 'UTC' },
    // Ctrl-C on the terminal is for us alone, who stop the server in our own order.
    detached: true,
  });
  if (terminal !== undefined) closeSync(terminal);

  const messages: string[] = [];
  let isReady = false;
  createInterface({ input: child.stderr as Readable }).on('line', line => {
    if (noise.test(line)) return;
    messages.push(line);
    if (messages.length > 8) messages.shift();
    if (isReady) logger?.(line);
  });
  const ended = new AbortController();
  const exited = new Promise<ClickHouseExit>(resolve => {
    // After 'close' nothing more comes from stderr.
    child.once('close', (code, signal) => {
      ended.abort();
      rmSync(configDir, { recursive: true, force: true });
      resolve({ code, signal });
    });
  });
  child.once('error', error => messages.push(error.message));
  const kill = () => void child.kill('SIGKILL');

  async function becomesReady(): Promise<boolean> {
    const giveUp = AbortSignal.any([ended.signal, AbortSignal.timeout(startTimeoutMs)]);
    while (!giveUp.aborted) {
      if (await answersQueries(port, user, password, giveUp)) {
        rmSync(configDir, { recursive: true, force: true });
        isReady = true;
        for (const line of messages) logger?.(line);
        return true;
      }
      await delay(10);
    }
    kill();
    await exited;
    return false;
  }

  return { pid: child.pid!, exited, becomesReady, lastMessages: () => messages.join('\n'), kill };
}

/** The master side of a pseudo terminal, which is all that the engine's check for one needs. */
function openTerminal(): number | undefined {
  try {
    return openSync('/dev/ptmx', 'r+');
  } catch {
    return undefined;
  }
}

async function answersQueries(
  port: number,
  user: string,
  password: string,
  signal: AbortSignal,
): Promise<boolean> {
  const credentials = Buffer.from(`${user}:${password}`).toString('base64');
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      body: 'SELECT 1',
      headers: { Authorization: `Basic ${credentials}`, Connection: 'close' },
      signal,
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
