import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempDir extends Disposable {
  path: string;
}

/** A new folder that goes with its scope: `using dir = tempDir()`. Other accounts may pass through, not list it. */
export function tempDir(): TempDir {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'wal-cdc-test-')));
  chmodSync(path, 0o711);
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}
