import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

export type JarPart = 'kafka' | 'debezium' | 'avro-converter' | 'registry';

const script = join(import.meta.dirname, 'fetch-jars.sh');

/**
 * The folder of a part, fetched from Maven's repository when this machine does not have it yet: `FOLDER/PART/*.jar`.
 * @throws Error with what Maven said
 */
export async function fetchJars(part: JarPart): Promise<string> {
  const { stdout } = await promisify(execFile)(script, [part]);
  return stdout.trim();
}
