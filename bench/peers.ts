import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { copyOut } from '../src/sources/wal/copy-out.ts';
import { type ProcessUsage, UsageWatch } from './process-usage.ts';
import { databaseUrl, type Servers } from './servers.ts';
import { findTool } from './tools.ts';
import { publication, table, type Workload, walsenderOf } from './workload.ts';

export interface PeerRun {
  seconds: number;
  /** Of the process that reads. */
  reader: ProcessUsage | undefined;
  /** Of the walsender, or of the session that copies. */
  postgres: ProcessUsage | undefined;
}

export interface Peer<Args extends unknown[]> {
  name: string;
  run(servers: Servers, workload: Workload, ...args: Args): Promise<PeerRun>;
}

/** `pg_recvlogical` with the options that we stream with, writing to /dev/null; `undefined` when it is not installed. */
export function findPgRecvlogical(): Peer<[slot: string, socket: 'tcp' | 'unix']> | undefined {
  const path = findTool('pg_recvlogical');
  if (path === undefined) return undefined;
  return {
    name: toolVersion(path),
    async run({ postgres }, { client, database, endLsn }, slot, socket) {
      const url = new URL(databaseUrl(postgres, database, 'tcp'));
      const host = socket === 'unix' ? postgres.socketDir : url.hostname;
      const child = spawn(
        path,
        [
          ...['--host', host, '--port', url.port, '--username', url.username, '--dbname', database],
          ...['--slot', slot, '--start', '--no-loop', '--endpos', endLsn, '--file', '/dev/null'],
          ...['--option', 'proto_version=1', '--option', `publication_names=${publication}`],
          ...['--option', 'binary=true'],
        ],
        { stdio: ['ignore', 'inherit', 'inherit'], env: { PGPASSWORD: decodeURIComponent(url.password) } },
      );
      const exited = exitOf(child);
      let pid: number | undefined;
      while (pid === undefined && child.exitCode === null) {
        pid = await walsenderOf(client, slot);
        await sleep(1);
      }
      // As for the service, the time runs from when the walsender holds the slot.
      const startedAt = performance.now();
      const reader = new UsageWatch(child.pid!);
      const postgresUsage = pid === undefined ? undefined : new UsageWatch(pid);
      await exited;
      const seconds = (performance.now() - startedAt) / 1000;
      return { seconds, reader: reader.stop(), postgres: postgresUsage?.stop() };
    },
  };
}

/** One `COPY … (FORMAT binary)` of the whole table to /dev/null: by psql, or else by our own reader, discarding. */
export function findCopy(): Peer<[]> {
  const sql = `COPY ${table} TO STDOUT (FORMAT binary)`;
  const path = findTool('psql');
  if (path !== undefined)
    return {
      name: `COPY by ${toolVersion(path)}`,
      async run({ postgres }, { database }) {
        const startedAt = performance.now();
        const child = spawn(path, ['--no-psqlrc', '--command', sql, databaseUrl(postgres, database, 'tcp')], {
          stdio: ['ignore', 'ignore', 'inherit'],
        });
        const reader = new UsageWatch(child.pid!);
        await exitOf(child);
        return {
          seconds: (performance.now() - startedAt) / 1000,
          reader: reader.stop(),
          postgres: undefined,
        };
      },
    };
  return {
    name: 'COPY by our reader (no psql here)',
    async run({ postgres }, { database }) {
      const client = new pg.Client(databaseUrl(postgres, database, 'tcp'));
      const startedAt = performance.now();
      await client.connect();
      for await (const _ of copyOut(client, sql));
      const seconds = (performance.now() - startedAt) / 1000;
      await client.end();
      return { seconds, reader: undefined, postgres: undefined };
    },
  };
}

/** As in `psql 15.18`. */
function toolVersion(path: string): string {
  const text = execFileSync(path, ['--version'], { encoding: 'utf8' });
  return `${text.split(' ')[0]} ${/[\d.]+/.exec(text)?.[0]}`;
}

async function exitOf(child: ChildProcess): Promise<void> {
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}`);
}
