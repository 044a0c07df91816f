import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, globSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Printed } from '../../support/printed.ts';
import { type TempDir, tempDir } from '../../support/temp-dir.ts';
import { repository } from '../terraform/terraform.ts';

const fetchBase = join(repository, 'test/platform/image/fetch-base.sh');
const hasBase = globSync('.cache/tools/image-base-*.tar', { cwd: repository }).length > 0;

/** Why images cannot be built and run here, or false: for `skip`. */
export const withoutContainers = missing();

function missing(): string | false {
  // Without root neither the base can be made nor, without more preparation, a container be started.
  if (process.platform !== 'linux' || process.getuid!() !== 0)
    return 'images are built and run by root on Linux';
  const programs = ['buildah', 'podman', 'runc', ...(hasBase ? [] : ['debootstrap'])].filter(
    program => spawnSync(program, ['--version'], { stdio: 'ignore' }).error,
  );
  return programs.length > 0 && `${programs.join(' and ')} not found: packages of Debian bring them`;
}

/** Of statfs(2). */
const overlayfs = 0x794c7630;

export interface ImageConfig {
  User: string;
  Entrypoint: string[];
  Cmd: string[];
  WorkingDir: string;
  Env: string[];
  Volumes?: object;
  Healthcheck?: object;
}

/** Images and containers of a test, in a folder of its own, without a daemon: buildah builds, podman and runc run. */
export class Containers implements AsyncDisposable {
  readonly #dir: TempDir = tempDir();
  readonly #env: NodeJS.ProcessEnv;
  #containers = 0;

  constructor() {
    const at = (name: string) => join(this.#dir.path, name);
    // Overlays do not lie on overlays, which is what this may run on itself.
    const driver = statfsSync(this.#dir.path).type === overlayfs ? 'vfs' : 'overlay';
    writeFileSync(
      at('storage.conf'),
      `[storage]\ndriver = "${driver}"\ngraphroot = "${at('storage')}"\nrunroot = "${at('run')}"\n`,
    );
    // No systemd is asked for anything, and limits are not above those that this may run under itself.
    writeFileSync(
      at('containers.conf'),
      `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
tmp_dir = "${at('tmp')}"
`,
    );
    this.#env = {
      ...process.env,
      CONTAINERS_CONF: at('containers.conf'),
      CONTAINERS_STORAGE_CONF: at('storage.conf'),
    };
  }

  /** The stand-in for node:24-slim as an image: Debian and npm, and the Node that runs this. */
  async importBase(tag: string): Promise<void> {
    const { stdout } = await promisify(execFile)(fetchBase, { encoding: 'utf8' });
    const base = join(this.#dir.path, 'base.tar');
    copyFileSync(stdout.trim(), base);
    const node = process.execPath;
    await this.#run('tar', '--append', '--file', base, '--owner=0', '--group=0', '--mode=755', [
      ...['--dereference', '--transform=s,.*,./usr/local/bin/node,', '--absolute-names', node],
    ]);
    await this.#run('podman', 'import', '--quiet', base, tag);
  }

  /** The real Dockerfile in the context of the repository. */
  async build(tag: string, base: string): Promise<void> {
    await this.#run('nice', 'buildah', 'bud', '--isolation', 'chroot', '--network', 'host', '--pull-never', [
      ...['--build-arg', `NODE_IMAGE=${base}`, '--tag', tag],
      // For npm alone: the base has none.
      ...['--volume', '/etc/ssl/certs:/etc/ssl/certs:ro', repository],
    ]);
  }

  async inspect(tag: string): Promise<{ Size: number; Config: ImageConfig }> {
    return JSON.parse(await this.#run('podman', 'image', 'inspect', tag))[0];
  }

  /** The folder where the files of an image can be read. */
  async mount(tag: string): Promise<string> {
    return (await this.#run('podman', 'image', 'mount', tag)).trim();
  }

  /** `docker run … --read-only --cap-drop ALL TAG ARGS…`, with the network of the machine. Nothing can be written at all. */
  run(tag: string, args: string[] = [], options: ContainerOptions = {}): Container {
    const name = `container-${++this.#containers}`;
    const pidFile = join(this.#dir.path, `${name}.pid`);
    const child = spawn(
      'podman',
      [
        ...['run', '--name', name, '--pidfile', pidFile, '--network', 'host'],
        ...['--read-only', '--read-only-tmpfs=false', '--cap-drop', 'ALL'],
        ...['--security-opt', 'no-new-privileges'],
        // It goes even if the test dies.
        ...['--timeout', '600'],
        ...Object.entries(options.env ?? {}).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
        ...Object.entries(options.mounts ?? {}).flatMap(([to, from]) => ['--volume', `${from}:${to}:ro`]),
        ...(options.entrypoint ? ['--entrypoint', options.entrypoint] : []),
        ...[tag, ...args],
      ],
      { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return new Container(child, pidFile, (...args) => this.#run('podman', ...args, name));
  }

  async #run(program: string, ...args: (string | string[])[]): Promise<string> {
    try {
      const { stdout } = await promisify(execFile)(program, args.flat(), {
        env: this.#env,
        maxBuffer: 16 << 20,
        timeout: 300_000,
        killSignal: 'SIGKILL',
      });
      return stdout;
    } catch (error) {
      const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string };
      throw new Error(`${message}\n${stdout}${stderr}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run('podman', 'rm', '--all', '--force', '--time', '0');
    await this.#run('podman', 'image', 'unmount', '--all', '--force');
    await this.#run('buildah', 'rm', '--all');
    this.#dir[Symbol.dispose]();
  }
}

export interface ContainerOptions {
  entrypoint?: string;
  env?: Record<string, string>;
  /** Files and folders of the machine by the path that they have in the container, which cannot write to them. */
  mounts?: Record<string, string>;
}

export interface Mount {
  path: string;
  type: string;
  writable: boolean;
}

export class Container extends Printed {
  readonly #pidFile: string;
  readonly #podman: (...args: string[]) => Promise<string>;

  constructor(child: ChildProcess, pidFile: string, podman: (...args: string[]) => Promise<string>) {
    super(child);
    this.#pidFile = pidFile;
    this.#podman = podman;
  }

  /** Where the kernel of the machine tells about the process 1 of the container. */
  get proc(): string {
    return `/proc/${readFileSync(this.#pidFile, 'utf8').trim()}`;
  }

  mounts(): Mount[] {
    const lines = readFileSync(join(this.proc, 'mountinfo'), 'utf8').trim().split('\n');
    return lines.map(line => {
      const fields = line.split(' ');
      const type = fields[fields.indexOf('-', 6) + 1]!;
      return { path: fields[4]!, type, writable: fields[5]!.split(',').includes('rw') };
    });
  }

  /** SIGTERM; SIGKILL when it is still there after `graceSeconds`. As Kubernetes and Docker end a container. */
  async stop(graceSeconds: number): Promise<void> {
    await this.#podman('stop', '--time', String(graceSeconds));
  }
}
