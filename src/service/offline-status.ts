import type { Config, Mode } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { asCdcError, type ErrorCode } from '../core/errors.ts';
import { formatLsn, parseLsn } from '../core/lsn.ts';
import type { PartitionStatus, Problem, TableStatus } from '../observe/status.ts';
import { ControlTables, type SavedOffset } from '../sinks/clickhouse/control-tables.ts';
import { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { targetName } from '../sinks/clickhouse/names.ts';
import { connect, queryError } from '../sources/wal/connect.ts';
import { inspectSlot } from '../sources/wal/slot.ts';
import { connectClickHouse, findClickHouse, hasEmbeddedData } from './clickhouse-address.ts';
import { askBrokers, type GroupStatus, savedPartitions } from './topic-status.ts';

/** What is known of a pipeline without its service: what it saved in ClickHouse, and its slot in PostgreSQL or what brokers say. */
export interface OfflineStatus {
  running: false;
  pipeline: string;
  mode: Mode;
  /** Last saved position; undefined when there is none. */
  checkpoint?: string;
  /** What it saved is in an embedded ClickHouse, which runs with the service only. */
  embedded?: true;
  /** The end of the source's WAL. */
  sourcePosition?: string;
  /** WAL behind the checkpoint. */
  lagBytes?: number;
  slot?: {
    name: string;
    /** A process that streams from it, though no service answers. */
    activePid?: number;
    activeBy?: string;
    walStatus: string | null;
    invalidationReason: string | null;
    retainedWalBytes: number;
    safeWalBytes: number | null;
  };
  /** Of mode `cdc`: messages that are not queryable yet, as far as it is known. */
  lagMessages?: number;
  partitions?: PartitionStatus[];
  /** Of mode `cdc`, when it exists. */
  group?: GroupStatus;
  tables: TableStatus[];
  /** Open ones, messages among them. */
  deadLetters: number;
  /** Servers that did not tell. */
  problems: Problem[];
}

export async function readOfflineStatus(config: Config): Promise<OfflineStatus> {
  const status: OfflineStatus = {
    running: false,
    pipeline: config.pipeline,
    mode: config.mode,
    tables: [],
    deadLetters: 0,
    problems: [],
  };
  const attempt = async (read: () => Promise<void>) => {
    try {
      await read();
    } catch (error) {
      const { code, message, hint } = asCdcError(error);
      status.problems.push({ code, message, hint });
    }
  };
  const offsets: SavedOffset[] = [];
  await attempt(() => readSaved(config, status, offsets));
  if (config.mode === 'wal') await attempt(() => readSource(config, status));
  if (config.mode === 'cdc') {
    status.partitions = savedPartitions(offsets);
    await attempt(async () => {
      const { partitions, group } = await askBrokers(config, offsets);
      Object.assign(status, { partitions, ...(group && { group }) });
      status.lagMessages = partitions.reduce((sum, { lag = 0 }) => sum + lag, 0);
    });
  }
  return status;
}

async function readSaved(config: Config, status: OfflineStatus, offsets: SavedOffset[]): Promise<void> {
  const opened = await findClickHouse(config);
  if (!opened) {
    if (hasEmbeddedData()) status.embedded = true;
    return;
  }
  const { clickhouse } = await connectClickHouse(opened.address);
  try {
    const control = new ControlTables(clickhouse, config.pipeline, config.clickhouse.cluster);
    if (!(await control.exists())) return;
    // In mode `cdc` it has no position: offsets do.
    status.checkpoint = (await control.loadCheckpoint())?.position || undefined;
    if (config.mode === 'cdc') offsets.push(...(await control.loadOffsets()));
    const letters = new DeadLetters(clickhouse, config.pipeline);
    if (await letters.exists()) await letters.countOpen();
    for (const open of letters.open.values()) status.deadLetters += open;
    status.tables = (await control.loadTables()).map(table => savedTableStatus(config, table, letters.open));
  } finally {
    await clickhouse.close();
  }
}

function savedTableStatus(
  config: Config,
  { schema, name, state }: { schema: string; name: string; state: TableState },
  openLetters: ReadonlyMap<string, number>,
): TableStatus {
  const deadLetters = openLetters.get(`${schema}.${name}`) ?? 0;
  const target = targetName(config.clickhouse.database, { schema, name });
  const { stopped, leaves = [] } = state;
  const chunks = leaves.reduce((sum, leaf) => sum + leaf.chunks, 0);
  const done = leaves.reduce((sum, leaf) => sum + leaf.done.length, 0);
  return {
    name: `${schema}.${name}`,
    target: `${target.database}.${target.table}`,
    state: state.phase === 'copying' && state.base === undefined ? 'pending' : state.phase,
    rows: 0,
    ...(deadLetters > 0 ? { deadLetters } : {}),
    ...(state.copiedRows > 0 ? { copiedRows: state.copiedRows } : {}),
    ...(state.phase === 'copying' && chunks > 0
      ? { copyPercent: Math.round((done / chunks) * 1000) / 10 }
      : {}),
    ...(stopped
      ? {
          reason: { code: stopped.code as ErrorCode, message: stopped.message, hint: stopped.hint },
          since: stopped.position,
        }
      : {}),
  };
}

async function readSource(config: Config, status: OfflineStatus): Promise<void> {
  const client = await connect(config.postgres.address!);
  try {
    const { rows } = await client.query<{ version: number; lsn: string }>(
      `SELECT current_setting('server_version_num')::int AS version, pg_current_wal_lsn()::text AS lsn`,
    );
    const { version, lsn } = rows[0]!;
    status.sourcePosition = formatLsn(parseLsn(lsn));
    if (status.checkpoint) status.lagBytes = Math.max(0, Number(parseLsn(lsn) - parseLsn(status.checkpoint)));
    const slot = await inspectSlot(client, config.postgres.slot, version);
    if (!slot) return;
    status.slot = {
      name: config.postgres.slot,
      ...(slot.activePid === null ? {} : { activePid: slot.activePid, activeBy: slot.activeBy ?? undefined }),
      walStatus: slot.walStatus,
      invalidationReason: slot.invalidationReason,
      retainedWalBytes: slot.retainedBytes,
      safeWalBytes: slot.safeBytes,
    };
  } catch (error) {
    throw queryError(error, 'looking at the slot');
  } finally {
    await client.end();
  }
}
