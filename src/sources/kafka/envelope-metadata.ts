import { postgresEpochUs } from '../../core/postgres-epoch.ts';
import { type EnvelopeFields, MalformedEnvelope } from './envelope.ts';

/** What an envelope says of its change, as text or null; `undefined` where it says nothing. */
export interface Metadata {
  lsn: string | null | undefined;
  /** JSON: the end of the commit before, or null, and the LSN, as text. */
  sequence: string | null | undefined;
  /** Whole numbers. */
  tsUs: string | null | undefined;
  tsMs: string | null | undefined;
  schema: string | null | undefined;
  table: string | null | undefined;
}

/** Puts what an envelope says into `fields`. @throws MalformedEnvelope; `fields` are then as they were */
export function setMetadata(metadata: Metadata, fields: EnvelopeFields): void {
  if (metadata.lsn == null) throw new MalformedEnvelope('the LSN is missing');
  const lsn = parseDecimalLsn(metadata.lsn);
  if (lsn === undefined) throw new MalformedEnvelope(`the LSN is ${metadata.lsn}`);
  const lastCommit = metadata.sequence == null ? 0n : parseLastCommit(metadata.sequence);
  if (lastCommit === undefined)
    throw new MalformedEnvelope(`the sequence is ${metadata.sequence}, not two LSNs`);
  const committedAtUs = parseTime(metadata);
  fields.lsnHi = Number(lsn >> 32n);
  fields.lsnLo = Number(lsn & 0xffffffffn);
  fields.lastCommitHi = Number(lastCommit >> 32n);
  fields.lastCommitLo = Number(lastCommit & 0xffffffffn);
  fields.committedAtUs = committedAtUs;
  fields.schema = metadata.schema ?? '';
  fields.table = metadata.table ?? '';
}

/** An LSN as Debezium writes it, a decimal number below 2^64. */
function parseDecimalLsn(text: string): bigint | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const lsn = BigInt(text);
  return lsn < 1n << 64n ? lsn : undefined;
}

function parseLastCommit(sequence: string): bigint | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(sequence);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed) || parsed.length !== 2) return undefined;
  const [lastCommit, lsn] = parsed as unknown[];
  if (typeof lsn !== 'string' || parseDecimalLsn(lsn) === undefined) return undefined;
  if (lastCommit === null) return 0n;
  return typeof lastCommit === 'string' ? parseDecimalLsn(lastCommit) : undefined;
}

function parseTime({ tsUs, tsMs }: Metadata): number {
  const text = tsUs ?? tsMs;
  if (text == null) return Number.NaN;
  if (!/^-?\d{1,16}$/.test(text)) throw new MalformedEnvelope(`the time of the commit is ${text}`);
  return Number(text) * (tsUs == null ? 1000 : 1) - postgresEpochUs;
}
