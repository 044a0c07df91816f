import type { Batch, PoisonMessage } from '../../core/batch.ts';
import type { Lsn } from '../../core/lsn.ts';
import { postgresEpochUs } from '../../core/postgres-epoch.ts';
import type { Relation } from '../../core/relation.ts';
import { BatchBuilder, BufferPool } from '../batch-builder.ts';
import type { AssignedPartition } from './assigned-partition.ts';
import {
  EnvelopeKind,
  type EnvelopeReader,
  type KafkaMessage,
  type Layout,
  MalformedEnvelope,
} from './envelope.ts';
import { found, recordAt } from './json-kernel.ts';
import { NotReady } from './not-ready.ts';
import { Found, type RecordCursor } from './record-cursor.ts';
import { VersionInputs } from './version-inputs.ts';

/** A message in its place; a `RecordCursor` that found something. */
export interface FoundMessage extends KafkaMessage {
  offset: number;
  /** Everything before is done with it. */
  position: number;
  /** Of key, value and headers, in bytes. */
  size: number;
  /** Why it cannot be read. */
  reason: string;
  allHeaders(): PoisonMessage['headers'];
}

/** The relation of a table's rows in one layout. */
export interface TopicRelation {
  relation: Relation;
  /** Rows are told apart by their place in the topic. */
  keyless: boolean;
}

export interface BatchFillerOptions {
  maxBatchBytes: number;
  /** A larger message is not read. */
  maxMessageBytes: number;
  readerOf(topic: string): EnvelopeReader;
  /**
   * Called once for each layout that a reader made, per table. Of a truncate the layout is `noLayout`, unless rows of the table
   * came before.
   */
  relationOf(topic: string, layout: Layout, schema: string, table: string): TopicRelation;
  /** Ends the batch: what comes next belongs to another one. */
  finish(batch: BatchBuilder, poison: PoisonMessage[]): void;
}

export const noLayout: Layout = { names: [], wires: [], key: undefined };

/** Turns messages into the changes of the batch that is being built. */
export class BatchFiller {
  builder: BatchBuilder;
  readonly #options: BatchFillerOptions;
  readonly #pool: BufferPool;
  readonly #topics = new Map<string, TopicState>();
  readonly #version = new VersionInputs();
  #poison: PoisonMessage[] = [];
  #poisonBytes = 0;

  constructor(options: BatchFillerOptions) {
    this.#options = options;
    this.#pool = new BufferPool(options.maxBatchBytes);
    this.builder = new BatchBuilder(this.#pool.take());
  }

  get bytes(): number {
    return this.builder.bytes + this.#poisonBytes;
  }

  get empty(): boolean {
    return this.builder.empty && this.#poison.length === 0;
  }

  /** Ends the batch that is being built, here and now. */
  finish(): void {
    const { builder } = this;
    const poison = this.#poison;
    this.#begin();
    this.#options.finish(builder, poison);
  }

  /** Throws the batch away that is being built. */
  discard(): void {
    const { data } = this.builder;
    this.#begin();
    this.#pool.give(data);
  }

  /** `batch` is written, or is not wanted. */
  giveBack(batch: Batch): void {
    this.#pool.give(batch.data);
  }

  #begin(): void {
    this.builder = new BatchBuilder(this.#pool.take(), this.builder);
    this.#poison = [];
    this.#poisonBytes = 0;
  }

  /** Takes in what the cursor found. */
  take(found: number, cursor: FoundMessage, partition: AssignedPartition): void {
    if (found === Found.unreadable) {
      this.#addPoison(cursor, partition, cursor.reason, false);
      return;
    }
    if (cursor.size > this.#options.maxMessageBytes) {
      const limit = `more than the ${this.#options.maxMessageBytes} that are taken`;
      this.#addPoison(cursor, partition, `a message of ${cursor.size} bytes, ${limit}`, false);
      return;
    }
    const state = this.#stateOf(partition.topic);
    const ready = state.reader.prepare(cursor);
    if (ready) throw new NotReady(ready);
    const { data } = this.builder;
    const start = data.pos;
    let kind: number;
    try {
      kind = state.reader.read(cursor, data);
    } catch (error) {
      data.pos = start;
      if (!(error instanceof MalformedEnvelope)) throw error;
      this.#addPoison(cursor, partition, error.message, true);
      return;
    }
    if (kind === EnvelopeKind.change || kind === EnvelopeKind.tombstone)
      this.#addChange(state, partition, cursor.offset, start);
    else if (kind === EnvelopeKind.truncate) this.#addTruncate(state, partition, cursor.offset);
  }

  /** Takes in the records behind the last message, as far as they are changes like it. Returns how many. */
  takeAhead(cursor: RecordCursor, partition: AssignedPartition): number {
    const state = this.#stateOf(partition.topic);
    const { reader } = state;
    if (cursor.recordsLeft === 0 || !reader.readAhead) return 0;
    const { builder } = this;
    const { data } = builder;
    const start = data.pos;
    const count = reader.readAhead(cursor, this.#options.maxMessageBytes, data);
    let taken = 0;
    let end = start;
    for (; taken < count && reader.change!(taken); taken++) {
      const { relation, keyless } = state.relationOf(reader.layout, reader.schema, reader.table);
      if (builder.holdsOlder(relation)) break;
      const at = recordAt(taken);
      const from = end;
      end = start + found.tuplesEnd(at);
      this.#add(state, relation, keyless, partition, cursor.baseOffset + found.offsetDelta(at), from, end);
    }
    data.pos = end;
    if (taken === 0) return 0;
    const last = recordAt(taken - 1);
    cursor.skip(taken, found.recordEnd(last), found.offsetDelta(last));
    return taken;
  }

  #stateOf(topic: string): TopicState {
    let state = this.#topics.get(topic);
    if (!state) {
      state = new TopicState(topic, this.#options);
      this.#topics.set(topic, state);
    }
    return state;
  }

  #addChange(state: TopicState, partition: AssignedPartition, offset: number, start: number): void {
    const { reader } = state;
    const { relation, keyless } = state.relationOf(reader.layout, reader.schema, reader.table);
    const { builder } = this;
    let at = start;
    if (builder.holdsOlder(relation)) {
      // Rows in the older layout are written first; the bytes of this one move on.
      const { data } = builder;
      const end = data.pos;
      data.pos = start;
      this.finish();
      at = this.builder.data.pos;
      this.builder.data.writeBytes(data.buf, start, end);
    }
    this.#add(state, relation, keyless, partition, offset, at, this.builder.data.pos);
  }

  #add(
    { reader }: TopicState,
    relation: Relation,
    keyless: boolean,
    partition: AssignedPartition,
    offset: number,
    start: number,
    end: number,
  ): void {
    const { builder } = this;
    const { commitHi, commitLo, lsnHi, lsnLo } = this.#inputs(reader, partition, offset, keyless);
    if (this.empty) builder.startedAtMs = performance.now();
    const transaction = partition.transactionOf(
      builder.transactions,
      commitHi,
      commitLo,
      Number.isNaN(reader.committedAtUs) ? Date.now() * 1000 - postgresEpochUs : reader.committedAtUs,
    );
    builder.groupFor(relation).add(start, end - start, reader.op, 0, lsnHi, lsnLo, transaction);
    builder.rows++;
  }

