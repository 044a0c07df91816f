import type pg from 'pg';
import { type Lsn, parseLsn } from '../core/lsn.ts';
import type { Metrics } from '../observe/metrics.ts';
import { connect, type PostgresAddress } from '../sources/wal/connect.ts';
import { inspectSlot, type SlotState } from '../sources/wal/slot.ts';

export interface SourceFiguresOptions {
  address: PostgresAddress;
  slot: string;
  metrics: Metrics;
}

const statementTimeoutMs = 5000;

/** What PostgreSQL says of its log and of the slot; as it was last heard while PostgreSQL does not answer. */
export class SourceFigures {
  readonly #options: SourceFiguresOptions;
  #position: Lsn | undefined;
  #slot: SlotState | undefined;

  constructor(options: SourceFiguresOptions) {
    this.#options = options;
  }

  /** The end of the log. */
  get position(): Lsn | undefined {
    return this.#position;
  }

  get slot(): SlotState | undefined {
    return this.#slot;
  }

  /** Asks on `client`; `written` is what is queryable. */
  async read(client: pg.Client, written: Lsn): Promise<void> {
    const { metrics, slot } = this.#options;
    const { rows } = await client.query<{ lsn: string; version: number }>(
      `SELECT pg_current_wal_insert_lsn()::text AS lsn, current_setting('server_version_num')::int AS version`,
    );
    const { lsn, version } = rows[0]!;
    const position = parseLsn(lsn);
    this.#position = position;
    metrics.setLag(Number(position > written ? position - written : 0n));
    this.#slot = await inspectSlot(client, slot, version);
    if (this.#slot) metrics.setSlot(this.#slot);
  }

  /** Asks on a connection that lasts no longer than this: an ordinary one, which holds up no shutdown. */
  async readApart(written: Lsn): Promise<void> {
    const client = await connect(this.#options.address, { statementTimeoutMs });
    try {
      await this.read(client, written);
    } finally {
      await client.end().catch(() => {});
    }
  }
}
