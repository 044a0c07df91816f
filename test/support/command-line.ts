import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { StatusSnapshot } from '../../src/observe/status.ts';
import { type CommandResult, Printed } from './printed.ts';

export type { CommandResult };

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface CommandOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** Runs `wal-cdc ARGS…` to its end. */
export async function walCdc(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new RunningCommand(args, options).ended;
}

/** A `wal-cdc ARGS…` that is running: `await using`, which kills it. */
export class RunningCommand extends Printed implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(args: string[], { env = {}, cwd }: CommandOptions = {}) {
    const child = spawn(process.execPath, [main, ...args], {
      env: { PATH: process.env.PATH, ...env },
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    super(child);
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid!;
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
