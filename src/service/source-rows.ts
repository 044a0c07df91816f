import type pg from 'pg';
import { type Lsn, parseLsn } from '../core/lsn.ts';
import type { Relation } from '../core/relation.ts';
import type { RawKeyColumn } from '../sinks/clickhouse/unchanged-values.ts';
import { connect, type PostgresAddress, queryError, quoteIdent, quoteTable } from '../sources/wal/connect.ts';

/** Reads single rows of the source by key, one after the other, over a connection of its own that is opened when first needed. */
export class SourceRows {
  readonly #address: PostgresAddress;
  #client: Promise<pg.Client> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(address: PostgresAddress) {
    this.#address = address;
  }

  /** The columns as PostgreSQL's text; `undefined` when there is no such row. */
  fetch(relation: Relation, key: RawKeyColumn[], columns: string[]): Promise<(string | null)[] | undefined> {
    // `pg` sends a Buffer as a value in binary form, a string in text form: as the key came.
    const query = {
      text:
        `SELECT ${columns.map(name => `${quoteIdent(name)}::text`).join(', ')} FROM ${quoteTable(relation)} ` +
        `WHERE ${key.map((column, i) => `${quoteIdent(column.name)} = $${i + 1}`).join(' AND ')}`,
      values: key.map(column => (column.binary ? column.value : column.value.toString())),
      rowMode: 'array' as const,
    };
    return this.#next(`reading a row of ${relation.schema}.${relation.name}`, async client => {
      const { rows } = await client.query<(string | null)[]>(query).catch(error => {
        // Table or column are gone by now, and with them the row.
        if (/^42(P01|703)$/.test((error as { code?: string }).code ?? '')) return { rows: [] };
        throw error;
      });
      return rows[0];
    });
  }

  /**
   * Waits until everything that any session has read so far is on the source's disk. A transaction that did not wait for
   * its commit (`synchronous_commit = off`) is visible before, and a crash may undo it. Returns a position behind it all.
   */
  settle(): Promise<Lsn> {
    return this.#next('waiting for the disk of the source', async client => {
      // A commit with WAL of its own flushes what stands before it. The stream has messages only where they are asked for.
      const { rows } = await client.query<{ lsn: string }>(
        "SELECT pg_logical_emit_message(true, 'wal-cdc', '')::text AS lsn",
      );
      return parseLsn(rows[0]!.lsn);
    });
  }

  #next<T>(what: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      try {
        this.#client ??= this.#open();
        return await run(await this.#client);
      } catch (error) {
        await this.close();
        throw queryError(error, what);
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #open(): Promise<pg.Client> {
    const client = await connect(this.#address);
    // A commit waits for the disk of this server, whatever the role's default, and not for a standby that may be away.
    await client.query('SET synchronous_commit = local');
    return client;
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.then(open => open.end()).catch(() => {});
  }
}
