import type { Column, PgType, Relation } from '../src/core/relation.ts';
import type { VersionScheme } from '../src/core/version.ts';
import { RowEncoder } from '../src/sinks/clickhouse/row-encoder.ts';
import type { ConnectorModes } from '../src/sinks/clickhouse/types/debezium/connector-modes.ts';
import { codecFor, defaultType } from '../src/sinks/clickhouse/types/registry.ts';

const types = ['int8', 'uuid', 'text', 'jsonb', 'numeric', 'timestamptz'];
const names = ['id', 'user_id', 'event_type', 'payload', 'amount', 'occurred_at'];
const numeric12 = ((12 << 16) | 2) + 4;

/** Of `user_events`, as PostgreSQL's catalog has them. */
export const userEventsColumns = types.map((name, i): Column => {
  const type: PgType = { oid: 20, name, schema: 'pg_catalog', kind: 'base' };
  return { name: names[i]!, type, typmod: name === 'numeric' ? numeric12 : -1, notNull: name !== 'numeric' };
});

/** Of a connector with the platform profile. */
export const platformModes: ConnectorModes = {
  decimals: 'string',
  times: 'isostring',
  binary: 'base64',
  intervals: 'string',
};

/** The encoder of a service with default settings for `user_events`. */
export function buildUserEventsEncoder(
  columns: Column[],
  { versions, epoch }: { versions: VersionScheme; epoch: number },
): RowEncoder {
  const relation: Relation = { id: 1, schema: 'public', name: 'user_events', replicaIdentity: 'd', columns };
  return new RowEncoder(
    relation,
    columns.map(column => ({
      name: column.name,
      codec: codecFor(column, defaultType(column, { time64: true }), 'fail'),
      nullable: !column.notNull,
      key: column.name === 'id',
      nullIfInvalid: false,
      nullFlag: false,
    })),
    { epoch, versions, remedy: '', metaColumns: ['_version', '_is_deleted', '_committed_at'], key: ['id'] },
  );
}
