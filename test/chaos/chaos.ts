import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Config, loadConfig } from '../../src/config.ts';
import { Random } from '../../src/demo/random.ts';
import { splitAddress } from '../../src/service/clickhouse-address.ts';
import { markForCopy } from '../../src/service/mark-for-copy.ts';
import { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { ControlTables } from '../../src/sinks/clickhouse/control-tables.ts';
import { quoteIdentifier, quoteString } from '../../src/sinks/clickhouse/names.ts';
import { waitFor } from '../support/wait-for.ts';
import { AckWatch } from './ack-watch.ts';
import { compareAll, optimizeAll } from './compare.ts';
import { Load, type LoadStats } from './load.ts';
import { type Kill, killName, type PlannedKill, planKills, type Recopy } from './plan.ts';
import { connect, connectWhenUp, type Servers, startServers } from './servers.ts';
import { type ServiceExit, SupervisedService } from './supervised-service.ts';
import { bulkTable, createTables, keyedTables, keylessTable, mendDatedSql, tableOptions } from './tables.ts';
import { Upkeep } from './upkeep.ts';

export interface ChaosOptions {
  seed: number;
  kills: number;
  /** Of the servers and the log of the service. */
  dir: string;
  /** Of another PostgreSQL than the bundled one. */
  postgresBinDir?: string;
  connections?: number;
  /** Everything is compared after so many kills, and at the end. Default 50. */
  killsPerRound?: number;
  /** Variables for the service. */
  env?: Readonly<Record<string, string>>;
  say?(line: string): void;
}

export interface ChaosReport {
  seed: number;
  /** By name, those that hit. */
  kills: Map<string, number>;
  /** What must never be: a difference, an ack ahead of its checkpoint, a stopped table, an end that was not asked for. */
  violations: string[];
  load: LoadStats;
  upkeep: Map<string, number>;
  ackChecks: number;
  serviceStarts: number;
  /** Rows that were compared, over all rounds. */
  rowsCompared: number;
  seconds: number;
}

const publication = 'wal_cdc_default';
/** Pages of a chunk: the tables of the load have some dozens. */
const chunkPages = 16;
const crashPointPatienceMs = 15_000;
/** More than a large transaction or a rewritten table; what a service that is down for some seconds leaves. */
const backlogLimitBytes = 64 << 20;
/** What a start may end with while a server is away. */
const outageCodes = ['SOURCE_UNREACHABLE', 'SINK_UNREACHABLE', 'SLOT_IN_USE'];

/** Runs the service under load and kills it and its servers. Never rejects for what the service does wrong: see `violations`. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  mkdirSync(options.dir, { recursive: true });
  const chaos = await Chaos.start(options);
  try {
    return await chaos.run();
  } finally {
    await chaos.end();
  }
}

class Chaos {
  readonly #options: ChaosOptions;
  readonly #servers: Servers;
  readonly #service: SupervisedService;
  readonly #watch: AckWatch;
  readonly #load: Load;
  readonly #upkeep: Upkeep;
  readonly #config: Config;
  readonly #random: Random;
  readonly #kills = new Map<string, number>();
  readonly #violations: string[] = [];
  readonly #startedAtMs = performance.now();
  #rowsCompared = 0;
  /** For the start that comes next. */
  #nextEnv: Record<string, string> = {};
  #beforeNextStart: (() => Promise<void>) | undefined;
  #expectedSignal: NodeJS.Signals | undefined;
  #isArmed = false;
  #ending = false;
  #supervision: Promise<void> | undefined;

  private constructor(options: ChaosOptions, servers: Servers) {
    const { seed, dir, connections = 3, env } = options;
    const { postgres, clickhouse } = servers;
    this.#options = options;
    this.#servers = servers;
    this.#random = new Random(seed, 4000);
    this.#config = loadConfig({
      flags: { mode: 'wal', 'postgres.url': postgres.url, 'clickhouse.url': clickhouse.url, tableOptions },
    });
    this.#service = new SupervisedService({
      postgresUrl: postgres.url,
      clickhouseUrl: servers.lineUrl,
      dir,
      env: { WAL_CDC_TEST_CHUNK_PAGES: String(chunkPages), WAL_CDC_TABLEOPTIONS: tableOptions, ...env },
    });
    this.#watch = new AckWatch({
      postgresUrl: postgres.url,
      clickhouse: splitAddress(clickhouse.url),
      pipeline: this.#config.pipeline,
      slot: this.#config.postgres.slot,
    });
    const isBehind = () => this.#watch.backlogBytes > backlogLimitBytes;
    this.#load = new Load({ url: postgres.url, seed, connections, isBehind });
    this.#upkeep = new Upkeep({
      url: postgres.url,
      seed,
      load: this.#load,
      isBehind,
      publication,
      additionIntervalMs: 20_000,
    });
  }

  static async start(options: ChaosOptions): Promise<Chaos> {
    const { dir, postgresBinDir } = options;
    const servers = await startServers(dir, { postgresBinDir, settings: { checkpoint_timeout: '30s' } });
    try {
      const client = await connect(servers.postgres.url);
      await createTables(client);
      await client.end();
      return new Chaos(options, servers);
    } catch (error) {
      await servers[Symbol.asyncDispose]();
      throw error;
    }
  }

  async run(): Promise<ChaosReport> {
    const { seed, kills, killsPerRound = 50 } = this.#options;
    this.#say(`seed ${seed}, ${kills} kills`);
    await this.#startUnderLaggingStandby();
    this.#upkeep.start();
    this.#watch.start();
    const plan = planKills(seed, kills);
    // What does not hit, on a busy machine, is tried once more at the end.
    for (let i = 0, misses = 0; i < plan.length; i++) {
      const planned = plan[i]!;
      if (!(await this.#carryOut(i + 1, planned)) && misses++ < kills / 4) plan.push(planned);
      if (this.#violations.length > 0) break;
      if ((i + 1) % killsPerRound === 0 && i + 1 < plan.length) await this.#compare('under load');
    }
    await this.#upkeep.stop();
    this.#say('upkeep stopped');
    await this.#load.stop();
    this.#say('load stopped');
    if (this.#violations.length === 0) await this.#compare('at rest');
    // What was in dead letters is written now, with values that some of the updates leave out.
    const client = await connect(this.#servers.postgres.url);
    await client.query(mendDatedSql);
    await client.end();
    if (this.#violations.length === 0) {
      await optimizeAll(this.#config, this.#servers.clickhouse.url);
      await this.#compare('after OPTIMIZE … FINAL');
    }
    await this.#stopService();
    await this.#watch.check();
    return {
      seed,
      kills: this.#kills,
      violations: [...this.#violations, ...this.#watch.violations],
      load: this.#load.stats,
      upkeep: this.#upkeep.done,
      ackChecks: this.#watch.checks,
      serviceStarts: this.#service.starts,
      rowsCompared: this.#rowsCompared,
      seconds: (performance.now() - this.#startedAtMs) / 1000,
    };
  }

  async end(): Promise<void> {
    this.#ending = true;
    await this.#upkeep.stop();
    await this.#watch.stop();
    if (this.#service.isRunning) await this.#service.end('SIGKILL');
    await this.#supervision;
    await this.#servers[Symbol.asyncDispose]();
    await this.#load.stop();
  }

  /**
   * Slot and base of the copies come while transactions have committed but wait for a standby: in the WAL, invisible to
   * every snapshot.
   */
  async #startUnderLaggingStandby(): Promise<void> {
    const client = await connect(this.#servers.postgres.url);
    await client.query("SET synchronous_commit = 'local'");
    await client.query(`CREATE PUBLICATION ${publication} FOR TABLE ${keyedTables.map(t => t.name)}, ${keylessTable}, ${bulkTable}
      WITH (publish_via_partition_root = true)`);
    const waiting = async () => {
      const { rows } = await client.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
      );
      return rows[0].n as number;
    };
    this.#load.start();
    await delay(500);
    await client.query("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
    await client.query('SELECT pg_reload_conf()');
    // One of them may hold locks that the others wait for.
    await waitFor(async () => (await waiting()) >= 1, { what: 'transactions that wait for the standby' });
    this.#supervision = this.#supervise();
    await delay(1000 + this.#random.below(1500));
    this.#say(`${await waiting()} transactions waited for an absent standby while the service started`);
    await client.query('ALTER SYSTEM RESET synchronous_standby_names');
    await client.query('SELECT pg_reload_conf()');
    await client.end();
    await this.#untilStreaming(60_000);
  }

  /** Starts the service again whenever it ends. */
  async #supervise(): Promise<void> {
    while (!this.#ending) {
      const env = this.#nextEnv;
      this.#nextEnv = {};
      this.#isArmed = env.WAL_CDC_CRASH_AT !== undefined;
      this.#service.start(env);
      const exit = await this.#service.exited;
      this.#judge(exit);
      await Promise.race([this.#watch.check(), delay(1000)]);
      await this.#beforeNextStart?.();
      this.#beforeNextStart = undefined;
      await delay(exit.errorCode ? 300 : this.#random.below(200));
    }
  }

  #judge(exit: ServiceExit): void {
    const { code, signal, errorCode, lastLines } = exit;
    const expected = this.#expectedSignal;
    this.#expectedSignal = undefined;
    if (signal === 'SIGKILL' && (expected === 'SIGKILL' || this.#isArmed)) return;
    // A process that has only just begun knows no signals yet.
    if (expected === 'SIGTERM' && (code === 0 || signal === 'SIGTERM')) return;
    if (errorCode !== undefined && outageCodes.includes(errorCode)) return;
    this.#violate(
      `the service ended by itself (${errorCode ?? signal ?? `exit code ${code}`}):\n${lastLines}`,
    );
  }

  /** Returns whether it hit. */
  async #carryOut(number: number, { kill, afterMs, awayMs }: PlannedKill): Promise<boolean> {
    await delay(afterMs);
    const name = killName(kill);
    const startedAtMs = performance.now();
    const hit = await this.#kill(kill, awayMs);
    if (hit) this.#kills.set(name, (this.#kills.get(name) ?? 0) + 1);
    const details = 'recopy' in kill && kill.recopy ? ` (${kill.recopy})` : '';
    this.#say(
      `${number}: ${name}${details}${hit ? '' : ', not hit'}, ${(performance.now() - startedAtMs).toFixed(0)} ms`,
    );
    await this.#checkPhases();
    return hit;
  }

  /** Returns whether it hit: a crash point may not be passed in time. */
  async #kill(kill: Kill, awayMs: number): Promise<boolean> {
    switch (kill.kind) {
      case 'service at a crash point':
        // A start may meet an outage, a copy wait for transactions that are open.
        for (let tries = 0; tries < 4; tries++) {
          this.#nextEnv = { WAL_CDC_CRASH_AT: `${kill.point}:${tries === 0 ? kill.passage : 1}` };
          await this.#restartService('SIGTERM', kill.recopy);
          const died = await Promise.race([this.#service.exited, delay(crashPointPatienceMs)]);
          if (died?.signal === 'SIGKILL') return true;
          if (!died) await this.#endService('SIGKILL');
        }
        return false;
      case 'service at a random time':
        if (kill.recopy) {
          await this.#restartService('SIGKILL', kill.recopy);
          await delay(500 + awayMs);
        }
        await this.#endService('SIGKILL');
        return true;
      case 'service stopped by SIGTERM':
        await this.#endService('SIGTERM');
        return true;
      case 'clickhouse':
        await this.#servers.clickhouse.kill();
        await delay(awayMs);
        await this.#servers.clickhouse.startAgain();
        return true;
      case 'answer of clickhouse lost': {
        const { line } = this.#servers;
        const before = line.lost;
        line.loseAnswer(/INSERT INTO `|EXCHANGE|DELETE FROM/);
        for (let waited = 0; waited < 5000 && line.lost === before; waited += 20) await delay(20);
        line.loseAnswer(undefined);
        return line.lost > before;
      }
      case 'walsender terminated':
      case 'backend killed, all backends restart':
        return this.#killWalsender(kill.kind === 'walsender terminated');
      case 'postgres stopped immediately':
      case 'postgres stopped fast':
      case 'postmaster killed':
        await this.#servers.postgres.end(
          kill.kind === 'postgres stopped fast'
            ? 'fast'
            : kill.kind === 'postmaster killed'
              ? 'kill'
              : 'immediate',
        );
        await delay(awayMs);
        await this.#servers.postgres.startAgain();
        return true;
    }
  }

  async #killWalsender(inOrder: boolean): Promise<boolean> {
    const client = await connectWhenUp(this.#servers.postgres.url);
    try {
      const pid = await waitFor(
        async () => {
          const { rows } = await client.query(
            'SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = $1',
            [this.#config.postgres.slot],
          );
          return rows[0]?.pid as number | undefined;
        },
        { what: 'the service to stream' },
      );
      if (inOrder) await client.query('SELECT pg_terminate_backend($1)', [pid]);
      else {
        process.kill(pid, 'SIGKILL');
        const isGone = () =>
          client.query('SELECT').then(
            () => false,
            () => true,
          );
        await waitFor(isGone, { what: 'PostgreSQL to end all backends' });
        await (await connectWhenUp(this.#servers.postgres.url)).end();
      }
      return true;
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** Ends the service as it is now; the supervisor starts it again. */
  async #endService(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await waitFor(() => this.#service.isRunning, { what: 'the supervisor to start the service' });
    this.#expectedSignal = signal;
    const started = this.#service.starts;
    await this.#service.end(signal);
    await waitFor(() => this.#service.starts > started, { what: 'the supervisor to start the service' });
  }

  async #restartService(signal: 'SIGKILL' | 'SIGTERM', recopy: Recopy | undefined): Promise<void> {
    if (recopy) this.#beforeNextStart = () => this.#recopySome(recopy);
    await this.#endService(signal);
  }

  /** While the service is down. */
  async #recopySome(how: Recopy): Promise<void> {
    const random = this.#random;
    const names = [random.pick(keyedTables).name, random.pick([bulkTable, keylessTable, 'accounts'])];
    const clickhouse = new ClickHouse(splitAddress(this.#servers.clickhouse.url));
    try {
      const control = new ControlTables(clickhouse, this.#config.pipeline);
      if (!(await control.exists()) || !(await control.loadCheckpoint())) return;
      if (how === 'resync')
        await markForCopy(
          control,
          names.map(name => `public.${name}`),
        );
      for (const name of how === 'resync' ? [] : names) {
        if (how === 'drop')
          await clickhouse.command(
            `DROP TABLE IF EXISTS ${this.#config.clickhouse.database}.${quoteIdentifier(name)} SYNC`,
          );
        else await clickhouse.command(`DELETE FROM wal_cdc.tables WHERE name = ${quoteString(name)}`);
      }
    } finally {
      await clickhouse.close();
    }
  }

  async #untilStreaming(timeoutMs: number): Promise<void> {
    const client = await connectWhenUp(this.#servers.postgres.url);
    const isStreaming = async () => {
      const { rowCount } = await client.query(
        'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active AND confirmed_flush_lsn IS NOT NULL',
        [this.#config.postgres.slot],
      );
      return rowCount === 1 || this.#violations.length > 0;
    };
    await waitFor(isStreaming, { what: 'the service to stream', timeoutMs }).finally(() => client.end());
  }

  async #checkPhases(): Promise<void> {
    const clickhouse = new ClickHouse(splitAddress(this.#servers.clickhouse.url));
    try {
      const control = new ControlTables(clickhouse, this.#config.pipeline);
      if (!(await control.exists())) return;
      for (const { name, state } of await control.loadTables()) {
        if (state.phase === 'stopped')
          this.#violate(`table ${name} is stopped: ${state.stopped?.code}, ${state.stopped?.message}`);
      }
    } finally {
      await clickhouse.close();
    }
  }

  async #compare(when: string): Promise<void> {
    await this.#untilStreaming(60_000);
    const startedAtMs = performance.now();
    try {
      const { problems, tables, rows, moving } = await compareAll(
        this.#config,
        this.#servers.clickhouse.url,
        { atRest: when !== 'under load' },
      );
      for (const problem of problems) this.#violate(`${when}: ${problem}`);
      this.#rowsCompared += rows;
      this.#say(
        `compared ${tables} tables ${when}: ${rows} rows, ${moving} moving, ${seconds(startedAtMs)} s`,
      );
    } catch (error) {
      this.#violate(`${when}: the comparison failed: ${(error as Error).message}`);
    }
  }

  async #stopService(): Promise<void> {
    this.#ending = true;
    if (!this.#service.isRunning) return;
    this.#expectedSignal = 'SIGTERM';
    await this.#service.end('SIGTERM');
    await this.#supervision;
  }

  #violate(text: string): void {
    this.#violations.push(text);
    this.#say(`VIOLATION ${text}`);
  }

  #say(line: string): void {
    this.#options.say?.(`[${seconds(this.#startedAtMs).padStart(6)} s] ${line}`);
  }
}

const seconds = (sinceMs: number) => ((performance.now() - sinceMs) / 1000).toFixed(1);

/** The report as the runner prints it. */
export function formatReport(report: ChaosReport): string {
  const kills = [...report.kills].sort(([a], [b]) => a.localeCompare(b));
  const total = kills.reduce((sum, [, count]) => sum + count, 0);
  const { load } = report;
  return [
    'kills that hit:',
    ...kills.map(([name, count]) => `  ${String(count).padStart(4)}  ${name}`),
    `  ${String(total).padStart(4)}  in all`,
    `load: ${load.committed} transactions committed, ${load.rolledBack} rolled back, ${load.failed} failed`,
    `beside it: ${[...report.upkeep].map(([kind, count]) => `${count} × ${kind}`).join(', ')}`,
    `the service was started ${report.serviceStarts} times; acks were checked ${report.ackChecks} times; ${report.rowsCompared} rows were compared`,
    `seed ${report.seed}, ${report.seconds.toFixed(0)} s: ${report.violations.length === 0 ? 'equal' : `${report.violations.length} VIOLATIONS`}`,
    ...report.violations.map(text => `- ${text}`),
  ].join('\n');
}
