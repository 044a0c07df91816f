import { Op } from '../../core/batch.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { postgresEpochUs } from '../../core/postgres-epoch.ts';
import type { EnvelopeFields, Layout, MessageSpans } from './envelope.ts';
import { found, message, read, takeTuples } from './json-kernel.ts';
import { Plan, type PlannedValue } from './json-plan.ts';
import type { KeyFields } from './message-key.ts';
import type { Placeholder } from './placeholder.ts';

/** What an envelope is, besides its values. */
export interface EnvelopeShape {
  /** Which rows it has: a new one, an old and a new one, a deleted one. */
  kind: 'fresh' | 'changed' | 'deleted';
  isFlattened: boolean;
  layout: Layout;
  key: KeyFields | null;
  schema: string;
  table: string;
  /** In the order in which they stand in the message. */
  values: readonly PlannedValue[];
}

/**
 * An envelope like one that was read before: the same bytes but for its values, which lie between them. What was found out
 * about the names and their order holds for every message that is the same there. Only what is in `values` is looked at.
 */
export class PredictedEnvelope {
  readonly key: KeyFields | null;
  readonly plan: Plan;
  readonly #shape: EnvelopeShape;

  constructor(bytes: Buffer, shape: EnvelopeShape, placeholder: Placeholder) {
    this.key = shape.key;
    this.#shape = shape;
    this.plan = new Plan(bytes, shape.values, {
      columns: shape.layout.names.length,
      placeholder: shape.kind === 'deleted' ? undefined : placeholder,
    });
  }

  get isDelete(): boolean {
    return this.#shape.kind === 'deleted';
  }

  /**
   * Reads a message if it is as predicted; else leaves everything as it was. Returns whether it was; `undefined` when it is like
   * this one, and must be read exactly nevertheless.
   */
  read(spans: MessageSpans, out: ByteWriter, fields: EnvelopeFields): boolean | undefined {
    const { valueBytes, valueStamp, valueStart, valueEnd } = spans;
    const { address, overhead } = this.plan;
    const bytes = read(address, valueBytes, valueStamp, valueStart, valueEnd, overhead);
    if (bytes < 0) return false;
    if (!this.describe(message, fields)) return undefined;
    takeTuples(bytes, out);
    return true;
  }

  /** Sets `fields` to what was found; false, and nothing set, when a message of this op is to be read another way. */
  describe(at: number, fields: EnvelopeFields): boolean {
    const shape = this.#shape;
    const op = found.op(at) || (shape.kind === 'deleted' ? 100 : 0);
    const change = this.#change(op, found.unchanged(at));
    if (change === 0) return false;
    const lsn = found.lsn(at);
    const lastCommit = found.lastCommit(at);
    fields.op = change;
    fields.isSnapshot = op === 114;
    fields.isFlattened = shape.isFlattened;
    fields.lsnHi = Math.floor(lsn / 4294967296);
    fields.lsnLo = lsn >>> 0;
    fields.lastCommitHi = Math.floor(lastCommit / 4294967296);
    fields.lastCommitLo = lastCommit >>> 0;
    fields.committedAtUs = found.committedAtUs(at) - postgresEpochUs;
    fields.schema = shape.schema;
    fields.table = shape.table;
    fields.layout = shape.layout;
    return true;
  }

  /** The `Op` of the message's op, if the tuples that were written are right for it; else 0. */
  #change(op: number, unchanged: boolean): number {
    switch (this.#shape.kind) {
      case 'deleted':
        return op === 100 ? Op.delete : 0;
      case 'changed':
        // Whether the old row has what is unchanged is for a closer look.
        return op === 117 && !unchanged ? Op.update : 0;
      default:
        if (op === 117) return Op.update;
        return (op === 99 || op === 114) && !unchanged ? Op.insert : 0;
    }
  }
}
