import { once } from 'node:events';
import { CdcError } from '../core/errors.ts';
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
    const stopped = signal.aborted ? undefined : once(signal, 'abort');
    const ended = await Promise.race([stopped, server.exited]);
    if (ended !== undefined && 'signal' in ended) {
      throw new CdcError(
        'UNEXPECTED',
        `ClickHouse ended by itself (${ended.signal ?? `exit code ${ended.code}`}).`,
        {
          hint: `Its last messages stand above; the data in ${server.dir} is kept.`,
        },
      );
    }
    return 0;
  } finally {
    await server.stop();
  }
}
