import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { withLifeline } from '../lifeline.ts';
import { waitFor } from '../wait-for.ts';

const stopTimeoutMs = 10_000;

/** Programs that work together and log to one folder. They end with their scope, the last started first, or with this process. */
export class Servers implements AsyncDisposable {
  readonly dir: string;
  readonly #running: { name: string; child: ChildProcess }[] = [];

  constructor(dir: string) {
    this.dir = dir;
  }

  start(name: string, command: string[], env: NodeJS.ProcessEnv = {}): void {
    const log = openSync(this.#log(name), 'a');
    const child = spawn('/bin/sh', ['-c', withLifeline, 'sh', ...command], {
      cwd: this.dir,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log, 'pipe'],
      // Out of reach of the terminal's Ctrl-C, so that they end in order.
      detached: true,
    });
    closeSync(log);
    const lifeline = child.stdio[3] as Socket;
    lifeline.on('error', () => {});
    child.once('exit', () => lifeline.end('\n'));
    this.#running.push({ name, child });
  }

  /**
   * Resolves when `condition` holds; that it rejects counts as "not yet".
   * @throws Error with the last lines of the log of one that ended before
   */
  async wait(what: string, condition: () => Promise<unknown>): Promise<void> {
    await waitFor(
      () => {
        for (const { name, child } of this.#running)
          if (hasExited(child)) throw new Error(`${name} has ended:\n${this.lastLines(name)}`);
        return condition().catch(() => false);
      },
      { what },
    );
  }

  lastLines(name: string): string {
    return readFileSync(this.#log(name), 'utf8').trimEnd().split('\n').slice(-30).join('\n');
  }

  #log(name: string): string {
    return join(this.dir, `${name}.log`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#running.splice(0).reverse()) {
      if (hasExited(child)) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      await exited;
      clearTimeout(force);
    }
  }
}

const hasExited = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;
