import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'main-'));
after(() => rmSync(folder, { recursive: true }));

async function walCdc(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], { env: { PATH: process.env.PATH, ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', chunk => (stdout += chunk));
  child.stderr.on('data', chunk => (stderr += chunk));
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

const commands = [
  'demo',
  'run',
  'clickhouse',
  'doctor',
  'plan',
  'status',
  'verify',
  'resync',
  'dead-letters list',
  'dead-letters show',
  'dead-letters replay',
  'dead-letters discard',
  'teardown',
];

test('help lists the commands, and each has examples', async () => {
  const { code, stdout } = await walCdc(['--help']);
  assert.equal(code, 0);
  for (const command of commands) {
    const [name, ...rest] = command.split(' ');
    assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
    const help = await walCdc([name!, ...rest, '--help']);
    assert.equal(help.code, 0, command);
    assert.match(help.stdout, new RegExp(`Examples:\n  wal-cdc ${command}`));
  }
  const { stdout: run } = await walCdc(['run', '--help']);
  for (const flag of [
    'mode',
    'tables',
    'snapshot',
    'postgres',
    'slot',
    'publication',
    'kafka',
    'topics',
    'registry',
  ])
    assert.match(run, new RegExp(`--${flag} <`));
  for (const flag of ['clickhouse', 'listen', 'config', 'until'])
    assert.match(run, new RegExp(`--${flag} <`));
});

test('the version is that of the package', async () => {
  const { code, stdout } = await walCdc(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('wrong usage exits with 2 and says what is near', async () => {
  for (const [args, message] of [
    [['run', '--mod', 'wal'], /unknown option '--mod'\n\(Did you mean --mode\?\)/],
    [['rum'], /unknown command 'rum'\n\(Did you mean run\?\)/],
    [[], /Usage: wal-cdc/],
    [['demo', '--for', 'soon'], /Expected a duration/],
    [['demo', '--port', '70000'], /from 0 to 65535/],
    [['run', 'now'], /too many arguments/],
  ] as const) {
    const { code, stdout, stderr } = await walCdc([...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stdout, '');
  }
});

test('a wrong configuration exits with 2, without a stack', async () => {
  const file = join(folder, 'c.yaml');
  writeFileSync(file, 'postgres:\n  ulr: x\n');
  const { code, stderr } = await walCdc(['run', '--config', file]);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^error: .*c\.yaml:2: unknown setting postgres\.ulr; the nearest is postgres\.url\nhint: /,
  );
  assert.match(stderr, /\ncode: CONFIG_INVALID\n$/);
  assert.doesNotMatch(stderr, /^ +at /m);
});

test('with --json an error is JSON on stdout', async () => {
  const { code, stdout, stderr } = await walCdc(['plan', '--json'], { WAL_CDC_MODE: 'wall' });
  assert.equal(code, 2);
  assert.equal(stderr, '');
  assert.deepEqual(Object.keys(JSON.parse(stdout).error), ['code', 'message', 'hint']);
  assert.equal(JSON.parse(stdout).error.message, 'WAL_CDC_MODE is "wall", expected synthetic, cdc or wal');
});
