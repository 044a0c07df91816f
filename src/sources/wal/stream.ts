import type pg from 'pg';
import { type Batch, Op } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { CdcError } from '../../core/errors.ts';
import { formatLsn, type Lsn } from '../../core/lsn.ts';
import { postgresEpochMs } from '../../core/postgres-epoch.ts';
import type { PgType, Relation } from '../../core/relation.ts';
import type { Source } from '../../core/source.ts';
import { BatchBuilder, BufferPool } from '../batch-builder.ts';
import { type BackendError, decodeErrorResponse } from './backend-error.ts';
import { queryError, quoteIdent, quoteLiteral } from './connect.ts';
import { CopyFramer } from './copy-framer.ts';
import {
  decodeRelation,
  decodeTruncate,
  encodeStandbyStatus,
  Message,
  primaryKeepalive,
  type RelationMessage,
  xLogData,
  xLogDataHeaderBytes,
} from './protocol.ts';
import { RawSession } from './raw-session.ts';

export interface WalStreamOptions {
  /** An idle replication session; the stream owns and ends it. */
  client: pg.Client;
  slot: string;
  publication: string;
  /** Where the saved checkpoint is. */
  position: Lsn;
  binary: boolean;
  maxBatchBytes: number;
  delayMs: number;
  /** A status update goes out at least this often, whether reading is paused or not. */
  statusIntervalMs: number;
  /** Types by OID; called off the row path. */
  loadTypes(oids: number[]): Promise<Map<number, PgType>>;
}

/** The position of a keepalive is worth a checkpoint this often, or when it frees this much WAL. */
const idlePositionIntervalMs = 10_000;
const idlePositionBytes = 16n << 20n;

/** Streams a replication slot with pgoutput, protocol version 1: frames and groups, never converts. */
export class WalStream implements Source {
  delayMs: number;
  backlogDelayMs: number;
  readonly #options: WalStreamOptions;
  readonly #session: RawSession;
  readonly #framer: CopyFramer;
  readonly #pool: BufferPool;
  readonly #relations = new Map<number, Relation>();
  readonly #unresolved = new Map<Relation, RelationMessage>();
  readonly #announced = new WeakMap<Relation, RelationMessage>();
  #builder: BatchBuilder;
  /** Batches that a barrier ended while nobody was reading. */
  readonly #finished: Batch[] = [];
  #finishedBytes = 0;
  #previous: ByteWriter | undefined;

  #streaming = false;
  #started: ((error?: Error) => void) | undefined;
  #failure: Error | undefined;
  #closed = false;

  #inTransaction = false;
  #commitHi = 0;
  /** Signed, as `#lastLo`: from 2^31 on an unsigned one is an object on the heap, for each row. */
  #commitLo = 0;
  #committedAtUs = 0;
  #transaction = -1;
  #lastHi = 0;
  #lastLo = 0;
  #place = 0;

  /** Of `#received`: no bigint is made for a transaction. */
  #receivedHi = 0;
  #receivedLo = 0;
  #delivered: Lsn;
  #deliveredAtMs = performance.now();
  #acked: Lsn;
  #expected: Lsn | undefined;
  #serverEnd: Lsn = 0n;

  #reader: { resolve(batch: Batch): void; reject(error: Error): void } | undefined;
  #woken = false;
  /** The batch is due, but stands in the middle of a transaction: the commit ends it. */
  #overdue = false;
  /** The server had nothing more to send: the rows that are here need not wait for more. */
  #drained = false;
  #replyRequested = false;
  /** The next keepalive is one that we asked for. */
  #asked = false;
  #timer: NodeJS.Timeout | undefined;
  /** The timer is set for when the rows that are here are due. */
  #timerIsForRows = false;
  readonly #statusTimer: NodeJS.Timeout;
  #paused = false;

