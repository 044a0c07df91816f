import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { asCdcError } from '../core/errors.ts';
import type { Findings } from './doctor-findings.ts';
import { requireSameMode } from './pipeline-claims.ts';
import { requireBothSides } from './switch-mode.ts';

/** The checkpoint if it is of this mode. Of another one says what `run` would do: nothing else in it means something here. */
export function diagnoseMode(
  config: Config,
  checkpoint: Checkpoint | undefined,
  findings: Findings,
): Checkpoint | undefined {
  if (!checkpoint || checkpoint.mode === config.mode) return checkpoint;
  try {
    if (checkpoint.mode === 'synthetic') requireSameMode(config, checkpoint);
    requireBothSides(config, checkpoint);
    findings.ok('checkpoint', `of mode ${checkpoint.mode}: run switches the pipeline to mode ${config.mode}`);
  } catch (error) {
    findings.fail('checkpoint', asCdcError(error));
  }
  return undefined;
}
