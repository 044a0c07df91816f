import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';

/** Throws for generated rows. */
export function requireSource({ mode }: Config, command: string): void {
  if (mode !== 'synthetic') return;
  throw new CdcError('CONFIG_INVALID', `${command} needs a source, which mode synthetic does not have`, {
    hint: 'Use --mode wal or cdc.',
  });
}

/** Throws for generated rows that go into PostgreSQL: nothing is saved about them. */
export function requireClickHouse({ mode, synthetic }: Config, command: string): void {
  if (mode === 'synthetic' && synthetic.into === 'postgres')
    throw new CdcError('CONFIG_INVALID', `${command} has nothing to say of rows that go into PostgreSQL`, {
      hint: 'They are in public.user_events there, and nowhere else; ask for the pipeline that reads them.',
    });
}
