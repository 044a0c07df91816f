import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CdcError } from '../core/errors.ts';
import { type Lsn, parseLsn } from '../core/lsn.ts';
import { connect, type PostgresAddress, queryError, quoteLiteral } from '../sources/wal/connect.ts';

/** A snapshot of the source that holds exactly the transactions whose commit record starts before `position`. */
export interface SourceSnapshot extends AsyncDisposable {
  position: Lsn;
  /**
   * The server's clock before the slot was made, in microseconds since 1970: a transaction that was stamped earlier
   * and is not in the snapshot was rolled back, as making a slot waits for all that are open.
   */
  takenAtMicros: bigint;
  /** A session in a read-only transaction that sees the snapshot; ends with `client.end()`. */
  open(): Promise<pg.Client>;
}

/**
 * Takes it from a temporary replication slot, which waits for the transactions that are open. The slot is gone when this
 * resolves (WAL is not held back); a transaction keeps the snapshot until it is disposed of.
 */
export async function takeSnapshot(address: PostgresAddress, signal?: AbortSignal): Promise<SourceSnapshot> {
  const replication = await connect(address, { replication: true });
  const abort = () => void replication.end();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    const clock = await replication.query<{ micros: string }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8::text AS micros',
    );
    const slot = await makeSlot(replication);
    const keeper = await openTransaction(address, slot.snapshot_name);
    try {
      const { rows } = await keeper.query<{ name: string }>('SELECT pg_export_snapshot() AS name');
      return {
        position: parseLsn(slot.consistent_point),
        takenAtMicros: BigInt(clock.rows[0]!.micros),
        open: () => openTransaction(address, rows[0]!.name),
        [Symbol.asyncDispose]: () => keeper.end(),
      };
    } catch (error) {
      await keeper.end();
      throw queryError(error, 'exporting a snapshot');
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    await replication.end();
  }
}

interface Slot {
  consistent_point: string;
  snapshot_name: string;
}

async function makeSlot(replication: pg.Client): Promise<Slot> {
  const name = `wal_cdc_verify_${randomBytes(8).toString('hex')}`;
  try {
    const { rows } = await replication.query<Slot>(
      `CREATE_REPLICATION_SLOT ${name} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT`,
    );
    return rows[0]!;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === '53400')
      throw new CdcError('SOURCE_PRIVILEGE', 'verify needs a temporary replication slot and none is free', {
        cause: error,
        hint: 'Drop slots that nobody uses, or raise max_replication_slots (and max_wal_senders) and restart PostgreSQL.',
      });
    if (code === '55000')
      throw new CdcError('WAL_LEVEL', 'verify needs a temporary replication slot: wal_level is not logical', {
        cause: error,
      });
    throw queryError(error, 'creating a temporary replication slot');
  }
}

async function openTransaction(address: PostgresAddress, snapshot: string): Promise<pg.Client> {
  const client = await connect(address);
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`);
    // Compiling such wide expressions takes longer than running them.
    await client.query(`SET LOCAL jit = off; SET LOCAL work_mem = '64MB'`);
    return client;
  } catch (error) {
    await client.end();
    throw queryError(error, 'opening the exported snapshot');
  }
}
