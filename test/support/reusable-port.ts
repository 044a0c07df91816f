import { once } from 'node:events';
import { createServer } from 'node:net';

const [lowest, highest] = [10_000, 30_000];

/**
 * A TCP port of 127.0.0.1 for a server that starts again on it: below the range out of which systems number connections, so
 * that none takes it while the server is down.
 */
export async function reusablePort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
