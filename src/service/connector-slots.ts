import type pg from 'pg';
import type { Config } from '../config.ts';
import { type Lsn, parseLsn } from '../core/lsn.ts';
import { quoteLiteral } from '../sources/wal/connect.ts';

/** A slot that a connector may stream from: not the pipeline's own, nor one that another pipeline streams from. */
export interface ConnectorSlot {
  name: string;
  active: boolean;
  /** The connector has told that everything before is in its topics. */
  confirmedFlush: Lsn;
}

export async function listConnectorSlots(client: pg.Client, { postgres }: Config): Promise<ConnectorSlot[]> {
  const { rows } = await client.query<{ name: string; active: boolean; confirmed: string }>(
    `SELECT slot_name AS name, active, coalesce(confirmed_flush_lsn, '0/0')::text AS confirmed
       FROM pg_replication_slots LEFT JOIN pg_stat_activity a ON a.pid = active_pid
      WHERE plugin IN ('pgoutput', 'decoderbufs') AND NOT temporary AND database = current_database()
        AND slot_name <> ${quoteLiteral(postgres.slot)} AND coalesce(a.application_name, '') <> 'wal-cdc'
      ORDER BY slot_name`,
  );
  return rows.map(({ name, active, confirmed }) => ({ name, active, confirmedFlush: parseLsn(confirmed) }));
}
