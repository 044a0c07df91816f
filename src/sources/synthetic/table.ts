import type { PgType, Relation } from '../../core/relation.ts';
import type { SourceTable } from '../wal/catalog.ts';

const builtIn = (oid: number, name: string): PgType => ({ oid, name, schema: 'pg_catalog', kind: 'base' });

/** Precision and scale as in `pg_attribute.atttypmod`. */
const numeric12and2 = (12 << 16) + 2 + 4;

const columns: [name: string, sqlType: string, type: PgType, notNull: boolean, typmod?: number][] = [
  ['id', 'bigint', builtIn(20, 'int8'), true],
  ['user_id', 'uuid', builtIn(2950, 'uuid'), true],
  ['event_type', 'text', builtIn(25, 'text'), true],
  ['payload', 'jsonb', builtIn(3802, 'jsonb'), true],
  ['amount', 'numeric(12,2)', builtIn(1700, 'numeric'), false, numeric12and2],
  ['occurred_at', 'timestamptz', builtIn(1184, 'timestamptz'), true],
];

/** `user_events` as PostgreSQL's catalog would describe it. */
export const userEventsTable: SourceTable = {
  id: 1,
  schema: 'public',
  name: 'user_events',
  columns: columns.map(([name, , type, notNull, typmod = -1], i) => ({
    number: i + 1,
    name,
    type,
    typmod,
    notNull,
    // Every update carries every value.
    toastable: false,
  })),
  keyRule: 'primary-key',
  key: ['id'],
  partitioned: false,
  replicaIdentity: 'd',
  rowFilter: undefined,
  membership: undefined,
  unreadable: undefined,
  estimatedRows: 0,
};

export const userEventsRelation: Relation = {
  id: userEventsTable.id,
  schema: userEventsTable.schema,
  name: userEventsTable.name,
  replicaIdentity: userEventsTable.replicaIdentity,
  columns: userEventsTable.columns,
};

/** Name and type of each column, as in CREATE TABLE. */
export const userEventsColumns = columns.map(([name, sqlType, , notNull]) => ({ name, sqlType, notNull }));

/** The same table in PostgreSQL. */
export const createUserEventsSql = `CREATE TABLE IF NOT EXISTS public.user_events (
  ${userEventsColumns
    .map(({ name, sqlType, notNull }) => `${name} ${sqlType}${notNull ? ' NOT NULL' : ''}`)
    .join(',\n  ')},
  PRIMARY KEY (id)
)`;
