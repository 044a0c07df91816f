import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

export interface StatusOptions {
  json: boolean;
}

export async function status(_config: Config, _options: StatusOptions, _stop: AbortSignal): Promise<number> {
  throw new CdcError('UNEXPECTED', 'not built yet');
}
