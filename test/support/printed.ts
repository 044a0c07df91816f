import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from './wait-for.ts';

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** What a process prints, until it ends. Its output must come through pipes. */
export class Printed {
  stdout = '';
  stderr = '';
  readonly ended: Promise<CommandResult>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', chunk => (this.stdout += chunk));
    child.stderr!.on('data', chunk => (this.stderr += chunk));
    this.ended = once(child, 'close').then(([code]) => ({ code, stdout: this.stdout, stderr: this.stderr }));
  }

  /** Resolves when `pattern` was printed; fails with what was printed when the process ends without. */
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
}
