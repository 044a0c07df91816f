import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { CdcError } from '../core/errors.ts';
import type { Log } from '../observe/log.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import { type ClickHouseAddress, connectClickHouse } from './clickhouse-address.ts';

export interface SwitchModeOptions {
  config: Config;
  clickhouse: ClickHouseAddress;
  log: Log;
  signal: AbortSignal;
}

/** What a switch has in hand beside its options. */
export interface ModeSwitch extends SwitchModeOptions {
  sink: Awaited<ReturnType<typeof connectClickHouse>>;
  control: ControlTables;
  /** Of the mode that is left. */
  checkpoint: Checkpoint;
}

/**
 * Takes a pipeline over from mode `cdc` to `wal` or back, so that `config.mode` goes on where the other one ends: see
 * docs/architecture.md, "Switching modes". Does nothing when the pipeline is in that mode already, or new.
 * Throws MODE_SWITCH, or what keeps one of the two sides from running.
 */
export async function switchMode(options: SwitchModeOptions): Promise<void> {
  const { config, log } = options;
  const sink = await connectClickHouse(options.clickhouse);
  try {
    const control = new ControlTables(sink.clickhouse, config.pipeline, config.clickhouse.cluster);
    const checkpoint = (await control.exists()) ? await control.loadCheckpoint() : undefined;
    if (!checkpoint || checkpoint.mode === config.mode || checkpoint.mode === 'synthetic') return;
    requireBothSides(config, checkpoint);
    log.info({ from: checkpoint.mode, to: config.mode }, 'switching the mode of the pipeline');
    const own: ModeSwitch = { ...options, sink, control, checkpoint };
    // The mode that is left needs code that the other one does not load.
    if (config.mode === 'wal') await (await import('./switch-to-wal.ts')).switchToWal(own);
    else await (await import('./switch-to-cdc.ts')).switchToCdc(own);
    log.info({ mode: config.mode }, 'the pipeline goes on in its new mode');
  } finally {
    await sink.clickhouse.close();
  }
}

/** Throws MODE_SWITCH. */
export function requireBothSides({ mode, pipeline, postgres, kafka }: Config, from: Checkpoint): void {
  const missing = !postgres.address
    ? 'postgres.url'
    : kafka.brokers.length === 0
      ? 'kafka.brokers'
      : undefined;
  if (missing)
    throw new CdcError(
      'MODE_SWITCH',
      `pipeline "${pipeline}" was run in mode ${from.mode} before, and to go on in mode ${mode} it needs ${missing} too`,
      {
        hint: 'For the switch the configuration must have both postgres and kafka: what one side has not delivered yet is fetched before the other one takes over. Or choose another --pipeline, or give this one up: "wal-cdc teardown" in the mode that it was run in.',
      },
    );
}
