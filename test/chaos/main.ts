/**
 * `node test/chaos/main.ts [--kills 100] [--seed N] [--postgres 18|15] [--keep]`: see `chaos.ts`. Exit code 1 when anything is
 * wrong; then, or with --keep, the folder with the servers' data and the log of the service is kept.
 */
import { parseArgs } from 'node:util';
import { tempDir } from '../support/temp-dir.ts';
import { formatReport, runChaos } from './chaos.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    postgres: { type: 'string', default: '18' },
    keep: { type: 'boolean', default: false },
  },
});
const dir = tempDir();
const report = await runChaos({
  seed: Number(values.seed),
  kills: Number(values.kills),
  dir: dir.path,
  postgresBinDir:
    values.postgres === '15'
      ? (process.env.WAL_CDC_TEST_POSTGRES15 ?? '/usr/lib/postgresql/15/bin')
      : undefined,
  say: line => console.log(line),
});
console.log(formatReport(report));
if (report.violations.length > 0) process.exitCode = 1;
if (report.violations.length > 0 || values.keep) console.log(`kept: ${dir.path}`);
else dir[Symbol.dispose]();
