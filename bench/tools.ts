import { existsSync, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Path of a client program of PostgreSQL: from PATH, else from where Debian's packages put it, the newest one. */
export function findTool(name: string): string | undefined {
  const byVersion = (a: string, b: string) => b.localeCompare(a, 'en', { numeric: true });
  return [
    ...(process.env.PATH ?? '').split(delimiter).map(folder => join(folder, name)),
    ...globSync(`/usr/lib/postgresql/*/bin/${name}`).sort(byVersion),
  ].find(path => existsSync(path));
}
