import { once } from 'node:events';
import { startClickHouse } from '../embedded/clickhouse.ts';

export interface ClickHouseCommandOptions {
  dir: string;
  /** 0: a free one. */
  port: number;
  password?: string;
  /** Aborted: stop. */
  signal: AbortSignal;
}

/**
 * The embedded ClickHouse alone, until `signal`. The first line on stdout, once it answers queries, is the URL to connect with.
 * @returns the exit code
 */
export async function runClickHouse(options: ClickHouseCommandOptions): Promise<number> {
  const { dir, port, password, signal } = options;
  const server = await startClickHouse({ dir, port, password, logger: line => console.error(line) });
  try {
    console.log(server.url);
    console.error(`curl:    echo 'SELECT version()' | curl '${server.url}' --data-binary @-`);
    console.error(`Node.js: createClient({ url: '${server.url}' }) of @clickhouse/client`);
    await Promise.race([server.failed, aborted(signal)]);
    return 0;
  } finally {
    await server.stop();
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
