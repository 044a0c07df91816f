import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const program = `
  import { stopOnSignals } from ${JSON.stringify(new URL('signals.ts', import.meta.url).href)};
  const stop = stopOnSignals();
  setInterval(() => {}, 1000);
  stop.addEventListener('abort', () => console.log('stopping'));
  console.log('ready');
`;

async function start() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  await once(child.stdout, 'data');
  return child;
}

test('the first signal asks to stop, the second leaves with 130', async () => {
  const child = await start();
  child.kill('SIGTERM');
  const [text] = await once(child.stdout, 'data');
  assert.equal(String(text), 'stopping\n');
  // The time itself is what is tested: a signal this late is another one.
  await sleep(300);
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [130, null]);
});

test('a signal that arrives twice at once counts as one', async () => {
  const child = await start();
  child.kill('SIGINT');
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  await sleep(100);
  assert.equal(child.exitCode, null);
  child.kill('SIGKILL');
  await once(child, 'exit');
});
