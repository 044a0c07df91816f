import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

export interface DemoOptions {
  forMs?: number;
  rate: number;
  port: number;
  dir: string;
}

export async function demo(_config: Config, _options: DemoOptions, _stop: AbortSignal): Promise<number> {
  throw new CdcError('UNEXPECTED', 'not built yet');
}
