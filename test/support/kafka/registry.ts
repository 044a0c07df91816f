import { join } from 'node:path';
import { reusablePort } from '../reusable-port.ts';
import { tempDir } from '../temp-dir.ts';
import { fetchJars } from './jars.ts';
import { type JavaServer, startJavaServer } from './java-server.ts';

/** Apicurio Registry. It keeps schemas in memory: after `startAgain` it has none. Its folder has `registry.log`. */
export interface SchemaRegistry extends JavaServer {
  /** Of the API that Confluent's registry has as well: `URL/schemas/ids/1`. */
  url: string;
  /** Of Apicurio's own API, for its converter. */
  nativeUrl: string;
}

/** A registry of its own: `await using`. */
export async function startRegistry(): Promise<SchemaRegistry> {
  const folder = await fetchJars('registry');
  const port = await reusablePort();
  const temp = tempDir();
  const program = {
    name: 'registry',
    jarFolder: folder,
    jvm: ['-Xmx512m', '-Dquarkus.http.host=127.0.0.1', `-Dquarkus.http.port=${port}`],
    command: ['-jar', join(folder, 'registry', 'apicurio-registry-app-2.6.13.Final-runner.jar')],
    cwd: temp.path,
    logFile: join(temp.path, 'registry.log'),
  };
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  const server = await startJavaServer(temp, program, async () => {
    try {
      return (await fetch(`${url}/subjects`)).ok;
    } catch {
      return false; // nobody listens yet
    }
  });
  return Object.assign(server, { url, nativeUrl: `http://127.0.0.1:${port}/apis/registry/v2` });
}
