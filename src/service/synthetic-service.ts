import { CdcError } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import { PipelineService } from './pipeline-service.ts';
import { type SyntheticOptions, SyntheticSession } from './synthetic-session.ts';

/** Mode `synthetic` as a service: generated rows into ClickHouse. */
export class SyntheticService extends PipelineService<SyntheticSession> {
  readonly #options: SyntheticOptions;

  constructor(options: SyntheticOptions) {
    super(options);
    this.#options = options;
  }

  protected override openSession(): Promise<SyntheticSession> {
    return SyntheticSession.open(this.#options);
  }

  protected override ridesOut({ action, code }: CdcError, streamed: boolean): boolean {
    return streamed && (action === 'retry' || code === 'SINK_AUTH');
  }

  protected override formatPosition(position: Lsn): string {
    return String(position);
  }

  protected override parsePosition(text: string): Lsn {
    return parseSequenceNumber(text);
  }
}

/** Throws `SyntaxError` on anything but a whole number below 2^53. */
export function parseSequenceNumber(text: string): Lsn {
  if (!/^\d{1,16}$/.test(text) || Number(text) > Number.MAX_SAFE_INTEGER)
    throw new SyntaxError(`not a sequence number: ${JSON.stringify(text)} (expected a whole number)`);
  return BigInt(text);
}

/** Throws CONFIG_INVALID when a position is neither undefined nor a sequence number. */
export function parseSequenceUntil(text: string | undefined): Lsn | undefined {
  if (text === undefined) return undefined;
  try {
    return parseSequenceNumber(text);
  } catch {
    throw new CdcError(
      'CONFIG_INVALID',
      text === 'current'
        ? '--until current has no meaning in mode synthetic, whose rows never end'
        : `--until ${text} is not a sequence number`,
      { hint: 'Give the number of the last change to generate, as in --until 100000.' },
    );
  }
}
