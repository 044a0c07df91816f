import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { StatusSnapshot } from '../src/observe/status.ts';
import { databaseUrl, type Servers } from './servers.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** For one table of database `postgres`; slot, publication and ClickHouse database have its name. */
export function walServiceEnv(servers: Servers, table: string): Record<string, string> {
  return {
    WAL_CDC_MODE: 'wal',
    WAL_CDC_PIPELINE: table,
    WAL_CDC_POSTGRES_URL: databaseUrl(servers.postgres, 'postgres', 'tcp'),
    WAL_CDC_TABLES: `public.${table}`,
    WAL_CDC_CLICKHOUSE_URL: servers.engine.url,
    WAL_CDC_CLICKHOUSE_DATABASE: table,
  };
}

/** `wal-cdc run`, as a user starts it. */
export class RunningService implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #url: string | undefined;

  constructor(env: Readonly<Record<string, string>>, nodeOptions: readonly string[] = []) {
    this.#child = spawn(process.execPath, [...nodeOptions, main, 'run'], {
      env: {
        PATH: process.env.PATH,
        ...env,
        WAL_CDC_LISTEN: '127.0.0.1:0',
        WAL_CDC_LOG_FORMAT: 'json',
      },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    this.#exited = once(this.#child, 'exit');
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#url ??= /"url":"(http:[^"]+)"/.exec(text)?.[1];
      for (const line of text.split('\n')) if (/"level":"(warn|error)"/.test(line)) console.error(line);
    });
  }

  /** Throws when the service has ended by itself. */
  check(): void {
    if (this.#child.exitCode !== null) throw new Error(`wal-cdc run ended with ${this.#child.exitCode}`);
  }

  async status(): Promise<StatusSnapshot> {
    const response = await fetch(new URL('/api/status', this.#url));
    return (await response.json()) as StatusSnapshot;
  }

  /** Resolves when all is copied. */
  async streaming(): Promise<void> {
    while (!this.#url || (await this.status()).phase !== 'streaming') {
      this.check();
      await sleep(20);
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) await this.stop();
  }
}
