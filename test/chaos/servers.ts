import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedClickHouse, startClickHouse } from '../../src/embedded/clickhouse.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres.ts';
import { freePort } from '../support/free-port.ts';
import { waitFor } from '../support/wait-for.ts';
import { FaultyLine } from './faulty-line.ts';

export interface ServersOptions {
  /** Lines of postgresql.conf. */
  settings?: Readonly<Record<string, string>>;
  /** Of another PostgreSQL than the bundled one. */
  postgresBinDir?: string;
}

/** Both servers, to be killed; and what stands between the service and ClickHouse. */
export interface Servers extends AsyncDisposable {
  postgres: RestartablePostgres;
  clickhouse: RestartableClickHouse;
  line: FaultyLine;
  /** ClickHouse as the service reaches it. */
  lineUrl: string;
}

export async function startServers(dir: string, options: ServersOptions = {}): Promise<Servers> {
  const postgres = await RestartablePostgres.start(dir, options);
  let clickhouse: RestartableClickHouse | undefined;
  try {
    clickhouse = await RestartableClickHouse.start(dir);
    const line = await FaultyLine.start(clickhouse.port);
    return {
      postgres,
      clickhouse,
      line,
      lineUrl: clickhouse.url.replace(`:${clickhouse.port}`, `:${line.port}`),
      async [Symbol.asyncDispose]() {
        await line[Symbol.asyncDispose]();
        await clickhouse!.kill();
        await postgres.end('immediate');
      },
    };
  } catch (error) {
    await clickhouse?.kill();
    await postgres.end('immediate');
    throw error;
  }
}

/** A PostgreSQL that comes back on the same port with the same data after each end. */
export class RestartablePostgres {
  readonly url: string;
  readonly #start: () => Promise<EmbeddedPostgres>;
  #server: EmbeddedPostgres;

  private constructor(start: () => Promise<EmbeddedPostgres>, server: EmbeddedPostgres) {
    this.#start = start;
    this.#server = server;
    this.url = server.url;
  }

  static async start(
    dir: string,
    { settings, postgresBinDir }: ServersOptions,
  ): Promise<RestartablePostgres> {
    const port = await freePort();
    const start = () =>
      startPostgres({
        dir: join(dir, 'postgres'),
        port,
        binDir: postgresBinDir,
        settings: { fsync: 'off', ...settings },
      });
    return new RestartablePostgres(start, await start());
  }

  /** `kill` is SIGKILL of the postmaster alone. */
  async end(how: 'fast' | 'immediate' | 'kill'): Promise<void> {
    if (how === 'kill') {
      this.#server.kill();
      await this.#server.exited;
    } else await this.#server.stop(how);
  }

  async startAgain(): Promise<void> {
    this.#server = await this.#start();
  }
}

/** A ClickHouse that comes back on the same port with the same data after each end. */
export class RestartableClickHouse {
  readonly url: string;
  readonly port: number;
  readonly #start: () => Promise<EmbeddedClickHouse>;
  #server: EmbeddedClickHouse;

  private constructor(start: () => Promise<EmbeddedClickHouse>, server: EmbeddedClickHouse) {
    this.#start = start;
    this.#server = server;
    this.url = server.url;
    this.port = server.port;
  }

  static async start(dir: string): Promise<RestartableClickHouse> {
    const port = await freePort();
    const start = () => startClickHouse({ dir: join(dir, 'clickhouse'), port });
    return new RestartableClickHouse(start, await start());
  }

  async kill(): Promise<void> {
    this.#server.kill();
    await this.#server.exited;
  }

  async startAgain(): Promise<void> {
    this.#server = await this.#start();
  }
}

/** A connected client. A server that goes away is no unhandled error: the next query says so. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Connects as soon as the server lets anybody in: one that recovers from a crash does not. */
export function connectWhenUp(url: string): Promise<pg.Client> {
  return waitFor(() => connect(url).catch(() => undefined), { what: 'PostgreSQL to accept connections' });
}
