import type pg from 'pg';
import { waitFor } from '../wait-for.ts';
import type { CdcPipeline } from './cdc-pipeline.ts';

/** Before the connector is made. */
export const createMarksSql = 'CREATE TABLE marks (id int PRIMARY KEY)';

/** Rows of a table of their own, which show that connector and service are at work. */
export class Marks {
  readonly #pipeline: Pick<CdcPipeline, 'clickhouse' | 'config'>;
  #last = 0;

  constructor(pipeline: Pick<CdcPipeline, 'clickhouse' | 'config'>) {
    this.#pipeline = pipeline;
  }

  /**
   * Resolves when a row that is inserted now is queryable. By then the connector has sent whatever was committed before;
   * from other topics and partitions it may still be on its way to ClickHouse.
   */
  async pass(client: pg.Client, what: string): Promise<void> {
    const id = ++this.#last;
    await client.query('INSERT INTO marks VALUES ($1)', [id]);
    const { clickhouse, config } = this.#pipeline;
    const sql = `SELECT id FROM ${config.clickhouse.database}.marks WHERE id = ${id}`;
    const hasCome = async () => {
      // It is away, or has no such table yet.
      const rows = await clickhouse.query(sql).catch(() => []);
      return rows.length > 0;
    };
    await waitFor(hasCome, { what: `a change to come through ${what}`, timeoutMs: 180_000 });
  }
}
