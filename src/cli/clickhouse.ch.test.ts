import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tempDir } from '../../test/support/temp-dir.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { runClickHouse } from './clickhouse.ts';

test('prints the URL first, once it answers, and ends with 0 on a signal', async t => {
  using dir = tempDir();
  const lines: string[] = [];
  t.mock.method(console, 'log', (line: string) => lines.push(line));
  t.mock.method(console, 'error', () => {});
  const abort = new AbortController();
  const exitCode = runClickHouse({ dir: dir.path, port: 0, password: 'secret', signal: abort.signal });
  const [url] = await waitFor(() => lines.length > 0 && lines, { what: 'the URL' });
  assert.match(url!, /^http:\/\/wal_cdc:secret@127\.0\.0\.1:\d+$/);
  const answer = await fetch(new URL(url!).origin, {
    method: 'POST',
    body: 'SELECT 1',
    headers: { 'X-ClickHouse-User': 'wal_cdc', 'X-ClickHouse-Key': 'secret' },
  });
  assert.equal(await answer.text(), '1\n');
  await assert.rejects(runClickHouse({ dir: dir.path, port: 0, signal: abort.signal }), {
    code: 'FOLDER_TAKEN',
  });
  abort.abort();
  assert.equal(await exitCode, 0);
});
