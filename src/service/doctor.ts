import type { Config } from '../config.ts';
import { asCdcError } from '../core/errors.ts';
import { findClickHouse } from './clickhouse-address.ts';
import { diagnoseCdc } from './doctor-cdc.ts';
import { count, type Finding, Findings } from './doctor-findings.ts';
import { diagnoseLetters } from './doctor-letters.ts';
import { diagnoseListen } from './doctor-listen.ts';
import { diagnoseMode } from './doctor-mode.ts';
import { diagnoseServer } from './doctor-server.ts';
import { diagnoseSettings } from './doctor-settings.ts';
import { diagnoseClickHouse, diagnoseDatabases, type SinkSession } from './doctor-sink.ts';
import { diagnosePublication, diagnoseSlot } from './doctor-stream.ts';
import { diagnoseSynthetic } from './doctor-synthetic.ts';
import { diagnoseLeftOut, diagnoseTables } from './doctor-tables.ts';
import { readSavedState } from './saved-state.ts';
import { resolveScope, type SourceSession } from './source-setup.ts';
import { fitTables } from './table-fit.ts';

export interface DiagnoseOptions {
  config: Config;
  /** Leaves out the look at every row of tables that are yet to be copied. */
  fast: boolean;
  /** Told each finding as it comes up, and each table whose rows are about to be read. */
  onFinding(finding: Finding): void;
  onScan(table: string): void;
}

/** Checks source and sink for what `run` needs. Writes nothing. */
export async function diagnose(options: DiagnoseOptions): Promise<Finding[]> {
  const { config } = options;
  const findings = new Findings(options.onFinding);
  if (config.mode !== 'wal') {
    if (config.mode === 'cdc') await diagnoseCdc(options, findings);
    else await diagnoseSynthetic(config, findings);
    return findings.all;
  }
  const opened = await findClickHouse(config);
  const sink = await diagnoseClickHouse(config, opened, findings);
  let source: SourceSession | undefined;
  try {
    source = await diagnoseServer(config, findings);
    if (source) await diagnosePipeline(options, source, sink, opened?.address.user ?? '', findings);
    await diagnoseListen(config, findings);
  } finally {
    await source?.client.end().catch(() => {});
    await sink?.clickhouse.close();
  }
  return findings.all;
}

async function diagnosePipeline(
  options: DiagnoseOptions,
  source: SourceSession,
  sink: SinkSession | undefined,
  user: string,
  findings: Findings,
): Promise<void> {
  const { config } = options;
  const saved = await readSavedState(config, sink?.clickhouse);
  const checkpoint = diagnoseMode(config, saved.checkpoint, findings);
  await diagnoseSlot(source, config, checkpoint, findings);
  const scope = await resolveScope(source, config).catch(error => {
    findings.fail('tables', asCdcError(error));
    return undefined;
  });
  if (!scope) return;
  findings.ok('tables', `${count(scope.tables.length, 'table')} to replicate`);
  await diagnoseLeftOut(source, config, scope, findings);
  diagnoseSettings(config, scope, findings);
  await diagnosePublication(source, config, scope, checkpoint, findings);
  const fits = await fitTables(
    scope.tables,
    config,
    saved.states,
    sink?.clickhouse,
    sink?.capabilities ?? { time64: true },
  );
  if (sink) {
    const databases = fits.flatMap(fit => (fit.plan ? [fit.plan.name.database] : []));
    await diagnoseDatabases(sink, config, [...new Set(databases)], user, findings);
  }
  await diagnoseTables(source, config, scope, fits, options, findings);
  if (sink) await diagnoseLetters(sink.clickhouse, config, findings);
}
