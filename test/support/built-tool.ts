import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const build = 'scripts/tools/build.sh';

/** Where scripts/tools/build.sh puts it. */
export const toolPath = (name: string) => join(root, '.cache/tools', name);

/** Why a tool cannot run here; false when it can. `programs`: what is built from its folder, if that is not one of its name. */
export function toolMissing(name: string, programs = [name]): string | false {
  const how = `${build} ${name} (Go 1.26, some minutes)`;
  for (const program of programs)
    if (!existsSync(toolPath(program))) return `${program} is not built: ${how}`;
  const folder = join(root, 'scripts/tools', name);
  const pins = readdirSync(folder)
    .sort()
    .map(file => readFileSync(join(folder, file)));
  const digest = createHash('sha256').update(Buffer.concat(pins)).digest('hex');
  if (readFileSync(`${toolPath(name)}.pins`, 'utf8').trim() !== digest)
    return `${name} is built from other pins: ${how}`;
  return false;
}

/** As {@link toolMissing}, for what takes long to build: with CI set .ci/run does it meanwhile, and this waits for it. */
export function slowToolMissing(name: string, programs?: string[]): string | false {
  if (process.env.CI) execFileSync(join(root, build), [name], { stdio: ['ignore', 2, 2] });
  return toolMissing(name, programs);
}
