import { readEnvelopes } from '../../test/fixtures/envelopes.ts';

interface Field {
  type: string;
  optional: boolean;
  field?: string;
  name?: string;
  fields?: Field[];
}

const columns: Field[] = [
  { type: 'int64', optional: false, field: 'id' },
  { type: 'string', optional: false, name: 'io.debezium.data.Uuid', field: 'user_id' },
  { type: 'string', optional: false, field: 'event_type' },
  { type: 'string', optional: false, name: 'io.debezium.data.Json', field: 'payload' },
  { type: 'string', optional: true, field: 'amount' },
  { type: 'string', optional: false, name: 'io.debezium.time.ZonedTimestamp', field: 'occurred_at' },
];
const table = 'bench.public.user_events';

/** Connect's schemas of keys and values of `user_events`, as JSON text: those that Debezium recorded of another table, with its columns. */
export function userEventsSchemas(): [key: string, value: string] {
  const recorded = readEnvelopes('schemas-on').find(
    ({ topic, value }) => topic.endsWith('t_basic') && value,
  )!;
  const key = schemaOf(recorded.key!);
  const value = schemaOf(recorded.value!);
  key.fields = columns.slice(0, 1);
  key.name = `${table}.Key`;
  value.name = `${table}.Envelope`;
  for (const row of value.fields!.filter(({ field }) => field === 'before' || field === 'after')) {
    row.fields = columns;
    row.name = `${table}.Value`;
  }
  return [JSON.stringify(key), JSON.stringify(value)];
}

function schemaOf(message: Buffer): Field {
  return JSON.parse(`${message}`).schema;
}
