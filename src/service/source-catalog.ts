import type pg from 'pg';
import { describeTables, type SourceTable } from '../sources/wal/catalog.ts';
import { connect, type PostgresAddress, queryError } from '../sources/wal/connect.ts';
import { TypeCatalog } from '../sources/wal/types.ts';

/** The catalog of PostgreSQL, for a pipeline that gets its changes from elsewhere; connects when first asked. */
export class SourceCatalog {
  readonly #address: PostgresAddress;
  readonly #types = new TypeCatalog();
  #client: Promise<pg.Client> | undefined;

  constructor(address: PostgresAddress) {
    this.#address = address;
  }

  /** The table as it is now; `undefined` when there is none of that name. */
  async describe(schema: string, name: string): Promise<SourceTable | undefined> {
    return this.use(async client => {
      const published = [{ schema, name, columns: undefined, rowFilter: undefined }];
      const [table] = await describeTables(client, this.#types, published, true);
      return table;
    });
  }

  async use<T>(run: (client: pg.Client) => Promise<T>): Promise<T> {
    try {
      this.#client ??= connect(this.#address);
      return await run(await this.#client);
    } catch (error) {
      await this.close();
      throw queryError(error, 'reading the catalog of the source');
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.then(open => open.end()).catch(() => {});
  }
}
