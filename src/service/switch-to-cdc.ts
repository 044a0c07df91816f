import { CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import { Metrics } from '../observe/metrics.ts';
import { dropPublication } from '../sources/wal/publication.ts';
import { dropSlot } from '../sources/wal/slot.ts';
import { listConnectorSlots } from './connector-slots.ts';
import { waitForOpenTransactions } from './open-transactions.ts';
import { runUntilAborted } from './run-until-aborted.ts';
import { SourceRows } from './source-rows.ts';
import { openSource } from './source-setup.ts';
import type { ModeSwitch } from './switch-mode.ts';
import { listTopicEnds } from './topic-ends.ts';
import { TopicOffsets } from './topic-offsets.ts';
import { WalService } from './wal-service.ts';

/**
 * The connector streams already; what it delivers from now on is read from the topics, and the slot is read to a marker
 * behind where that begins.
 */
export async function switchToCdc(own: ModeSwitch): Promise<void> {
  const { config, control, checkpoint, log, signal } = own;
  const source = await openSource(config.postgres.address!);
  const rows = new SourceRows(source.address);
  try {
    const slots = await listConnectorSlots(source.client, config);
    if (!slots.some(slot => slot.active))
      throw new CdcError('MODE_SWITCH', 'no connector streams from the source yet', {
        hint: 'Start the connector, wait until it has taken its snapshot and streams, then switch; snapshot.mode=no_data suffices, since ClickHouse has the rows.',
      });
    // What they wrote before the connector's publication was there may be missing in its topics.
    await waitForOpenTransactions(source.client, log, 'the switch to mode cdc', signal);
    const begin = await listTopicEnds(config);
    await deliverTo(own, await rows.settle());
    const offsets = new TopicOffsets(control);
    await offsets.begin(begin);
    await stopKeyless(own);
    // As mode `wal` has saved it since.
    const last = (await control.loadCheckpoint()) ?? checkpoint;
    await control.saveCheckpoint({ ...last, mode: 'cdc', position: '' });
    const { slotGiven, publicationGiven } = config.postgres;
    if (!slotGiven) await dropSlot(source.client, checkpoint.slot);
    if (!publicationGiven) await dropPublication(source.client, checkpoint.publication);
  } finally {
    await rows.close();
    await source.client.end().catch(() => {});
  }
}

/** Runs mode `wal` until everything before the marker is queryable, and every table is copied. */
async function deliverTo({ config, clickhouse, log, signal }: ModeSwitch, marker: Lsn): Promise<void> {
  log.info({ marker: formatLsn(marker) }, 'reading the slot up to a marker');
  const service = new WalService({
    config: { ...config, mode: 'wal' },
    clickhouse,
    metrics: new Metrics(),
    log,
    keepRows: false,
    until: marker,
  });
  await runUntilAborted(service, signal);
}

/** Rows without a key that both sides delivered would be there twice. */
async function stopKeyless({ control, log }: ModeSwitch): Promise<void> {
  for (const { schema, name, state } of await control.loadTables()) {
    if (state.key.length > 0 || state.phase !== 'streaming') continue;
    const table = qualifiedName({ schema, name });
    const message = `table ${table} has no key, and cannot go on in mode cdc where mode wal ended`;
    const hint =
      'Go back to mode wal, or exclude it here and read it with a pipeline of its own into another database.';
    log.error({ table, code: 'MODE_SWITCH' }, `table stopped: ${message}. ${hint}`);
    await control.saveTable(
      { schema, name },
      {
        ...state,
        phase: 'stopped',
        stopped: { code: 'MODE_SWITCH', message, hint, position: '0/0', at: new Date().toISOString() },
      },
    );
  }
}
