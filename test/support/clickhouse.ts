import { after } from 'node:test';
import { startClickHouse } from '../../src/embedded/clickhouse.ts';
import { tempDir } from './temp-dir.ts';

export type TestClickHouse = Awaited<ReturnType<typeof startClickHouse>> & AsyncDisposable;

/** A server of its own in a temporary folder, for tests that restart or kill it: `await using`. */
export async function startTestClickHouse(): Promise<TestClickHouse> {
  const dir = tempDir();
  try {
    const server = await startClickHouse({ dir: dir.path });
    return Object.assign(server, {
      async [Symbol.asyncDispose]() {
        await server.stop();
        dir[Symbol.dispose]();
      },
    });
  } catch (error) {
    dir[Symbol.dispose]();
    throw error;
  }
}

let shared: Promise<TestClickHouse> | undefined;
after(async () => {
  if (shared !== undefined) await (await shared)[Symbol.asyncDispose]();
});

/** The server of this test file: started by the first call, stopped after the last test. Use a database of your own in it. */
export function sharedClickHouse(): Promise<TestClickHouse> {
  shared ??= startTestClickHouse();
  return shared;
}
