import assert from 'node:assert/strict';
import { seed } from '../support/seed.ts';
import { tempDir } from '../support/temp-dir.ts';
import { formatReport, runChaos } from './chaos.ts';

/** Runs the load with `kills` kills; on a failure `node test/chaos/main.ts --seed N --kills K --keep` does the same again. */
export async function expectEqualAfterKills(kills: number, say: (line: string) => void): Promise<void> {
  using dir = tempDir();
  const report = await runChaos({ seed, kills, dir: dir.path });
  for (const line of formatReport(report).split('\n')) say(line);
  assert.deepEqual(report.violations, []);
  const hits = [...report.kills.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(hits, kills);
}
