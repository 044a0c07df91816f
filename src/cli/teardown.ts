import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

export interface TeardownOptions {
  data: boolean;
  json: boolean;
}

export async function teardown(
  _config: Config,
  _options: TeardownOptions,
  _stop: AbortSignal,
): Promise<number> {
  throw new CdcError('UNEXPECTED', 'not built yet');
}
