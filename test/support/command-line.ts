import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { StatusSnapshot } from '../../src/observe/status.ts';
import { waitFor } from './wait-for.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** Runs `wal-cdc ARGS…` to its end. */
export async function walCdc(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new RunningCommand(args, options).ended;
}

/** A `wal-cdc ARGS…` that is running: `await using`, which kills it. */
export class RunningCommand implements AsyncDisposable {
  stdout = '';
  stderr = '';
  readonly ended: Promise<CommandResult>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;

  constructor(args: string[], { env = {}, cwd }: CommandOptions = {}) {
    this.#child = spawn(process.execPath, [main, ...args], {
      env: { PATH: process.env.PATH, ...env },
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout.on('data', chunk => (this.stdout += chunk));
    this.#child.stderr.on('data', chunk => (this.stderr += chunk));
    this.ended = once(this.#child, 'close').then(([code]) => ({
      code,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when `pattern` was printed; fails with what was printed when the command ends without. */
  async prints(pattern: RegExp): Promise<void> {
    await waitFor(
      () => {
        if (pattern.test(this.stdout) || pattern.test(this.stderr)) return true;
        if (this.#child.exitCode !== null)
          throw new Error(
            `ended with ${this.#child.exitCode} before ${pattern}:\n${this.stdout}${this.stderr}`,
          );
        return false;
      },
      { what: `${pattern} to be printed` },
    );
  }

  /** What a service with `log.format: json` answers at /api/status; undefined before it listens and when it is gone. */
  async status(): Promise<StatusSnapshot | undefined> {
    const url = /"url":"(http[^"]+)","msg":"status page/.exec(this.stderr)?.[1];
    if (url === undefined) return undefined;
    const answer = await fetch(`${url}/api/status`).catch(() => undefined);
    return (await answer?.json()) as StatusSnapshot | undefined;
  }

  async stop(): Promise<CommandResult> {
    this.#child.kill('SIGTERM');
    return this.ended;
  }

  /** SIGKILL, as in a crash. */
  async kill(): Promise<CommandResult> {
    this.#child.kill('SIGKILL');
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
