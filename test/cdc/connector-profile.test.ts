import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connection, platformProfile } from '../support/kafka/platform-profile.ts';

const source = { postgresUrl: 'postgres://u@h/d', topicPrefix: 'cdc', slot: 's', publication: 'p' };

test("the connector's settings that docs/cdc.md advises are the ones that are tested", () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/cdc.md'), 'utf8');
  const table = page.slice(
    page.indexOf('| Setting | Value |'),
    page.indexOf('\n\n', page.indexOf('| Setting |')),
  );
  const advised: Record<string, string> = {};
  for (const row of table.split('\n').slice(2)) {
    const [names = [], values = []] = row
      .split('|')
      .slice(1, 3)
      .map(cell => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!));
    names.forEach((name, i) => {
      // "…" stands for the two converters.
      const settings = name.startsWith('…')
        ? ['key', 'value'].map(part => `${part}.converter${name.slice(1)}`)
        : [name];
      for (const setting of settings) advised[setting] = values[i] ?? values.at(-1)!;
    });
  }
  const tested = Object.entries(platformProfile(source)).filter(([name]) => !(name in connection(source)));
  assert.deepEqual(advised, Object.fromEntries(tested));
});
