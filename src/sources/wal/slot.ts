import type pg from 'pg';
import { CdcError } from '../../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../core/lsn.ts';
import { queryError, quoteLiteral } from './connect.ts';

export interface SlotState {
  plugin: string | null;
  type: string;
  database: string | null;
  activePid: number | null;
  /** Application name and address of who streams, as the server shows them to this role. */
  activeBy: string | null;
  confirmedFlush: Lsn;
  walStatus: string | null;
  invalidationReason: string | null;
  /** Bytes of WAL that the slot holds back; `safeBytes` until it may be lost, null without a limit. */
  retainedBytes: number;
  safeBytes: number | null;
}

export async function inspectSlot(
  client: pg.Client,
  slot: string,
  serverVersion: number,
): Promise<SlotState | undefined> {
  const reason = serverVersion >= 170000 ? 'invalidation_reason' : 'NULL::text';
  const { rows } = await client.query(`
    SELECT plugin, slot_type AS type, database, active_pid AS "activePid",
           (SELECT concat_ws(' from ', coalesce(nullif(a.application_name, ''), 'unnamed'), a.client_addr)
              FROM pg_stat_activity a WHERE a.pid = active_pid) AS "activeBy", wal_status AS "walStatus",
           ${reason} AS "invalidationReason", coalesce(confirmed_flush_lsn, '0/0')::text AS confirmed,
           safe_wal_size::float8 AS "safeBytes",
           coalesce(pg_current_wal_lsn() - restart_lsn, 0)::float8 AS "retainedBytes"
      FROM pg_replication_slots WHERE slot_name = ${quoteLiteral(slot)}`);
  const row = rows[0];
  return row && { ...row, confirmedFlush: parseLsn(row.confirmed) };
}

/** Throws what makes the slot unusable for this pipeline; `SLOT_IN_USE` when somebody streams from it. */
export function checkSlot(slot: string, state: SlotState, database: string): void {
  if (state.type !== 'logical' || state.plugin !== 'pgoutput' || state.database !== database)
    throw new CdcError(
      'SLOT_UNUSABLE',
      `replication slot "${slot}" is ${state.type}, plugin ${state.plugin ?? 'none'}, database ${state.database ?? 'none'}: ` +
        `a logical slot with plugin pgoutput in database ${database} is needed`,
    );
  if (state.walStatus === 'lost' || state.invalidationReason)
    throw new CdcError(
      'SLOT_LOST',
      `replication slot "${slot}" was invalidated by PostgreSQL (${state.invalidationReason ?? 'wal_removed'})`,
    );
  if (state.activePid !== null)
    throw new CdcError(
      'SLOT_IN_USE',
      `replication slot "${slot}" is in use by process ${state.activePid} of PostgreSQL${state.activeBy ? ` (${state.activeBy})` : ''}`,
    );
}

export function buildCreateSlotSql(slot: string, serverVersion: number): string {
  const failover = serverVersion >= 170000 ? ', false, true' : '';
  return `SELECT lsn::text FROM pg_create_logical_replication_slot(${quoteLiteral(slot)}, 'pgoutput', false${failover})`;
}

/** Creates a logical slot that survives failover where the server can do that; returns its consistent point. */
export async function createSlot(client: pg.Client, slot: string, serverVersion: number): Promise<Lsn> {
  try {
    const { rows } = await client.query<{ lsn: string }>(buildCreateSlotSql(slot, serverVersion));
    return parseLsn(rows[0]!.lsn);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === '42501')
      throw new CdcError('SOURCE_PRIVILEGE', `the role may not create the replication slot "${slot}"`, {
        cause: error,
        hint: 'As a superuser: ALTER ROLE <role> REPLICATION (managed services have a role for it, as rds_replication).',
      });
    if (code === '53400')
      throw new CdcError('SOURCE_PRIVILEGE', `no replication slot is free for "${slot}"`, {
        cause: error,
        hint: 'Drop slots that nobody uses, or raise max_replication_slots and restart PostgreSQL.',
      });
    if (code === '55000')
      throw new CdcError(
        'WAL_LEVEL',
        `the replication slot "${slot}" cannot be created: wal_level is not logical`,
        {
          cause: error,
        },
      );
    throw queryError(error, `creating the replication slot "${slot}"`);
  }
}

export async function dropSlot(client: pg.Client, slot: string): Promise<void> {
  await client.query(`SELECT pg_drop_replication_slot(${quoteLiteral(slot)})`).catch(error => {
    if ((error as { code?: string }).code === '42704') return; // gone already
    throw queryError(error, `dropping the replication slot "${slot}"`);
  });
}

/**
 * The position to start at for a checkpoint at `checkpoint`: PostgreSQL silently forwards a start position that is
 * below the slot's, so that changes in between would be missed.
 */
export function checkSlotAgainstCheckpoint(
  slot: string,
  state: SlotState | undefined,
  checkpoint: Lsn,
): void {
  if (!state)
    throw new CdcError(
      'SLOT_MISSING',
      `replication slot "${slot}" does not exist, but the checkpoint says it was read up to ${formatLsn(checkpoint)}`,
    );
  if (state.confirmedFlush > checkpoint)
    throw new CdcError(
      'SLOT_MOVED',
      `replication slot "${slot}" is at ${formatLsn(state.confirmedFlush)}, ahead of the checkpoint at ${formatLsn(checkpoint)}`,
    );
}

/** How often the server is told that the consumer is alive: three times before it would give it up. */
export async function statusIntervalMs(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ ms: number }>(
    "SELECT setting::int AS ms FROM pg_settings WHERE name = 'wal_sender_timeout'",
  );
  const timeoutMs = rows[0]!.ms;
  return timeoutMs > 0 ? Math.max(500, Math.min(10_000, timeoutMs / 3)) : 10_000;
}
