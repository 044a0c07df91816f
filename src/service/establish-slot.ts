import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import type { Log } from '../observe/log.ts';
import type { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { connect, queryError } from '../sources/wal/connect.ts';
import type { Publication } from '../sources/wal/publication.ts';
import {
  checkSlot,
  checkSlotAgainstCheckpoint,
  createSlot,
  dropSlot,
  inspectSlot,
} from '../sources/wal/slot.ts';
import type { SourceSession } from './source-setup.ts';

/** Slot and checkpoint belong together: see docs/architecture.md, "On start". */
export async function establishSlot(
  source: SourceSession,
  config: Config,
  control: ControlTables,
  checkpoint: Checkpoint | undefined,
  publication: Publication,
  log: Log,
): Promise<Checkpoint> {
  const { client, info } = source;
  const { slot, publication: publicationName } = config.postgres;
  if (checkpoint) {
    const state = await inspectSlot(client, slot, info.serverVersion);
    if (state) checkSlot(slot, state, info.database);
    if (checkpoint.systemId !== info.systemId)
      throw new CdcError(
        'SOURCE_CHANGED',
        `the checkpoint is of PostgreSQL system ${checkpoint.systemId}, this is system ${info.systemId}`,
      );
    if (checkpoint.slot !== slot)
      throw new CdcError(
        'CONFIG_INVALID',
        `the checkpoint is of slot "${checkpoint.slot}", not of "${slot}"`,
        {
          hint: `Set postgres.slot to ${checkpoint.slot}, or choose another --pipeline.`,
        },
      );
    if (checkpoint.publicationOid !== publication.oid)
      throw new CdcError(
        'PUBLICATION_MISSING',
        `publication "${publicationName}" is not the one of the checkpoint: changes may be missing`,
        { hint: 'Run "wal-cdc teardown" and start again: the tables are copied afresh.' },
      );
    checkSlotAgainstCheckpoint(slot, state, parseLsn(checkpoint.position));
    if (checkpoint.timeline === info.timeline) return checkpoint;
    await requireSharedPast(source, checkpoint);
    const next = { ...checkpoint, timeline: info.timeline, epoch: checkpoint.epoch + 1 };
    log.warn(
      { timeline: info.timeline, epoch: next.epoch },
      'the source was promoted: versions go on in a new epoch',
    );
    await control.saveCheckpoint(next);
    return next;
  }
  const first = await makeSlot(source, config, publication, 1, log);
  await control.saveCheckpoint(first);
  return first;
}

/** A slot for a pipeline that has no checkpoint of it yet; returns the first one, which is not saved. */
export async function makeSlot(
  { client, info }: SourceSession,
  config: Config,
  publication: Publication,
  epoch: number,
  log: Log,
): Promise<Checkpoint> {
  const { slot, slotGiven, publication: publicationName } = config.postgres;
  const state = await inspectSlot(client, slot, info.serverVersion);
  if (state) checkSlot(slot, state, info.database);
  let position: Lsn;
  if (state && slotGiven) position = state.confirmedFlush;
  else {
    // One that we made and never saved a checkpoint for: its changes would be copied rows' changes twice at best.
    if (state) await dropSlot(client, slot);
    log.info({ slot }, 'creating the replication slot (waits for transactions that are open)');
    position = await createSlot(client, slot, info.serverVersion);
  }
  return {
    mode: 'wal',
    epoch,
    position: formatLsn(position),
    systemId: info.systemId,
    timeline: info.timeline,
    slot,
    publication: publicationName,
    publicationOid: publication.oid,
  };
}

/**
 * After a failover: a standby that was promoted before it had everything does not know transactions that are in
 * ClickHouse already.
 */
async function requireSharedPast(source: SourceSession, checkpoint: Checkpoint): Promise<void> {
  const client = await connect(source.address, { replication: true });
  try {
    const { rows } = await client.query<{ content: Buffer | string }>(
      `TIMELINE_HISTORY ${source.info.timeline}`,
    );
    const end = timelineEnd(String(rows[0]?.content ?? ''), checkpoint.timeline);
    if (end !== undefined && end >= parseLsn(checkpoint.position)) return;
    throw new CdcError(
      'SOURCE_CHANGED',
      `the source was promoted at ${end === undefined ? 'an unknown position' : formatLsn(end)} and lost transactions up to ` +
        `${checkpoint.position} that are in ClickHouse`,
      { hint: 'Run "wal-cdc teardown" and start again: every table is copied afresh behind the live one.' },
    );
  } catch (error) {
    throw queryError(error, 'reading the history of timelines');
  } finally {
    await client.end();
  }
}

/** Where `timeline` ended, from a timeline history file (lines of timeline, switch position, reason). */
export function timelineEnd(history: string, timeline: number): Lsn | undefined {
  for (const line of history.split('\n')) {
    const [id, position] = line.trim().split(/\s+/);
    if (Number(id) === timeline && position) return parseLsn(position);
  }
  return undefined;
}
