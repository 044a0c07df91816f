/**
 * `npm test [-- PATH…]`: every test below the current folder's src, test, bench and scripts, or those whose path contains
 * a PATH (`src/core`, `lsn`).
 *
 * Names say what a file needs: `x.test.ts` nothing, `x.pg.test.ts` PostgreSQL, `x.ch.test.ts` ClickHouse,
 * `x.kafka.test.ts` Java, `x.helm.test.ts` helm-unittest, `x.kube.test.ts` kustomize and kubeconform, `x.terraform.test.ts` Terraform,
 * `x.aws.test.ts` an emulator of AWS, `x.image.test.ts` programs that build and run an image, `x.cluster.slow.test.ts` a control plane
 * of Kubernetes. These come last, since they may have to wait for that to be built.
 * `x.slow.test.ts`, also after one of those, is the slow tier: it runs with WAL_CDC_SLOW=1, with CI set, or when a PATH
 * names the file. What is left out is listed with its reason before the totals; with CI set that is a failure, but for tiers that
 * the machine lacks what they need, which WAL_CDC_TEST_WITHOUT names (`image`, `cluster`).
 */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import type { TestEvent } from 'node:test/reporters';
import { spec } from 'node:test/reporters';

const inCi = Boolean(process.env.CI);
const slowTier = inCi || process.env.WAL_CDC_SLOW === '1';
const fileTimeoutMs = slowTier ? 3_600_000 : 600_000;

const isLast = (file: string) => file.endsWith('.cluster.slow.test.ts');
const paths = process.argv.slice(2).map(path => relative('.', path));
const asked = globSync('{src,test,bench,scripts}/**/*.test.ts')
  .filter(file => paths.length === 0 || paths.some(path => file.includes(path)))
  .sort()
  .sort((a, b) => Number(isLast(a)) - Number(isLast(b)));
const isDeferred = (file: string) =>
  file.endsWith('.slow.test.ts') && !slowTier && !paths.some(path => file.endsWith(path));
const impossible = (process.env.WAL_CDC_TEST_WITHOUT ?? '').split(',').filter(Boolean);
const isImpossible = (file: string) => impossible.some(tier => file.includes(`.${tier}.`));
const files = asked.filter(file => !isDeferred(file) && !isImpossible(file));
const leftOut = asked.filter(isDeferred).map(file => `${file}: slow tier, WAL_CDC_SLOW=1 runs it`);
const notRun = asked
  .filter(isImpossible)
  .map(file => `${file}: WAL_CDC_TEST_WITHOUT says that what it needs is not here`);

if (asked.length === 0) {
  console.error(`No test file matches ${paths.join(' ')}.`);
  process.exit(2);
}

// Each file is a process, and one with servers keeps about a core busy: two at a time on two cores.
const concurrency = Math.max(2, Math.floor(availableParallelism() / 2));
const events = run({ files, concurrency, timeout: fileTimeoutMs });
await pipeline(events, withLeftOut, new spec(), process.stdout, { end: false });

/** Collects what is skipped, puts it as diagnostics before the totals, and sets the exit code. */
async function* withLeftOut(events: AsyncIterable<TestEvent>): AsyncGenerator<TestEvent> {
  for await (const event of events) {
    if (event.type === 'test:pass' && event.data.skip !== undefined && event.data.skip !== false) {
      const reason = typeof event.data.skip === 'string' ? event.data.skip : 'no reason given';
      leftOut.push(`${relative('.', event.data.file ?? '')} "${event.data.name}": ${reason}`);
    }
    // The totals start with the only plan of the outermost level.
    if (event.type === 'test:plan' && event.data.nesting === 0 && event.data.file === undefined) {
      for (const line of notRun) yield diagnostic(`not run: ${line}`);
      for (const line of leftOut) yield diagnostic(`left out: ${line}`);
      if (inCi && leftOut.length > 0) yield diagnostic('failed: with CI set nothing may be left out');
    }
    if (event.type === 'test:summary' && event.data.file === undefined) {
      process.exitCode = event.data.success && !(inCi && leftOut.length > 0) ? 0 : 1;
    }
    yield event;
  }
}

function diagnostic(message: string): TestEvent {
  return { type: 'test:diagnostic', data: { nesting: 0, message, level: 'warn', file: '' } } as TestEvent;
}
