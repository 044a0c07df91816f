import { setTimeout as sleep } from 'node:timers/promises';
import { CdcError, type ErrorCode } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { StatusSnapshot } from '../observe/status.ts';
import { type CdcOptions, CdcSession } from './cdc-session.ts';
import { PipelineService } from './pipeline-service.ts';

/** Errors that end a service at its start, but are ridden out once it has streamed: passwords rotate, brokers restart. */
const passing: readonly ErrorCode[] = [
  'BROKER_AUTH',
  'BROKER_TLS',
  'BROKER_PRIVILEGE',
  'SINK_AUTH',
  'SOURCE_AUTH',
];

/** Mode `cdc` as a service: Debezium's envelopes from Kafka. */
export class CdcService extends PipelineService<CdcSession> {
  readonly #options: CdcOptions;

  constructor(options: CdcOptions) {
    super(options);
    this.#options = options;
  }

  protected override openSession(isRunning: boolean): Promise<CdcSession> {
    return CdcSession.open(this.#options, isRunning);
  }

  protected override ridesOut({ action, code }: CdcError, streamed: boolean): boolean {
    // It says itself that the next session goes on right.
    if (code === 'TOPIC_RECREATED' || code === 'TABLE_RESUMED') return true;
    return streamed && (action === 'retry' || passing.includes(code));
  }

  /** A number of batches since the session began: only offsets mean something to others. */
  protected override formatPosition(position: Lsn): string {
    return String(position);
  }

  protected override parsePosition(text: string): Lsn {
    throw new SyntaxError(`${JSON.stringify(text)} is not a position: expected TOPIC/PARTITION/OFFSET`);
  }

  protected override sourceStatus(session: CdcSession | undefined): Partial<StatusSnapshot> {
    if (!session) return {};
    const { lags, offsets } = session;
    return {
      position: undefined,
      checkpoint: undefined,
      lagMessages: lags.reduce((sum, { lag }) => sum + lag, 0),
      partitions: offsets.map(({ topic, partition, offset }) => ({
        topic,
        partition,
        offset,
        lag: lags.find(other => other.topic === topic && other.partition === partition)?.lag,
      })),
    };
  }

  /** `position` is TOPIC/PARTITION/OFFSET: true once that message and all before it are queryable. */
  override async waitFor(position: string, timeoutMs: number): Promise<boolean> {
    const found = /^(.+)\/(\d+)\/(\d+)$/.exec(position);
    if (!found) return super.waitFor(position, timeoutMs);
    const [, topic, partition, offset] = found;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const at = this.session?.offsets.find(
        other => other.topic === topic && other.partition === Number(partition),
      );
      if (at && at.offset > Number(offset)) return true;
      if (performance.now() > deadline) return false;
      if (this.session) this.session.expect(this.session.written + 1n);
      await sleep(20);
    }
  }
}

/** Throws CONFIG_INVALID when a position is neither undefined nor `current`. */
export function parseCdcUntil(text: string | undefined): 'current' | undefined {
  if (text === undefined || text === 'current') return text;
  throw new CdcError(
    'CONFIG_INVALID',
    `--until ${text} is not "current", the only position that mode cdc knows`,
  );
}
