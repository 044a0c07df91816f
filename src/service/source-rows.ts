import type pg from 'pg';
import { type Lsn, parseLsn } from '../core/lsn.ts';
import type { Relation } from '../core/relation.ts';
import type { RawKeyColumn } from '../sinks/clickhouse/unchanged-values.ts';
import { connect, type PostgresAddress, queryError, quoteIdent, quoteTable } from '../sources/wal/connect.ts';

/** Reads single rows of the source by key, over a connection of its own that is opened when first needed. */
export class SourceRows {
  readonly #address: PostgresAddress;
  #client: Promise<pg.Client> | undefined;

  constructor(address: PostgresAddress) {
    this.#address = address;
  }

  /** The columns as PostgreSQL's text; `undefined` when there is no such row. */
  async fetch(
    relation: Relation,
    key: RawKeyColumn[],
    columns: string[],
  ): Promise<(string | null)[] | undefined> {
    try {
      this.#client ??= connect(this.#address);
      const client = await this.#client;
      // `pg` sends a Buffer as a value in binary form, a string in text form: as the key came.
      const result = await client.query<(string | null)[]>({
        text:
          `SELECT ${columns.map(name => `${quoteIdent(name)}::text`).join(', ')} FROM ${quoteTable(relation)} ` +
          `WHERE ${key.map((column, i) => `${quoteIdent(column.name)} = $${i + 1}`).join(' AND ')}`,
        values: key.map(column => (column.binary ? column.value : column.value.toString())),
        rowMode: 'array',
      });
      return result.rows[0];
    } catch (error) {
      // Table or column are gone by now, and with them the row.
      if (/^42(P01|703)$/.test((error as { code?: string }).code ?? '')) return undefined;
      await this.close();
      throw queryError(error, `reading a row of ${relation.schema}.${relation.name}`);
    }
  }

  /** Where the source is now. */
  async position(): Promise<Lsn> {
    try {
      this.#client ??= connect(this.#address);
      const { rows } = await (await this.#client).query<{ lsn: string }>(
        'SELECT pg_current_wal_insert_lsn()::text AS lsn',
      );
      return parseLsn(rows[0]!.lsn);
    } catch (error) {
      await this.close();
      throw queryError(error, 'asking for the position of the source');
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.then(open => open.end()).catch(() => {});
  }
}
