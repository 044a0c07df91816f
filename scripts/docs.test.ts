import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generatedPages } from './docs.ts';

test('generated files are current', () => {
  for (const { file, text } of generatedPages())
    assert.equal(readFileSync(file, 'utf8'), text, `run "node scripts/docs.ts" to update ${file.pathname}`);
});
