import { createHash } from 'node:crypto';
import { Op, type PoisonMessage, RowGroup, type Transactions } from '../../core/batch.ts';
import { type CdcError, type ErrorCode, errorKinds } from '../../core/errors.ts';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import type { Relation } from '../../core/relation.ts';
import { Kind, Marker } from '../../core/tuple.ts';
import { columnAt, skipTuple } from '../../core/tuple-fields.ts';
import { fieldText } from './field-text.ts';
import { microsOfPostgres, type RowEncoder } from './row-encoder.ts';

/**
 * `open` until it was written (`replayed`), was found to be below a newer row, truncate or copy (`superseded`), or was given
 * up (`discarded`).
 */
export type LetterState = 'open' | 'replayed' | 'superseded' | 'discarded';
/** `copy`: a copied row; `message`: one that cannot be read as changes. */
export type LetterOp = 'insert' | 'update' | 'delete' | 'copy' | 'message';
export type MessageHeader = readonly [name: string, value: Buffer | null];

/**
 * A value that an update left out, because it did not change, as ClickHouse has it: RowBinary of `type`. Without a type: the
 * value stands in the change, but was looked up for it.
 */
export interface KeptValue {
  column: string;
  type: string;
  value: Buffer;
}

/** What could not be written, whole and raw: a row of `wal_cdc.dead_letters`. */
export interface DeadLetter {
  /** Made of what it holds: a replay of the stream writes the same letter again. */
  id: string;
  /** Rises with every change of the state; 0 as the pipeline writes it. */
  revision: bigint;
  state: LetterState;
  /** Times are in µs since 1970. */
  stateAtUs: bigint;
  atUs: bigint;
  mode: 'wal' | 'cdc' | 'synthetic';
  code: ErrorCode;
  reason: string;
  hint: string;
  /** Empty for messages, as is everything down to `kept`. */
  schema: string;
  table: string;
  /** A JSON object of PostgreSQL's texts, of the row after the change; `{}` for a table without key. */
  key: string;
  op: LetterOp;
  /** As in `_version`; of an update that of the old key's tombstone, the row itself has one more. */
  version: bigint;
  /** For people: an LSN, or `topic[partition]@offset`. */
  position: string;
  /** LSN text; of a copied row the base of the copy. */
  commitLsn: string;
  changeLsn: string;
  place: number;
  committedAtUs: bigint;
  /** As in `core/tuple.ts`. */
  change: Buffer;
  /** JSON of the `Relation` that `change` is of. */
  relation: string;
  /** What `change` leaves out. */
  kept: readonly KeptValue[];
  /** Of messages. */
  topic: string;
  partition: number;
  offset: bigint;
  messageKey: Buffer | null;
  messageValue: Buffer | null;
  headers: readonly MessageHeader[];
}

/** A change in a buffer of its own, or as it lies in that of its batch. */
export interface ChangeBytes {
  data: Buffer;
  offset: number;
  length: number;
}

const noMessage = {
  topic: '',
  partition: 0,
  offset: 0n,
  messageKey: null,
  messageValue: null,
  headers: [],
} as const;
const opNames: Record<number, LetterOp> = {
  [Op.insert]: 'insert',
  [Op.update]: 'update',
  [Op.delete]: 'delete',
};

/** The letter of row `i` of a group, which `error` keeps from being written. */
export function letterOfChange(
  mode: DeadLetter['mode'],
  encoder: RowEncoder,
  group: RowGroup,
  i: number,
  transactions: Transactions,
  { data, offset, length }: ChangeBytes,
  kept: readonly KeptValue[],
  error: CdcError,
): DeadLetter {
  const { index } = group;
  const at = i * RowGroup.stride;
  const transaction = index[at + RowGroup.transaction]!;
  const commitLsn = transactions.commitLsn(transaction);
  const opAndPlace = index[at + RowGroup.opAndPlace]!;
  const op = opAndPlace & 0xff;
  return {
    ...letterOfRow(
      mode,
      encoder,
      data,
      tuplesOf(data, offset, op),
      error,
      encoder.versionOf(group, i, transactions),
    ),
    op: opNames[op]!,
    position: formatLsn(commitLsn),
    commitLsn: formatLsn(commitLsn),
    changeLsn: formatLsn((BigInt(index[at + RowGroup.lsnHi]!) << 32n) | BigInt(index[at + RowGroup.lsnLo]!)),
    place: opAndPlace >>> 8,
    committedAtUs: microsOfPostgres(transactions.committedAtUs[transaction]!),
    // The buffer of the batch is used again.
    change: Buffer.from(data.subarray(offset, offset + length)),
    kept,
  };
}

