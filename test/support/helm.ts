import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const tool = join(root, '.cache/tools/helm');

/** Why there can be no Helm here; false when there is one, or can be. */
export function withoutHelm(): string | false {
  if (existsSync(tool) || spawnSync('go', ['version'], { stdio: 'ignore' }).status === 0) return false;
  return 'Helm is not built: scripts/tools/build.sh helm (Go 1.26, seven minutes)';
}

/** Builds it when it is not built from these pins, or waits for whoever does. */
export async function buildHelm(): Promise<void> {
  await promisify(execFile)(join(root, 'scripts/tools/build.sh'), ['helm']);
}

export interface HelmResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `helm ARGS…`, which finds neither a cluster nor anybody's settings. */
export function helm(...args: string[]): HelmResult {
  const { status, stdout, stderr } = spawnSync(tool, args, {
    cwd: root,
    env: { HOME: '/nonexistent', KUBECONFIG: '/nonexistent', PATH: process.env.PATH },
    encoding: 'utf8',
    maxBuffer: 16 << 20,
  });
  return { code: status, stdout, stderr };
}
