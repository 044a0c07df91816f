import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generatedPages } from './docs.ts';

test('generated files are current', () => {
  for (const { file, text } of generatedPages())
    assert.equal(readFileSync(file, 'utf8'), text, `run "npm run docs" to update ${file.pathname}`);
});
