import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tempDir } from '../../../test/support/temp-dir.ts';

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
