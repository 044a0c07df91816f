import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import type pg from 'pg';
import { type Config, loadConfig } from '../../src/config.ts';
import type { TableState } from '../../src/core/checkpoint.ts';
import { formatLsn, parseLsn } from '../../src/core/lsn.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { ControlTables } from '../../src/sinks/clickhouse/control-tables.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait-for.ts';
import { compareAll } from './compare.ts';
import { connect, type Servers, type ServersOptions, startServers } from './servers.ts';
import { SupervisedService } from './supervised-service.ts';

/** One scenario: a database and a pipeline of its own, and the service as a process. */
export class Scene implements AsyncDisposable {
  readonly servers: Servers;
  readonly config: Config;
  readonly service: SupervisedService;
  readonly clickhouse: ClickHouse;
  readonly control: ControlTables;
  /** Of the scenario's database. */
  readonly url: string;
  client: pg.Client;
  readonly #cleanUp: () => Promise<void>;

  private constructor(
    servers: Servers,
    name: string,
    dir: string,
    client: pg.Client,
    url: string,
    cleanUp: () => Promise<void>,
  ) {
    this.servers = servers;
    this.client = client;
    this.url = url;
    this.#cleanUp = cleanUp;
    const address = splitAddress(servers.clickhouse.url);
    this.config = loadConfig({
      flags: {
        mode: 'wal',
        pipeline: name,
        'postgres.url': url,
        'clickhouse.url': servers.clickhouse.url,
        'clickhouse.database': name,
      },
    });
    mkdirSync(dir, { recursive: true });
    this.service = new SupervisedService({
      postgresUrl: url,
      clickhouseUrl: servers.lineUrl,
      dir,
      arguments: ['--pipeline', name, '--database', name],
      env: { WAL_CDC_TEST_CHUNK_PAGES: '16' },
    });
    this.clickhouse = new ClickHouse(address);
    this.control = new ControlTables(this.clickhouse, name);
  }

  /** On servers that all scenes of the file share, or on its own ones with `own`. */
  static async open(name: string, own?: ServersOptions): Promise<Scene> {
    const { servers, dir } = own ? await ownServers(own) : await sharedServers();
    const admin = await connect(servers.postgres.url);
    await admin.query(`CREATE DATABASE ${name}`);
    await admin.end();
    const url = servers.postgres.url.replace(/\/postgres$/, `/${name}`);
    return new Scene(servers, name, join(dir.path, name), await connect(url), url, async () => {
      if (!own) return;
      await servers[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
    });
  }

  /** Executes SQL at the source. */
  async sql(text: string): Promise<void> {
    await this.client.query(text);
  }

  /** What the pipeline knows about its tables; nothing before its first start. */
  async tables(): Promise<{ name: string; state: TableState }[]> {
    return this.control.loadTables().catch(() => []);
  }

  /** Resolves when the service streams and no table is being copied. */
  async untilCopied(): Promise<void> {
    await waitFor(
      async () => {
        this.#mustRun();
        if (!(await this.control.exists()) || !(await this.control.loadCheckpoint())) return false;
        const tables = await this.tables();
        return tables.length > 0 && tables.every(({ state }) => state.phase !== 'copying');
      },
      { what: 'the copies to end' },
    );
  }

  /** Resolves when what is committed now is in a saved checkpoint. */
  async untilSaved(): Promise<void> {
    const { rows } = await this.client.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    const lsn = parseLsn(rows[0].lsn);
    let askedAtMs = Number.NEGATIVE_INFINITY;
    await waitFor(
      async () => {
        this.#mustRun();
        const checkpoint = await this.control.loadCheckpoint();
        if (checkpoint && parseLsn(checkpoint.position) >= lsn) return true;
        if (performance.now() - askedAtMs > 2000) {
          askedAtMs = performance.now();
          await this.control.request('checkpoint', formatLsn(lsn));
        }
        return false;
      },
      { what: `a checkpoint at ${formatLsn(lsn)}` },
    );
  }

  /** Starts the service and resolves when it was killed at a crash point. */
  async crashAt(point: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.service.start({ ...env, WAL_CDC_CRASH_AT: point });
    await waitFor(() => !this.service.isRunning, { what: `the service to come to ${point}` });
    const exit = await this.service.exited;
    if (exit.signal !== 'SIGKILL') throw new Error(`The service ended otherwise: ${exit.lastLines}`);
  }

  /** Resolves when the walsender of a service that is gone is gone too: what it was told is in the slot then. */
  async untilSlotIsFree(): Promise<void> {
    await waitFor(
      async () => {
        const { rowCount } = await this.client.query(
          'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND NOT active',
          [this.config.postgres.slot],
        );
        return rowCount === 1;
      },
      { what: 'the slot to be free' },
    );
  }

  /** What differs, once everything has arrived. */
  async problems(): Promise<string[]> {
    return (await compareAll(this.config, this.servers.clickhouse.url, { atRest: true })).problems;
  }

  #mustRun(): void {
    if (!this.service.isRunning) throw new Error('The service is not running any more: see its log');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.service.isRunning) await this.service.end('SIGKILL');
    await this.client.end().catch(() => {});
    await this.clickhouse.close();
    await this.#cleanUp();
  }
}

type Shared = Awaited<ReturnType<typeof ownServers>>;
let shared: Promise<Shared> | undefined;
after(async () => {
  if (!shared) return;
  const { servers, dir } = await shared;
  await servers[Symbol.asyncDispose]();
  dir[Symbol.dispose]();
});

function sharedServers(): Promise<Shared> {
  shared ??= ownServers({});
  return shared;
}

async function ownServers(options: ServersOptions) {
  const dir = tempDir();
  try {
    return { servers: await startServers(dir.path, options), dir };
  } catch (error) {
    dir[Symbol.dispose]();
    throw error;
  }
}
