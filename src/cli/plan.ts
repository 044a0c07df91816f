import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

export interface PlanOptions {
  json: boolean;
}

export async function plan(_config: Config, _options: PlanOptions, _stop: AbortSignal): Promise<number> {
  throw new CdcError('UNEXPECTED', 'not built yet');
}
