import assert from 'node:assert/strict';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { EnvelopeKind, MalformedEnvelope } from '../../src/sources/kafka/envelope.ts';
import { TopicReader } from '../../src/sources/kafka/read-envelope.ts';
import { decodeChange } from './change-bytes.ts';
import { kafkaMessage, type MessageParts } from './debezium.ts';

const kinds = Object.fromEntries(Object.entries(EnvelopeKind).map(([name, kind]) => [kind, name]));
const operations = ['', 'insert', 'update', 'delete'];

/** Reads messages of a topic and tells as text what came out. */
export class TextReader {
  readonly reader: TopicReader;

  constructor(placeholder = '__debezium_unavailable_value') {
    this.reader = new TopicReader({ placeholder });
  }

  /** Reads a message twice: as one that is not expected, and as one that may be. */
  read(parts: MessageParts): string {
    const first = this.readOnce(parts);
    if (parts.value !== undefined && parts.value !== null) assert.equal(this.readOnce(parts), first);
    return first;
  }

  /** As in `update public.t: K 1 n | N 2 "text"`; what is of kind json has no quotes. */
  readOnce(parts: MessageParts): string {
    const { reader } = this;
    const out = new ByteWriter();
    const kind = kinds[reader.read(kafkaMessage(parts), out)]!;
    if (kind === 'ignored') return kind;
    if (kind === 'truncate') return `truncate ${reader.schema}.${reader.table}`;
    const tuples = decodeChange(out.written()).map(({ marker, values }) =>
      [
        marker,
        ...values.map(({ kind, text }) => (kind === 't' ? JSON.stringify(text) : (text ?? kind))),
      ].join(' '),
    );
    const what = kind === 'tombstone' ? kind : reader.isSnapshot ? 'snapshot' : operations[reader.op];
    return `${what} ${reader.schema}.${reader.table}: ${tuples.join(' | ')}`;
  }

  /** Why a message is malformed. */
  reasonOf(parts: MessageParts): string {
    const out = new ByteWriter();
    try {
      this.reader.read(kafkaMessage(parts), out);
    } catch (error) {
      assert.ok(error instanceof MalformedEnvelope, String(error));
      assert.equal(out.pos, 0);
      return error.message;
    }
    assert.fail(`not malformed: ${kafkaMessage(parts).value}`);
  }
}
