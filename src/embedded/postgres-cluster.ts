import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { CdcError } from '../core/errors.ts';
import type { Launcher } from './postgres-account.ts';
import { lastLines, settingsFile } from './postgres-process.ts';

export interface ClusterOptions {
  /** Ours; keeps the password. */
  dir: string;
  /** PostgreSQL's own folder, in `dir`. */
  dataDir: string;
  binDir: string;
  launcher: Launcher;
  /** Absent: the one of the folder, made up when there is none. */
  password: string | undefined;
  /** `builtin` knows upper and lower case of all letters without any locale of the machine; PostgreSQL 17 brought it. */
  localeProvider: 'builtin' | 'libc';
}

/**
 * Makes the database cluster when there is none, and sets the superuser's password when it is to change.
 * @returns the password
 * @throws CdcError EMBEDDED_UNAVAILABLE
 */
export async function prepareCluster(options: ClusterOptions): Promise<string> {
  const file = join(options.dir, 'password');
  const current = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  const password = options.password ?? current ?? randomBytes(18).toString('base64url');
  if (existsSync(options.dataDir)) {
    if (password === current) return password;
    // Without the file in between: after a crash here the next start sets the password again.
    rmSync(file, { force: true });
    await setPassword(options, password);
  } else {
    await initdb(options, password);
  }
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
  return password;
}

/** Into a folder that gets its name at the end: a crash or a full disk in between leaves nothing that looks usable. */
async function initdb(
  { dir, dataDir, binDir, launcher, localeProvider }: ClusterOptions,
  password: string,
): Promise<void> {
  const fresh = join(dir, 'data.new');
  const passwordFile = join(dir, 'password.new');
  try {
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { mode: 0o700 });
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    const { account } = launcher;
    if (account !== undefined)
      for (const path of [fresh, passwordFile]) chownSync(path, account.uid, account.gid);
    const args = ['-D', fresh, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    args.push('--encoding=UTF8', '--locale=C', '--no-instructions');
    if (localeProvider === 'builtin') args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8');
    const child = launcher.spawn(join(binDir, 'initdb'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    await succeeds(child, `PostgreSQL could not make its folder ${dataDir}`);
    appendFileSync(join(fresh, 'postgresql.conf'), `\ninclude_if_exists '${settingsFile}'\n`);
    renameSync(fresh, dataDir);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** In single-user mode, which asks for no password. */
async function setPassword({ dataDir, binDir, launcher }: ClusterOptions, password: string): Promise<void> {
  const args = ['--single', '-D', dataDir, 'postgres'];
  const child = launcher.spawn(join(binDir, 'postgres'), args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin?.on('error', () => {}); // it ended at once; `succeeds` tells why
  child.stdin?.end(`ALTER ROLE postgres PASSWORD ${pg.escapeLiteral(password)};\n`);
  await succeeds(child, `PostgreSQL could not change the password of ${dataDir}`);
}

async function succeeds(child: ChildProcess, what: string): Promise<void> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const reason = await once(child, 'close').then(
    ([code]) => (code === 0 ? undefined : lastLines(output)),
    (error: Error) => error.message,
  );
  if (reason !== undefined) throw new CdcError('EMBEDDED_UNAVAILABLE', `${what}:\n${reason}`);
}
