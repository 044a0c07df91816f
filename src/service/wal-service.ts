import { CdcError, type ErrorCode } from '../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import type { StatusSnapshot } from '../observe/status.ts';
import { PipelineService } from './pipeline-service.ts';
import { SourceFigures } from './source-figures.ts';
import { type SessionOptions, WalSession } from './wal-session.ts';

/** A slot may be held for a moment by the walsender of a process that was killed. */
const slotPatienceMs = 15_000;

/** Errors that end a service at its start, but are ridden out once it has streamed: passwords rotate, servers restart. */
const passing: readonly ErrorCode[] = ['SOURCE_AUTH', 'SOURCE_TLS', 'SINK_AUTH', 'SOURCE_PRIVILEGE'];

/** Mode `wal` as a service. */
export class WalService extends PipelineService<WalSession> {
  readonly #options: SessionOptions;
  readonly #figures: SourceFigures;
  #textTuples = false;
  #startedAtMs = 0;

  constructor(options: Omit<SessionOptions, 'figures'>) {
    super(options);
    const { postgres } = options.config;
    this.#figures = new SourceFigures({
      address: postgres.address!,
      slot: postgres.slot,
      metrics: options.metrics,
    });
    this.#options = { ...options, figures: this.#figures };
  }

  override run(): Promise<void> {
    this.#startedAtMs = performance.now();
    return super.run();
  }

  protected override openSession(isRunning: boolean): Promise<WalSession> {
    return WalSession.open({ ...this.#options, textTuples: this.#textTuples }, isRunning);
  }

  protected override ridesOut(failure: CdcError, streamed: boolean): boolean {
    if (!streamed)
      return failure.code === 'SLOT_IN_USE' && performance.now() - this.#startedAtMs < slotPatienceMs;
    if (failure.code === 'TUPLE_FORMAT') this.#textTuples = true;
    return failure.action === 'retry' || passing.includes(failure.code);
  }

  protected override formatPosition(position: Lsn): string {
    return formatLsn(position);
  }

  protected override parsePosition(text: string): Lsn {
    return parseLsn(text);
  }

  protected override async lookAtSource(): Promise<void> {
    if (this.session) await this.#figures.readApart(this.session.written);
  }

  protected override sourceStatus(session: WalSession | undefined): Partial<StatusSnapshot> {
    const written = session?.written;
    const { position, slot } = this.#figures;
    // Rows may have come since the source was asked.
    const sourcePosition =
      position !== undefined && written !== undefined && written > position ? written : position;
    return {
      sourcePosition: sourcePosition === undefined ? undefined : formatLsn(sourcePosition),
      lagBytes:
        written === undefined || sourcePosition === undefined ? undefined : Number(sourcePosition - written),
      retainedWalBytes: slot?.retainedBytes,
      safeWalBytes: slot?.safeBytes,
    };
  }
}

/** Throws when a position is not `current`, undefined or an LSN. */
export function parseUntil(text: string | undefined): 'current' | Lsn | undefined {
  if (text === undefined || text === 'current') return text;
  try {
    return parseLsn(text);
  } catch {
    throw new CdcError(
      'CONFIG_INVALID',
      `--until ${text} is neither "current" nor a position such as 0/16B3748`,
    );
  }
}
