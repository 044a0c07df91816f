import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CdcError } from '../core/errors.ts';
import { createLog, type LogOptions } from './log.ts';

function logged(
  options: LogOptions,
  isTTY: boolean,
  write: (log: ReturnType<typeof createLog>) => void,
): string {
  const folder = mkdtempSync(join(tmpdir(), 'log-'));
  const fd = openSync(join(folder, 'log'), 'w');
  try {
    write(createLog(options, { fd, isTTY }));
    return readFileSync(join(folder, 'log'), 'utf8');
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

test('JSON away from a terminal, one readable line on it', () => {
  const write = (log: ReturnType<typeof createLog>) => log.info({ table: 'public.t' }, 'copied');
  const json = JSON.parse(logged({ level: 'info', format: 'auto' }, false, write));
  assert.deepEqual({ ...json, time: '' }, { level: 'info', time: '', table: 'public.t', msg: 'copied' });
  assert.match(json.time, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.match(
    logged({ level: 'info', format: 'auto' }, true, write),
    /^\S*\[\d\d:\d\d:\d\d.*copied.*public\.t.*\n$/,
  );
  assert.match(
    logged({ level: 'info', format: 'pretty' }, false, write),
    /^\[\d\d:\d\d:\d\d\.\d+\] INFO: copied \{"table":"public\.t"\}\n$/,
  );
});

test('levels are kept', () => {
  const text = logged({ level: 'warn', format: 'json' }, false, log => {
    log.info('no');
    log.warn('yes');
  });
  assert.match(text, /"msg":"yes"/);
  assert.doesNotMatch(text, /"msg":"no"/);
});

test('secrets are replaced in fields, messages and errors', () => {
  for (const format of ['json', 'pretty'] as const) {
    const text = logged({ level: 'info', format }, false, log => {
      log.info(
        {
          password: 's3cret',
          postgres: { password: 's3cret' },
          config: { clickhouse: { password: 's3cret' } },
        },
        'a',
      );
      log.info({ headers: { authorization: 'Bearer s3cret' }, token: 's3cret' }, 'b');
      log.error(new Error('cannot reach postgres://me:s3cret@h/app'), 'c postgres://me:s3@cret@h');
      log.warn('cannot parse postgres://me:s3/cret@h/app?password=s3cret');
      log.info({ url: 'http://me:s3cret@h:8123' }, 'GET /?token=s3cret');
    });
    assert.doesNotMatch(text, /s3cret|cret@h/);
    assert.match(text, /postgres:\/\/me:\*\*\*@h\/app/);
  }
});

test('errors have code and hint, a stack only when debugging', () => {
  const write = (log: ReturnType<typeof createLog>) =>
    log.error(
      new CdcError('SINK_FULL', 'disk full', { hint: 'Free some.', cause: new Error('inner') }),
      'retrying',
    );
  const json = JSON.parse(logged({ level: 'info', format: 'json' }, false, write));
  assert.deepEqual(json.err, { code: 'SINK_FULL', message: 'disk full', hint: 'Free some.' });
  assert.doesNotMatch(logged({ level: 'info', format: 'pretty' }, false, write), /^ +at /m);
  assert.match(JSON.parse(logged({ level: 'debug', format: 'json' }, false, write)).err.stack, /inner/);
});
