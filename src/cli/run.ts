import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

export interface RunOptions {
  untilPosition?: string;
  keepRows: boolean;
}

export async function run(_config: Config, _options: RunOptions, _stop: AbortSignal): Promise<number> {
  throw new CdcError('UNEXPECTED', 'not built yet');
}
