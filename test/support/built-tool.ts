import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Where scripts/tools/build.sh puts it. */
export const toolPath = (name: string) => join(root, '.cache/tools', name);

/** Why a tool cannot run here; false when it can. */
export function toolMissing(name: string): string | false {
  const how = `scripts/tools/build.sh ${name} (Go 1.26, a minute or two)`;
  if (!existsSync(toolPath(name))) return `${name} is not built: ${how}`;
  const pins = ['go.mod', 'go.sum'].map(file => readFileSync(join(root, 'scripts/tools', name, file)));
  const digest = createHash('sha256').update(Buffer.concat(pins)).digest('hex');
  if (readFileSync(`${toolPath(name)}.pins`, 'utf8').trim() !== digest)
    return `${name} is built from other pins: ${how}`;
  return false;
}
