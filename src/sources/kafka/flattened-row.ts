import type { Row } from './change-writer.ts';
import { MalformedEnvelope } from './envelope.ts';
import type { Struct } from './envelope-content.ts';
import type { Metadata } from './envelope-metadata.ts';

/** Fields of the envelope that `ExtractNewRecordState` may add to a row, without its prefix. */
const added = new Set(
  [
    'op deleted ts_ms ts_us ts_ns',
    'version connector name snapshot db sequence schema table txId lsn xmin origin origin_lsn',
    'total_order data_collection_order',
  ].flatMap(names => names.split(' ')),
);

/** Whether a field was added to a row by `ExtractNewRecordState`. */
export function isAddedField(name: string): boolean {
  return name.startsWith('__') && (added.has(name.slice(2)) || /^__(source|transaction)_/.test(name));
}

/** Whether a message is a flattened row rather than an envelope. */
export function isFlattened(content: Row): boolean {
  return ['__op', '__deleted', '__lsn', '__source_lsn'].some(name => content.indexOf(name) >= 0);
}

const howTo =
  'a row of ExtractNewRecordState needs add.fields=op,lsn,sequence,source.ts_us,schema,table to be ordered';

/** The reason against a message that is neither an envelope nor one that is ignored. */
export function notAnEnvelope(): MalformedEnvelope {
  return new MalformedEnvelope(
    `neither an envelope ("op" and "source" are missing) nor a flattened row: ${howTo}`,
  );
}

/** What the added fields say. @throws MalformedEnvelope when they do not say what is needed */
export function readAddedFields(content: Struct): { op: string; metadata: Metadata } {
  const added = (name: string) => content.scalar(`__${name}`);
  const op = added('deleted') === 'true' ? 'd' : added('op');
  if (op == null) throw new MalformedEnvelope(`no __op: ${howTo}`);
  const lsn = added('lsn') ?? added('source_lsn');
  if (lsn == null) throw new MalformedEnvelope(`no __lsn: ${howTo}`);
  return {
    op,
    metadata: {
      lsn,
      sequence: added('sequence') ?? added('source_sequence'),
      tsUs: added('source_ts_us'),
      tsMs: added('source_ts_ms'),
      schema: added('schema') ?? added('source_schema'),
      table: added('table') ?? added('source_table'),
    },
  };
}

/** The columns of a flattened row. */
export function withoutAddedFields(content: Row): Row {
  const places: number[] = [];
  for (let i = 0; i < content.names.length; i++) if (!isAddedField(content.names[i]!)) places.push(i);
  const names = places.map(i => content.names[i]!);
  return {
    names,
    indexOf: name => names.indexOf(name),
    isNull: i => content.isNull(places[i]!),
    write: (i, out) => content.write(places[i]!, out),
  };
}
