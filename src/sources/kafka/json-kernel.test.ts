import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { envelope } from '../../../test/support/debezium.ts';
import { readChange } from '../../../test/support/read-change.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { memoryBytes } from './json-kernel.ts';
import { TopicReader } from './read-envelope.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

test('the kernel that is checked in is what its source compiles to', () => {
  using dir = tempDir();
  const built = join(dir.path, 'kernel.wasm');
  const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js');
  execFileSync(process.execPath, [compiler, '--config', 'wasm/asconfig.json', '--outFile', built], {
    cwd: root,
  });
  const expected = readFileSync(built);
  const actual = readFileSync(new URL('json-kernel.wasm', import.meta.url));
  assert.ok(expected.equals(actual), 'run "npm run build:wasm"');
});

test('shapes that do not come again, and large messages, do not fill its memory', () => {
  const reader = new TopicReader({ placeholder: '__debezium_unavailable_value' });
  const key = Buffer.from('{"id":1}');
  const read = (row: object) =>
    readChange(reader, { key, value: Buffer.from(JSON.stringify(envelope('c', null, row))) });
  read({ id: 1 });
  const before = memoryBytes();
  for (let i = 0; i < 5000; i++) read({ id: 1, [`${'name'.repeat(500)}${i}`]: i });
  for (let i = 0; i < 10; i++) read({ id: 1, [`text${i}`]: 'x'.repeat(9 << 20) });
  assert.ok(memoryBytes() - before < 1 << 20, `${memoryBytes() - before} bytes`);
});
