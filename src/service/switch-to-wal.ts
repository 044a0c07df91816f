import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { TableState } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import { formatLsn, type Lsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import { checkTarget, inspectTarget, planTarget } from '../sinks/clickhouse/target.ts';
import type { SourceTable } from '../sources/wal/catalog.ts';
import { targetOptions } from './clickhouse-address.ts';
import { knownColumns } from './column-changes.ts';
import { type ConnectorSlot, listConnectorSlots } from './connector-slots.ts';
import { makeSlot } from './establish-slot.ts';
import { copyAfresh } from './mark-for-copy.ts';
import { waitForOpenTransactions } from './open-transactions.ts';
import { SourceCatalog } from './source-catalog.ts';
import { SourceRows } from './source-rows.ts';
import { ensurePublication, openSource, resolveScope, type SourceSession } from './source-setup.ts';
import type { ModeSwitch } from './switch-mode.ts';
import { TopicCatchUp } from './topic-catch-up.ts';

const pollIntervalMs = 200;
const sayIntervalMs = 10_000;

/** The slot begins first; then what the connector has delivered up to a marker behind the slot's begin is read from the topics. */
export async function switchToWal(own: ModeSwitch): Promise<void> {
  const { config, control, checkpoint, log, signal } = own;
  const source = await openSource(config.postgres.address!);
  const rows = new SourceRows(source.address);
  const catalog = new SourceCatalog(source.address);
  try {
    requireConnector(await listConnectorSlots(source.client, config));
    const scope = await resolveScope(source, config);
    const publication = await ensurePublication(source, config, scope);
    const next = await makeSlot(source, config, publication, checkpoint.epoch, log);
    // Rows that they wrote before the publication was there are not in the stream of the slot.
    await waitForOpenTransactions(source.client, log, 'the switch to mode wal', signal);
    const marker = await rows.settle();
    await untilProduced(own, source, marker);
    const topics = new TopicCatchUp({ ...own, config: { ...config, mode: 'cdc' }, catalog });
    await topics.reach(marker);
    signal.throwIfAborted();
    const { tables } = await resolveScope(source, config);
    // After a crash in between, tables that are not taken over yet are copied afresh.
    await control.saveCheckpoint(next);
    await takeOverTables(own, tables);
  } finally {
    await catalog.close();
    await rows.close();
    await source.client.end().catch(() => {});
  }
}

function requireConnector(slots: readonly ConnectorSlot[]): void {
  if (slots.some(slot => slot.active)) return;
  const names = slots.map(slot => slot.name).join(', ');
  throw new CdcError(
    'MODE_SWITCH',
    `no connector streams from the source${names ? ` (slots that nobody uses: ${names})` : ''}: what the topics lack cannot be known`,
    {
      hint: 'Leave the connector running until the pipeline has switched. If it is gone for good: "wal-cdc teardown --mode cdc", then every table is copied afresh.',
    },
  );
}

/** Until every connector has told that what is before the marker is in its topics. */
async function untilProduced({ config, log, signal }: ModeSwitch, source: SourceSession, marker: Lsn) {
  let saidAtMs = performance.now() - sayIntervalMs / 2;
  for (;;) {
    const slots = (await listConnectorSlots(source.client, config)).filter(slot => slot.active);
    requireConnector(slots);
    const behind = slots.filter(slot => slot.confirmedFlush < marker);
    if (behind.length === 0) return;
    if (performance.now() - saidAtMs > sayIntervalMs) {
      saidAtMs = performance.now();
      log.info(
        {
          slots: behind.map(({ name, confirmedFlush }) => `${name} at ${formatLsn(confirmedFlush)}`),
          marker: formatLsn(marker),
        },
        "waiting for the connector to confirm a marker: it does so at Connect's next offset.flush.interval.ms",
      );
    }
    await sleep(pollIntervalMs, undefined, { signal });
  }
}

/** Tables with a key go on as they are, if they fit; the others are copied afresh behind the live ones. */
async function takeOverTables({ config, control, log, sink }: ModeSwitch, sources: readonly SourceTable[]) {
  for (const { schema, name, state } of await control.loadTables()) {
    const source = sources.find(table => table.schema === schema && table.name === name);
    // What the switch to mode cdc stopped can go on; other trouble stays.
    if (!source || (state.stopped && state.stopped.code !== 'MODE_SWITCH')) continue;
    const isComplete =
      state.phase === 'streaming' &&
      source.key.length > 0 &&
      state.key.join() === source.key.join() &&
      (await fits(config, sink, source));
    if (!isComplete) log.info({ table: qualifiedName(source) }, 'copied afresh in mode wal');
    await control.saveTable({ schema, name }, isComplete ? takeOver(state, source) : copyAfresh(state));
  }
}

function takeOver(state: TableState, source: SourceTable): TableState {
  const { keyRule, membership } = source;
  return { ...state, keyRule, membership, columns: knownColumns(source.columns) };
}

async function fits(
  config: Config,
  { clickhouse, capabilities }: ModeSwitch['sink'],
  source: SourceTable,
): Promise<boolean> {
  const options = targetOptions(config);
  const plan = planTarget(source, options, capabilities);
  const actual = await inspectTarget(clickhouse, plan.name);
  if (!actual || source.columns.some(({ name }) => !actual.columns.has(name))) return false;
  try {
    checkTarget(source, plan, actual, options);
    return true;
  } catch (error) {
    if (error instanceof CdcError && error.action === 'stop-table') return false;
    throw error;
  }
}
