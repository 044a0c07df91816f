import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repository } from '../terraform/terraform.ts';

export interface TeardownResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `scripts/teardown ARGS…`, with `answer` at its question. */
export async function runTeardown(
  args: string[],
  env: NodeJS.ProcessEnv,
  answer = '',
): Promise<TeardownResult> {
  const child = spawn('/bin/bash', [join(repository, 'scripts/teardown'), ...args], { env, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', chunk => (stdout += chunk));
  child.stderr.on('data', chunk => (stderr += chunk));
  child.stdin.on('error', () => {}); // It may end without reading the answer.
  child.stdin.end(answer);
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}