  constructor(options: WalStreamOptions) {
    this.#options = options;
    this.delayMs = this.backlogDelayMs = options.delayMs;
    this.#delivered = this.#acked = options.position;
    this.#setReceived(options.position);
    this.#pool = new BufferPool(options.maxBatchBytes);
    this.#builder = new BatchBuilder(this.#pool.take());
    this.#framer = new CopyFramer({
      writer: () => this.#builder.data,
      copyData: start => this.#copyData(start),
      message: (type, body) => this.#message(type, body),
    });
    this.#session = new RawSession(options.client, (bytes, length) => this.#push(bytes, length), true);
    this.#session.socket.once('close', () =>
      this.#fail(new CdcError('SOURCE_UNREACHABLE', 'PostgreSQL closed the replication connection')),
    );
    this.#statusTimer = setInterval(() => this.#sendStatus(), options.statusIntervalMs);
  }

  /** Sends START_REPLICATION; resolves when the walsender streams. */
  async start(): Promise<void> {
    const { slot, publication, position, binary } = this.#options;
    const started = new Promise<void>((resolve, reject) => {
      this.#started = error => (error ? reject(error) : resolve());
    });
    this.#session.query(
      `START_REPLICATION SLOT ${quoteIdent(slot)} LOGICAL ${formatLsn(position)} ` +
        `(proto_version '1', publication_names ${quoteLiteral(quoteIdent(publication))}${binary ? ", binary 'true'" : ''})`,
    );
    await started;
  }

  /** How far the server is, as it last said. */
  get serverEnd(): Lsn {
    const received = this.#received;
    if (received > this.#serverEnd) return received;
    return this.#serverEnd;
  }

  /** End of the last transaction that was received whole, or the position of a later keepalive. */
  get #received(): Lsn {
    return (BigInt(this.#receivedHi) << 32n) | BigInt(this.#receivedLo);
  }

  #setReceived(position: Lsn): void {
    this.#receivedHi = Number(position >> 32n);
    this.#receivedLo = Number(position & 0xffffffffn);
  }

  get oldestPendingMs(): number | undefined {
    const transactions = this.#finished[0]?.transactions ?? this.#builder.transactions;
    return transactions.count === 0 ? undefined : transactions.committedAtUs[0]! / 1000 + postgresEpochMs;
  }

  read(): Promise<Batch> {
    // The batch that was read before is written by now.
    if (this.#previous) this.#pool.give(this.#previous);
    this.#previous = undefined;
    return new Promise<Batch>((resolve, reject) => {
      this.#reader = { resolve, reject };
      if (this.#failure) this.#reject();
      else {
        this.#offer();
        this.#resume();
      }
    });
  }

  wake(): void {
    this.#woken = true;
    this.#offer();
  }

  expect(position: Lsn): void {
    this.#expected = position;
    // A request for a reply brings the walsender's position at once, even when nothing is written.
    this.#sendStatus(true);
    this.#offer();
  }

  ack(position: Lsn): void {
    if (position > this.#acked) {
      this.#acked = position;
      this.#sendStatus();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#statusTimer);
    clearTimeout(this.#timer);
    this.#failure ??= new CdcError('SOURCE_UNREACHABLE', 'the stream was closed');
    if (this.#reader) this.#reject();
    const { socket } = this.#session;
    // The last ack must leave before the connection does.
    await new Promise<void>(resolve => {
      socket.end(resolve);
      setTimeout(resolve, 1000).unref();
    });
    socket.destroy();
  }

  #push(bytes: Buffer, length: number): void {
    try {
      this.#framer.push(bytes, length);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#offer();
    if (this.#full && !this.#paused) {
      this.#paused = true;
      this.#session.pause();
    }
  }

  get #full(): boolean {
    return this.#finishedBytes + this.#builder.bytes >= this.#options.maxBatchBytes;
  }

  #resume(): void {
    if (!this.#paused || this.#full) return;
    this.#paused = false;
    this.#session.resume();
  }

  /** Hands the batch to a waiting reader when it is due and stands at a boundary; else sets the clock for it. */
  #offer(): void {
    if (!this.#reader || this.#failure) return;
    if (this.#finished.length > 0) {
      this.#deliver();
      return;
    }
    // Most bytes change nothing: the clock is set for the first row.
    if (this.#timerIsForRows && !this.#dueAtOnce) return;
    const due = this.#dueInMs();
    if (due <= 0) {
      if (!this.#inTransaction || this.#mayCut()) this.#seal();
      else this.#overdue = true;
    } else if (Number.isFinite(due)) {
      this.#stopTimer();
      this.#timerIsForRows = !this.#builder.empty;
      this.#timer = setTimeout(() => {
        this.#stopTimer();
        this.#offer();
      }, due);
    }
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerIsForRows = false;
  }

  /** A transaction larger than a batch is cut; so is one that a caller must not wait for. */
  #mayCut(): boolean {
    return this.#builder.bytes >= this.#options.maxBatchBytes || (this.#woken && this.#builder.empty);
  }

  get #dueAtOnce(): boolean {
    const { bytes, truncates } = this.#builder;
    return this.#woken || bytes >= this.#options.maxBatchBytes || truncates.length > 0;
  }

  #dueInMs(): number {
    if (this.#dueAtOnce) return 0;
    const builder = this.#builder;
    if (!builder.empty) {
      const delayMs = this.#drained ? this.delayMs : this.backlogDelayMs;
      return Math.ceil(builder.startedAtMs + delayMs - performance.now());
    }
    const received = this.#received;
    if (this.#expected !== undefined && received >= this.#expected) return 0;
    if (received === this.#delivered) return Number.POSITIVE_INFINITY;
    if (received - this.#delivered >= idlePositionBytes) return 0;
    // A server that shuts down asks again and again until everything it sent is acknowledged.
    const intervalMs = this.#replyRequested ? 500 : idlePositionIntervalMs;
    return Math.ceil(this.#deliveredAtMs + intervalMs - performance.now());
  }

  #seal(): void {
    this.#finish();
    if (this.#reader) this.#deliver();
  }

  /** Ends the batch that is being built, here and now. */
  #finish(): void {
    const full = this.#builder;
    this.#builder = new BatchBuilder(this.#pool.take(), full);
    this.#framer.switchWriter(this.#builder.data);
    this.#transaction = -1;
    this.#overdue = this.#drained = false;
    this.#finished.push(full.build(this.#received));
    this.#finishedBytes += full.bytes;
  }

  #deliver(): void {
    const reader = this.#reader!;
    const batch = this.#finished.shift()!;
    this.#finishedBytes -= batch.data.pos;
    this.#reader = undefined;
    this.#woken = false;
    this.#stopTimer();
    if (this.#expected !== undefined && batch.position >= this.#expected) this.#expected = undefined;
    this.#delivered = batch.position;
    this.#deliveredAtMs = performance.now();
    this.#replyRequested = false;
    this.#previous = batch.data;
    if (this.#unresolved.size === 0) reader.resolve(batch);
    else this.#resolveTypes().then(() => reader.resolve(batch), reader.reject);
  }

  /** Relation messages name types by OID only; what the catalog must be asked for is asked before a batch is used. */
  async #resolveTypes(): Promise<void> {
    const waiting = [...this.#unresolved];
    const oids = waiting.flatMap(([, message]) => message.columns.map(column => column.typeOid));
    const types = await this.#options.loadTypes(oids);
    for (const [relation, message] of waiting) {
      relation.columns = message.columns.map(column => ({
        name: column.name,
        type: types.get(column.typeOid) ?? unknownType(column.typeOid),
        typmod: column.typmod,
        notNull: false,
      }));
      this.#unresolved.delete(relation);
    }
  }

  #fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    clearTimeout(this.#timer);
    this.#started?.(error);
    this.#reject();
  }

  #reject(): void {
    this.#reader?.reject(this.#failure!);
    this.#reader = undefined;
  }

  #message(type: number, body: Buffer): void {
    if (type === 0x57) {
      this.#streaming = true; // CopyBothResponse
      this.#started?.();
    } else if (type === 0x45) {
      this.#fail(streamError(decodeErrorResponse(body)));
    } else if (type === 0x63 || type === 0x43) {
      this.#fail(new CdcError('SOURCE_UNREACHABLE', 'PostgreSQL ended the replication stream')); // CopyDone
    }
  }

  #sendStatus(replyRequested = false): void {
    if (!this.#streaming || this.#closed || this.#failure) return;
    const message = encodeStandbyStatus(this.#acked, Date.now());
    if (replyRequested) {
      message[message.length - 1] = 1;
      this.#asked = true;
    }
    this.#session.socket.write(message);
  }

  #copyData(start: number): void {
    const { data } = this.#builder;
    let keep = false;
    if (data.buf[start] === xLogData) keep = this.#change(data.buf, start);
    else if (data.buf[start] === primaryKeepalive) this.#keepalive(data.buf, start);
    else throw unexpected(`CopyData of type ${data.buf[start]}`);
    if (!keep) data.pos = start;
  }

  #keepalive(buf: Buffer, start: number): void {
    const end = buf.readBigUInt64BE(start + 1);
    if (end > this.#serverEnd) this.#serverEnd = end;
    // Everything before it was sent; with nothing pending it is as good as the end of a transaction.
    const asked = this.#asked;
    this.#asked = false;
    if (!this.#inTransaction) {
      if (this.#builder.empty) {
        if (end > this.#received) this.#setReceived(end);
      } else if (!asked) this.#setDrained();
    }
    if (buf[start + 17] === 1) {
      this.#replyRequested = true;
      this.#sendStatus();
    }
    if (asked && this.#expected !== undefined && this.#received < this.#expected) {
      setTimeout(() => this.#expected !== undefined && this.#sendStatus(true), 50).unref();
    }
  }

  #setDrained(): void {
    if (this.#drained) return;
    this.#drained = true;
    // It is set for longer.
    this.#stopTimer();
  }

  /** One pgoutput message; true when its bytes are part of the batch now. */
  #change(buf: Buffer, start: number): boolean {
    const at = start + xLogDataHeaderBytes;
    switch (buf[at]) {
      case Message.insert:
        return this.#row(buf, start, at, Op.insert);
      case Message.update:
        return this.#row(buf, start, at, Op.update);
      case Message.delete:
        return this.#row(buf, start, at, Op.delete);
      case Message.begin:
        this.#begin(buf, at);
        return false;
      case Message.commit:
        this.#commit(buf, at);
        return false;
      case Message.relation:
        this.#relation(decodeRelation(buf, at));
        return false;
      case Message.truncate:
        this.#truncate(buf, start, at);
        return false;
      case Message.type:
      case Message.origin:
      case Message.logical:
        return false;
      default:
        throw unexpected(`pgoutput message of type ${buf[at]}`);
    }
  }

  #row(buf: Buffer, start: number, at: number, op: number): boolean {
    const lsnHi = readUInt32(buf, start + 1);
    const lsnLo = readInt32(buf, start + 5);
    if (lsnLo !== this.#lastLo || lsnHi !== this.#lastHi) {
      this.#lastHi = lsnHi;
      this.#lastLo = lsnLo;
      this.#place = 0;
    }
    // An update may become a tombstone and a row: it takes two places, whether or not it does.
    const place = this.#place;
    this.#place += op === Op.update ? 2 : 1;

    const relation = this.#relations.get(readUInt32(buf, at + 1));
    if (!relation) throw unexpected('a change of a relation that was not announced');
    const builder = this.#builder;
    if (builder.empty) builder.startedAtMs = performance.now();
    if (this.#transaction < 0) {
      this.#transaction = builder.transactions.add(this.#commitHi, this.#commitLo, this.#committedAtUs);
    }
    const offset = at + 5;
    builder
      .groupFor(relation)
      .add(offset, builder.data.pos - offset, op, place, lsnHi, lsnLo, this.#transaction);
    builder.rows++;
    if (builder.bytes >= this.#options.maxBatchBytes && this.#reader) this.#seal();
    return true;
  }

  #begin(buf: Buffer, at: number): void {
    this.#inTransaction = true;
    this.#commitHi = readUInt32(buf, at + 1);
    this.#commitLo = readInt32(buf, at + 5);
    this.#committedAtUs = readUInt32(buf, at + 9) * 2 ** 32 + readUInt32(buf, at + 13);
    this.#transaction = -1;
    this.#lastHi = this.#lastLo = 0;
  }

  #commit(buf: Buffer, at: number): void {
    this.#inTransaction = false;
    this.#receivedHi = readUInt32(buf, at + 10);
    this.#receivedLo = readUInt32(buf, at + 14);
    if (this.#overdue && this.#reader) this.#seal();
  }

  #relation(message: RelationMessage): void {
    const relation: Relation = {
      id: message.id,
      schema: message.schema,
      name: message.name,
      replicaIdentity: message.replicaIdentity,
      columns: [],
    };
    // PostgreSQL announces a relation again after every invalidation; only a real change ends a group.
    const known = this.#relations.get(message.id);
    if (known && JSON.stringify(this.#announced.get(known)) === JSON.stringify(message)) return;
    this.#relations.set(message.id, relation);
    this.#announced.set(relation, message);
    this.#unresolved.set(relation, message);
    // Rows under the older description are written first.
    if (this.#builder.holdsOlder(relation)) this.#finish();
  }

  #truncate(buf: Buffer, start: number, at: number): void {
    const changeLsn = buf.readBigUInt64BE(start + 1);
    const commitLsn = (BigInt(this.#commitHi) << 32n) | BigInt(this.#commitLo >>> 0);
    if (this.#builder.rows > 0) this.#finish();
    for (const id of decodeTruncate(buf, at)) {
      const relation = this.#relations.get(id);
      if (!relation) throw unexpected('a truncate of a relation that was not announced');
      if (this.#builder.empty) this.#builder.startedAtMs = performance.now();
      this.#builder.truncates.push({ relation, commitLsn, changeLsn });
    }
  }
}

function unknownType(oid: number): PgType {
  return { oid, name: `unknown type ${oid}`, schema: 'pg_catalog', kind: 'base' };
}

function streamError(error: BackendError): CdcError {
  // The slot or the publication is gone or unusable: the checks at the next start tell which.
  if (error.code === '42704' || error.code === '55000')
    return new CdcError('SOURCE_UNREACHABLE', `streaming stopped: ${error.message}`, { cause: error });
  return queryError(error, 'streaming stopped');
}

function unexpected(what: string): CdcError {
  return new CdcError('PROTOCOL', `unexpected ${what}`);
}

function readInt32(buf: Buffer, pos: number): number {
  return (buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!;
}

function readUInt32(buf: Buffer, pos: number): number {
  return ((buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!) >>> 0;
}
