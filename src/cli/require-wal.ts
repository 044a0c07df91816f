import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

/** Throws for pipelines that do not read PostgreSQL's WAL themselves. */
export function requireWal(config: Config): void {
  if (config.mode !== 'wal')
    throw new CdcError('CONFIG_INVALID', `mode ${config.mode} is not there yet`, { hint: 'Use --mode wal.' });
}
