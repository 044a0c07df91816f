import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ServiceExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Of the error that ended it: `SLOT_MOVED`; undefined when it was killed or stopped. */
  errorCode: string | undefined;
  /** The last lines of its log. */
  lastLines: string;
}

export interface ServiceOptions {
  postgresUrl: string;
  clickhouseUrl: string;
  /** Gets `service.log`. */
  dir: string;
  /** Beside mode, addresses and --listen. */
  arguments?: readonly string[];
  /** Variables for every start. */
  env: Readonly<Record<string, string>>;
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const preload = new URL('end-with-parent.ts', import.meta.url).href;

/** `wal-cdc run --mode wal` as a process of its own, started as often as wanted. */
export class SupervisedService {
  readonly #options: ServiceOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<ServiceExit> | undefined;
  starts = 0;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Of the process that was started last. */
  get exited(): Promise<ServiceExit> {
    return this.#exited!;
  }

  start(env: Readonly<Record<string, string>> = {}): void {
    const { postgresUrl, clickhouseUrl, dir, arguments: more = [] } = this.#options;
    const log = join(dir, 'service.log');
    this.starts++;
    appendFileSync(log, `--- start ${this.starts} at ${new Date().toISOString()} ${JSON.stringify(env)}\n`);
    const urls = ['--postgres', postgresUrl, '--clickhouse', clickhouseUrl];
    const command = [
      '--import',
      preload,
      main,
      'run',
      '--mode',
      'wal',
      '--listen',
      '127.0.0.1:0',
      ...urls,
      ...more,
    ];
    const child = spawn(process.execPath, command, {
      cwd: dir,
      env: { PATH: process.env.PATH, ...this.#options.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    let tail = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      appendFileSync(log, text);
      tail = (tail + text).slice(-4000);
    });
    this.#exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#child = undefined;
        appendFileSync(log, `--- end ${code ?? signal} at ${new Date().toISOString()}\n`);
        resolve({
          code,
          signal,
          errorCode: /^code: (\w+)$/m.exec(tail)?.[1],
          lastLines: tail.split('\n').slice(-8).join('\n'),
        });
      });
    });
  }

  /** Resolves when the process is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<ServiceExit> {
    this.#child?.kill(signal);
    return this.exited;
  }
}