  #inputs(reader: EnvelopeReader, partition: AssignedPartition, offset: number, keyless: boolean) {
    this.#version.take(reader, partition, offset, keyless);
    return this.#version;
  }

  /** A barrier: a batch begins with its truncates. */
  #addTruncate(state: TopicState, partition: AssignedPartition, offset: number): void {
    const { reader } = state;
    const { relation } = state.relationOfTruncate(reader.schema, reader.table);
    const { commitHi, commitLo, lsnHi, lsnLo } = this.#inputs(reader, partition, offset, false);
    if (this.builder.rows > 0 || this.#poison.length > 0) this.finish();
    if (this.empty) this.builder.startedAtMs = performance.now();
    this.builder.truncates.push({
      relation,
      commitLsn: joinLsn(commitHi, commitLo),
      changeLsn: joinLsn(lsnHi, lsnLo),
    });
  }

  #addPoison(cursor: FoundMessage, partition: AssignedPartition, reason: string, hasBytes: boolean): void {
    if (this.empty) this.builder.startedAtMs = performance.now();
    const copy = (bytes: Buffer | null) => bytes && Buffer.from(bytes);
    const poison: PoisonMessage = {
      topic: partition.topic,
      partition: partition.partition,
      offset: cursor.offset,
      lastOffset: cursor.position - 1,
      key: hasBytes ? copy(cursor.key) : null,
      value: hasBytes ? copy(cursor.value) : null,
      headers: hasBytes ? cursor.allHeaders() : [],
      reason,
    };
    this.#poison.push(poison);
    this.#poisonBytes += 1024 + (poison.key?.length ?? 0) + (poison.value?.length ?? 0);
  }
}

/** The reader of a topic, and the relations of what it reads. */
class TopicState {
  readonly reader: EnvelopeReader;
  readonly #topic: string;
  readonly #relationOf: BatchFillerOptions['relationOf'];
  readonly #known = new Map<Layout, Map<string, TopicRelation>>();
  #layout: Layout | undefined;
  #schema = '';
  #table = '';
  #last: TopicRelation | undefined;

  constructor(topic: string, options: BatchFillerOptions) {
    this.#topic = topic;
    this.reader = options.readerOf(topic);
    this.#relationOf = options.relationOf;
  }

  relationOf(layout: Layout, schema: string, table: string): TopicRelation {
    if (this.#layout === layout && this.#table === table && this.#schema === schema) return this.#last!;
    const name = JSON.stringify([schema, table]);
    let tables = this.#known.get(layout);
    if (!tables) {
      tables = new Map();
      this.#known.set(layout, tables);
    }
    let found = tables.get(name);
    if (!found) {
      found = this.#relationOf(this.#topic, layout, schema, table);
      tables.set(name, found);
    }
    this.#layout = layout;
    this.#schema = schema;
    this.#table = table;
    this.#last = found;
    return found;
  }

  relationOfTruncate(schema: string, table: string): TopicRelation {
    if (this.#last && this.#table === table && this.#schema === schema) return this.#last;
    const name = JSON.stringify([schema, table]);
    for (const tables of this.#known.values()) {
      const found = tables.get(name);
      if (found) return found;
    }
    return this.#relationOf(this.#topic, noLayout, schema, table);
  }
}

function joinLsn(hi: number, lo: number): Lsn {
  return (BigInt(hi) << 32n) | BigInt(lo >>> 0);
}
