import { randomBytes } from 'node:crypto';
import { accessSync, constants, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CdcError } from '../../core/errors.ts';
import { makeFolder } from '../make-folder.ts';

/** What belongs to one embedded server: `password` (of its user) and `data` (the engine's). */
export interface ClickHouseFolder {
  dir: string;
  dataDir: string;
  password: string;
}

/** @throws CdcError EMBEDDED_UNAVAILABLE when the folder cannot be used */
export function prepareFolder(path: string): ClickHouseFolder {
  try {
    makeFolder(path, 0o700);
    const dir = realpathSync(path);
    const dataDir = join(dir, 'data');
    makeFolder(dataDir, 0o700);
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    return { dir, dataDir, password: readOrMakePassword(join(dir, 'password')) };
  } catch (cause) {
    throw new CdcError(
      'EMBEDDED_UNAVAILABLE',
      `The folder ${path} cannot be used: ${(cause as Error).message}`,
      { cause, hint: 'Choose another folder with --dir.' },
    );
  }
}

/** The pid of whoever runs the engine that holds the folder, which has noted its own there; undefined when that cannot be told. */
export function readOwnerPid(dataDir: string): number | undefined {
  try {
    const engine = /^PID: (\d+)/m.exec(readFileSync(join(dataDir, 'status'), 'utf8'))![1];
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${engine}/status`, 'utf8'))![1]);
  } catch {
    return undefined;
  }
}

function readOrMakePassword(path: string): string {
  try {
    writeFileSync(path, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const password = readFileSync(path, 'utf8').trim();
  if (password === '') throw new Error(`${path} is empty; delete it to get a new password`);
  return password;
}