/** The letter of a copied row; `change` inserts it. */
export function letterOfCopiedRow(
  mode: DeadLetter['mode'],
  encoder: RowEncoder,
  change: Buffer,
  { base, version, copiedAtUs }: { base: Lsn; version: bigint; copiedAtUs: number },
  error: CdcError,
): DeadLetter {
  const position = formatLsn(base);
  return {
    ...letterOfRow(mode, encoder, change, [1, -1], error, version),
    op: 'copy',
    position,
    commitLsn: position,
    changeLsn: position,
    place: 0,
    committedAtUs: BigInt(copiedAtUs),
    change,
    kept: [],
  };
}

function letterOfRow(
  mode: DeadLetter['mode'],
  encoder: RowEncoder,
  data: Buffer,
  [tuple, old]: readonly [tuple: number, old: number],
  { code, message, hint }: CdcError,
  version: bigint,
) {
  const { relation } = encoder;
  const { schema, name: table } = relation;
  const key = keyText(encoder, data, tuple, old);
  const nowUs = BigInt(Date.now()) * 1000n;
  return {
    id: letterId([schema, table, key, String(version)]),
    revision: 0n,
    state: 'open' as const,
    stateAtUs: nowUs,
    atUs: nowUs,
    mode,
    code,
    reason: message,
    hint,
    schema,
    table,
    key,
    version,
    relation: relationText(relation),
    ...noMessage,
  };
}

export function letterOfMessage(message: PoisonMessage): DeadLetter {
  const { topic, partition, offset, key, value, reason } = message;
  const nowUs = BigInt(Date.now()) * 1000n;
  return {
    // Offsets begin anew when a topic is made again.
    id: letterId([topic, String(partition), String(offset), value?.toString('latin1') ?? '']),
    revision: 0n,
    state: 'open',
    stateAtUs: nowUs,
    atUs: nowUs,
    mode: 'cdc',
    code: 'MESSAGE_INVALID',
    reason,
    hint: errorKinds.MESSAGE_INVALID.hint,
    schema: '',
    table: '',
    key: '{}',
    op: 'message',
    version: 0n,
    position: `${topic}[${partition}]@${offset}`,
    commitLsn: '',
    changeLsn: '',
    place: 0,
    committedAtUs: 0n,
    change: Buffer.alloc(0),
    relation: '',
    kept: [],
    topic,
    partition,
    offset: BigInt(offset),
    messageKey: key,
    messageValue: value,
    headers: message.headers,
  };
}

/** The message that a letter keeps, as the source gave it. */
export function messageOfLetter(letter: DeadLetter): PoisonMessage {
  const { topic, partition, messageKey, messageValue, headers, reason } = letter;
  const offset = Number(letter.offset);
  return {
    topic,
    partition,
    offset,
    lastOffset: offset,
    key: messageKey,
    value: messageValue,
    headers,
    reason,
  };
}

/** Version of the row that a letter holds, or of the tombstone of a delete. */
export function rowVersion({ op, version }: Pick<DeadLetter, 'op' | 'version'>): bigint {
  return op === 'update' ? version + 1n : version;
}

/** What the metrics and `status` call the table of a letter. */
export function letterOwner({
  schema,
  table,
  topic,
}: Pick<DeadLetter, 'schema' | 'table' | 'topic'>): string {
  return schema === '' && table === '' ? topic : `${schema}.${table}`;
}

/** The key of a tuple as JSON; `fallback` has the columns that say "unchanged", or is -1. */
export function keyText(encoder: RowEncoder, data: Buffer, tuple: number, fallback: number): string {
  const { columns } = encoder.relation;
  return JSON.stringify(
    Object.fromEntries(
      encoder.keyColumns.map(c => {
        let at = columnAt(data, tuple, c);
        if (data[at] === Kind.unchanged && fallback >= 0) at = columnAt(data, fallback, c);
        return [columns[c]!.name, fieldText(columns[c]!, data, at, encoder.columns[c]!.codec) ?? null];
      }),
    ),
  );
}

/** Where the tuple of the row after a change is, or that of a delete, and where the old one of an update; -1 for none. */
export function tuplesOf(data: Buffer, offset: number, op: number): [tuple: number, old: number] {
  const first = offset + 1;
  if (op !== Op.update || data[offset] === Marker.new) return [first, -1];
  return [skipTuple(data, first) + 1, first];
}

/** Row `i` of a group. */
export function bytesOf(data: Buffer, { index }: RowGroup, i: number): ChangeBytes {
  const at = i * RowGroup.stride;
  return { data, offset: index[at]!, length: index[at + RowGroup.length]! };
}

function letterId(parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

const relationTexts = new WeakMap<Relation, string>();

function relationText(relation: Relation): string {
  let text = relationTexts.get(relation);
  if (text === undefined) relationTexts.set(relation, (text = JSON.stringify(relation)));
  return text;
}
