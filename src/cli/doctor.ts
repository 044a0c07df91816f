import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

export interface DoctorOptions {
  json: boolean;
}

export async function doctor(_config: Config, _options: DoctorOptions, _stop: AbortSignal): Promise<number> {
  throw new CdcError('UNEXPECTED', 'not built yet');
}
