import type { Batch } from './batch.ts';

/**
 * Where rows go. Calls of `write` do not overlap and come in stream order; what was written before may come again
 * after a restart and must not change the outcome.
 */
export interface Sink {
  /**
   * Resolves when every row of the batch is durable and queryable. Outages are ridden out for a while, with the same
   * bytes; then it rejects with a `CdcError` whose action is `retry`, and the outcome of the batch is unknown.
   * What concerns one table only stops that table, which is saved before this resolves.
   */
  write(batch: Batch): Promise<void>;
}
