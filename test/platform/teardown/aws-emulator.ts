import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../support/free-port.ts';
import { type TempDir, tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait-for.ts';
import { repository } from '../terraform/terraform.ts';

/** Where fetch-aws.sh puts what the machine does not have. */
const fetched = join(repository, '.cache/tools/aws/bin');

function find(program: string): string | undefined {
  const own = join(fetched, program);
  if (existsSync(own)) return own;
  return spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim() || undefined;
}

const moto = find('moto_server');
const cli = find('aws');

/** Why the tests with AWS cannot run here, or false: for `skip`. */
export const withoutAws =
  (!moto || !cli) &&
  `${[!moto && 'moto', !cli && 'the AWS CLI'].filter(Boolean).join(' and ')} not found: test/platform/teardown/fetch-aws.sh brings them`;

/** AWS as moto plays it: keeps things and their tags, and refuses what AWS refuses for them. */
export class AwsEmulator implements AsyncDisposable {
  readonly env: NodeJS.ProcessEnv;
  readonly #server: ChildProcess;
  readonly #dir: TempDir;

  private constructor(server: ChildProcess, port: number, dir: TempDir) {
    this.#server = server;
    this.#dir = dir;
    this.env = {
      PATH: `${join(cli!, '..')}:${process.env.PATH}`,
      // No configuration or credentials of whoever runs this.
      HOME: dir.path,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_DEFAULT_REGION: 'us-east-1',
    };
  }

  static async start(): Promise<AwsEmulator> {
    const port = await freePort();
    const server = spawn(moto!, ['-H', '127.0.0.1', '-p', String(port)], {
      stdio: 'ignore',
      env: { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' },
    });
    const emulator = new AwsEmulator(server, port, tempDir());
    await waitFor(
      () => {
        if (server.exitCode !== null) throw new Error(`moto_server ended with ${server.exitCode}`);
        return fetch(`http://127.0.0.1:${port}/moto-api/`).then(
          response => response.ok,
          () => false,
        );
      },
      { what: 'moto to answer' },
    );
    return emulator;
  }

  /** `aws ARGS…`: what it answers. */
  async aws<T>(...args: string[]): Promise<T> {
    const { stdout } = await promisify(execFile)(cli!, [...args, '--output', 'json'], { env: this.env });
    return (stdout === '' ? null : JSON.parse(stdout)) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.exitCode === null) {
      const ended = once(this.#server, 'exit');
      this.#server.kill('SIGKILL');
      await ended;
    }
    this.#dir[Symbol.dispose]();
  }
}
