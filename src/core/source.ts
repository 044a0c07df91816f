import type { Batch } from './batch.ts';
import type { Lsn } from './lsn.ts';

/**
 * Where changes come from. The pipeline pulls: while it writes one batch the source collects the next, up to a byte
 * cap, and then stops reading.
 */
export interface Source {
  /**
   * The next batch, once it is due: rows that waited long enough, or a position that moved without rows.
   * One call at a time. Rejects when the connection breaks or the server reports an error.
   */
  read(): Promise<Batch>;
  /** Makes a pending `read` return soon, with an empty batch if need be. */
  wake(): void;
  /** Asks for a batch with a position at or behind `position` as soon as the source has passed it. */
  expect(position: Lsn): void;
  /** Tells the source that everything up to `position` is in a saved checkpoint. */
  ack(position: Lsn): void;
  /** How long rows may wait for company, as the pipeline sees fit. */
  delayMs: number;
  /** The same while the source has more to send already. */
  backlogDelayMs: number;
  /** Commit time (ms since 1970) of the oldest change that was received but not yet read. */
  readonly oldestPendingMs: number | undefined;
  close(): Promise<void>;
}
