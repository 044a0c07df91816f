import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Config } from '../config.ts';
import { Op } from '../core/batch.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import { asCdcError, CdcError, type ErrorCode } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Log } from '../observe/log.ts';
import { Rate } from '../observe/rate.ts';
import { RowParameters } from '../sources/synthetic/array-parameters.ts';
import { userEventsColumns } from '../sources/synthetic/table.ts';
import { UserEvents } from '../sources/synthetic/user-events.ts';
import { connect, queryError } from '../sources/wal/connect.ts';
import { Backoff } from './backoff.ts';
import { prepareLoad } from './synthetic-load-table.ts';

export interface SyntheticLoadOptions {
  config: Config;
  log: Log;
  /** The last sequence number of all. */
  until: Lsn | undefined;
}

const rowsPerTransaction = 1000;
/** Rows that come within this time go into one transaction. */
const transactionMs = 20;
/** Time lost to a slow or absent server is not made up for, beyond this. */
const mostLagMs = 1000;
/** Of a start, beside what may pass anyway. */
const passing: readonly ErrorCode[] = ['SOURCE_AUTH', 'SOURCE_TLS', 'SOURCE_PRIVILEGE', 'TABLE_TAKEN'];

const names = userEventsColumns.map(({ name }) => name);
const arrays = userEventsColumns.map(({ sqlType }, i) => `$${i + 1}::${sqlType.replace(/\(.*/, '')}[]`);
const statements = {
  insert: `INSERT INTO public.user_events (${names.join(', ')}) SELECT * FROM unnest(${arrays.join(', ')})`,
  update:
    `UPDATE public.user_events AS t SET ${names
      .slice(1)
      .map(name => `${name} = u.${name}`)
      .join(', ')} ` + `FROM unnest(${arrays.join(', ')}) AS u (${names.join(', ')}) WHERE t.id = u.id`,
  delete: 'DELETE FROM public.user_events WHERE id = ANY ($1::bigint[])',
};

/** Writes generated rows into PostgreSQL, as an application would, until stopped or done. */
export class SyntheticLoad {
  /** The last sequence number that is committed. */
  position = 0;
  rows = 0;
  phase: 'starting' | 'writing' | 'retrying' | 'stopping' = 'starting';
  readonly rate = new Rate();
  readonly #options: SyntheticLoadOptions;
  readonly #events: UserEvents;
  readonly #until: number;
  readonly #stop = new AbortController();
  readonly #data = new ByteWriter();
  readonly #inserted = new RowParameters();
  readonly #updated = new RowParameters();
  readonly #deleted = new RowParameters();
  readonly #updatedIds = new Set<number>();

  constructor(options: SyntheticLoadOptions) {
    this.#options = options;
    this.#events = new UserEvents(options.config.synthetic);
    this.#until = options.until === undefined ? Number.MAX_SAFE_INTEGER : Number(options.until);
  }

  /** Resolves when stopped or when `until` is committed; outages of a server that was there are ridden out. */
  async run(): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff(this.#stop.signal);
    let started = false;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#runSession(() => {
          started = true;
          this.phase = 'writing';
          backoff.reset();
        });
        return;
      } catch (error) {
        const failure = asCdcError(error);
        if (!started || !(failure.action === 'retry' || passing.includes(failure.code))) throw failure;
        if (this.#stop.signal.aborted) return;
        this.phase = 'retrying';
        log.warn({ code: failure.code, retryInMs: backoff.delayMs }, `${failure.message}. ${failure.hint}`);
        await backoff.wait();
      }
    }
  }

  /** Commits what is in flight; `run` then resolves. */
  stop(): void {
    this.phase = 'stopping';
    this.#stop.abort();
  }

  async #runSession(started: () => void): Promise<void> {
    const { config, log } = this.#options;
    const client = await connect(config.postgres.address!);
    try {
      this.position = await prepareLoad(client, config, this.#events, log);
      started();
      log.info({ table: 'public.user_events', position: this.position }, 'writing into PostgreSQL');
      await this.#write(client);
    } catch (error) {
      throw loadError(error);
    } finally {
      await client.end().catch(() => {});
    }
  }

  async #write(client: pg.Client): Promise<void> {
    const { signal } = this.#stop;
    const { rate } = this.#options.config.synthetic;
    let startMs = performance.now();
    let before = this.position;
    while (!signal.aborted && this.position < this.#until) {
      const nowMs = performance.now();
      const due = rate === 0 ? this.#until : before + Math.floor(((nowMs - startMs) * rate) / 1000);
      const to = Math.min(due, this.#until, this.position + rowsPerTransaction);
      if (to > this.position) await this.#commit(client, to);
      if (rate === 0 || this.position >= this.#until) continue;
      if (due - this.position > (rate * mostLagMs) / 1000) {
        startMs = performance.now();
        before = this.position;
      } else if (due <= this.position) {
        const nextMs = startMs + ((this.position + 1 - before) * 1000) / rate;
        const waitMs = Math.max(1, nextMs - nowMs, transactionMs - (performance.now() - nowMs));
        await sleep(waitMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  /**
   * Changes up to `to` as one transaction. A row is inserted, then updated, then deleted, so that kinds may be written one
   * after the other; only of two updates of a row the later one must come later.
   */
  async #commit(client: pg.Client, to: number): Promise<void> {
    const data = this.#data;
    const from = this.position + 1;
    data.pos = 0;
    for (const parameters of [this.#inserted, this.#updated, this.#deleted]) parameters.clear();
    this.#updatedIds.clear();
    await client.query('BEGIN');
    const updates: number[] = [];
    for (let n = from; n <= to; n++) {
      const offset = data.pos;
      const op = this.#events.write(n, data);
      if (op === Op.insert) this.#inserted.add(data.buf, offset);
      else if (op === Op.delete) this.#deleted.add(data.buf, offset);
      else updates.push(n, offset);
    }
    if (this.#inserted.rows > 0) await this.#execute(client, 'insert', this.#inserted.values());
    for (let i = 0; i < updates.length; i += 2) {
      const id = this.#events.idOf(updates[i]!);
      if (this.#updatedIds.has(id)) await this.#executeUpdates(client);
      this.#updatedIds.add(id);
      this.#updated.add(data.buf, updates[i + 1]!);
    }
    await this.#executeUpdates(client);
    if (this.#deleted.rows > 0) await this.#execute(client, 'delete', this.#deleted.values().slice(0, 1));
    await client.query('COMMIT');
    this.position = to;
    this.rows += to - from + 1;
    this.rate.add(to - from + 1, Date.now());
  }

  async #executeUpdates(client: pg.Client): Promise<void> {
    if (this.#updated.rows > 0) await this.#execute(client, 'update', this.#updated.values());
    this.#updated.clear();
    this.#updatedIds.clear();
  }

  /** `pg` sends a Buffer as a value in binary form. */
  async #execute(client: pg.Client, name: keyof typeof statements, values: Buffer[]): Promise<void> {
    await client.query({ name: `user_events_${name}`, text: statements[name], values });
  }
}

function loadError(error: unknown): CdcError {
  if ((error as { code?: string }).code === '23505')
    return new CdcError(
      'TABLE_TAKEN',
      'something else writes ids into public.user_events that were to come',
      {
        cause: error,
        hint: 'Give generated rows a table of their own: another database, or the table without the other writer.',
      },
    );
  return queryError(error, 'writing into public.user_events');
}
