import type { CdcError, ErrorCode } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { StatusSnapshot } from '../observe/status.ts';

/** A session with nothing to write shows by running this long that writing is not known to fail. */
const quietMs = 15_000;

/** Over as soon as a session streams: the slot was free, or connecting anew was the remedy. */
const overAtStart: readonly ErrorCode[] = ['SLOT_IN_USE', 'TUPLE_FORMAT', 'TOPIC_RECREATED', 'COPY_BROKEN'];

/**
 * What keeps a pipeline from writing. A session that streams proves nothing, as to read is not to write: trouble lasts
 * until one made progress.
 */
export class Trouble {
  readonly #metrics: Metrics;
  #problem: StatusSnapshot['problem'];
  #lasting = false;
  #session: { startedAtMs: number; checkpointed: Lsn; batches: number } | undefined;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  get problem(): StatusSnapshot['problem'] {
    return this.#problem;
  }

  /** A session ended with `failure`, or could not begin. */
  failed({ code, message, hint }: CdcError): void {
    const now = new Date();
    this.#problem = { code, message, hint, since: this.#problem?.since ?? now.toISOString() };
    this.#lasting ||= !overAtStart.includes(code);
    this.#session = undefined;
    this.#metrics.freshness.troubleBegan(now.getTime());
  }

  /** A session streams from what was saved. `nowMs`, here and below, is of `performance.now()`. */
  started(checkpointed: Lsn, nowMs: number): void {
    this.#session = { startedAtMs: nowMs, checkpointed, batches: this.#metrics.batchesTotal };
    if (!this.#lasting) this.#end();
  }

  /** Whether the session has written or saved something, or had nothing to write for a while; then trouble is over. */
  overcome(checkpointed: Lsn, nowMs: number): boolean {
    const { freshness, batchesTotal } = this.#metrics;
    const session = this.#session;
    if (!session) return false;
    const progressed = checkpointed > session.checkpointed || batchesTotal > session.batches;
    const quiet = !freshness.pending && nowMs - session.startedAtMs >= quietMs;
    if (!progressed && !quiet) return false;
    this.#end();
    return true;
  }

  #end(): void {
    this.#problem = undefined;
    this.#lasting = false;
    this.#metrics.freshness.troubleEnded();
  }
}
