import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CdcError } from '../core/errors.ts';

/** PostgreSQL refuses to run as root: then its programs run under this account. */
export interface Account {
  uid: number;
  gid: number;
}

/** How to run a program of the server: as whom, and behind which command. */
export interface Launcher {
  /** Undefined when we are not root: the server runs as ourselves. */
  account: Account | undefined;
  spawn(file: string, args: readonly string[], options: SpawnOptions): ChildProcess;
}

/** Clean of PG* variables, which would override what we set; `C` keeps messages in English. */
const environment = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * A launcher whose programs reach every folder of `paths`.
 * `dataDir` may exist already: then its owner is the one to run as.
 * @throws CdcError EMBEDDED_UNAVAILABLE naming the folder that cannot be reached.
 */
export function createLauncher(dataDir: string, paths: readonly string[]): Launcher {
  const ownUid = process.getuid?.();
  const owner = statSync(dataDir, { throwIfNoEntry: false });
  if (ownUid !== 0) {
    if (owner !== undefined && ownUid !== undefined && owner.uid !== ownUid) {
      throw new CdcError(
        'EMBEDDED_UNAVAILABLE',
        `The folder ${dataDir} belongs to another user (uid ${owner.uid}).`,
        {
          hint: 'Run as that user or as root, or choose another folder with --dir.',
        },
      );
    }
    return launcherWith([], undefined);
  }
  const account = owner !== undefined && owner.uid !== 0 ? owner : unprivilegedAccount();
  const plain = launcherWith([], { uid: account.uid, gid: account.gid });
  const unreachable = firstUnreachable([], account, paths);
  if (unreachable === undefined) return plain;
  for (const capability of ['dac_read_search', 'dac_override']) {
    const prefix = capabilityPrefix(account, capability);
    if (firstUnreachable(prefix, undefined, paths) === undefined) {
      return { ...launcherWith(prefix, undefined), account: plain.account };
    }
  }
  throw new CdcError(
    'EMBEDDED_UNAVAILABLE',
    `PostgreSQL does not run as root, and uid ${account.uid}, which it runs as instead, may not enter ${unreachable}.`,
    {
      hint: `Run as an ordinary user, or "chmod o+x ${unreachable}", or use a checkout and a --dir outside of it.`,
    },
  );
}

function launcherWith(prefix: readonly string[], account: Account | undefined): Launcher {
  return {
    account,
    spawn(file, args, options) {
      const [command, ...rest] = [...prefix, file, ...args];
      // The working directory must be one that the account can enter: ours may be below /root.
      return spawn(command, rest, {
        ...options,
        cwd: '/',
        env: environment,
        uid: account?.uid,
        gid: account?.gid,
      });
    },
  };
}

function unprivilegedAccount(): Account {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const entry = lines.find(line => line.startsWith(`${name}:`))?.split(':');
    if (entry !== undefined) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new CdcError(
    'EMBEDDED_UNAVAILABLE',
    'PostgreSQL does not run as root, and there is no user "postgres" or "nobody".',
    {
      hint: 'Run as an ordinary user.',
    },
  );
}

/**
 * For a checkout below a private folder such as /root: the account, with the one capability to pass closed folders.
 * Only used when it is needed, since the server could read files that its account could not.
 */
function capabilityPrefix(account: Account, capability: string): string[] {
  const ids = ['--reuid', String(account.uid), '--regid', String(account.gid), '--clear-groups'];
  return ['setpriv', ...ids, '--inh-caps', `+${capability}`, '--ambient-caps', `+${capability}`, '--'];
}

/** The outermost folder on the way to `paths` that a program run like this may not enter; the root when none can be run. */
function firstUnreachable(
  prefix: readonly string[],
  account: Account | undefined,
  paths: readonly string[],
): string | undefined {
  const script = 'for p; do test -x "$p" || { printf "%s" "$p"; exit 0; }; done';
  const [command, ...args] = [...prefix, '/bin/sh', '-c', script, 'sh', ...new Set(paths.flatMap(ancestors))];
  const probe = spawnSync(command, args, {
    cwd: '/',
    uid: account?.uid,
    gid: account?.gid,
    encoding: 'utf8',
  });
  if (probe.status !== 0) return '/';
  return probe.stdout === '' ? undefined : probe.stdout;
}

/** `path` and the folders above it, outermost first. */
function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [...ancestors(parent), path];
}
