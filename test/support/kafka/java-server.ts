import type { TempDir } from '../temp-dir.ts';
import { type JavaProcess, type JavaProgram, startJava } from './java.ts';

/** A server of the tests that can be killed and started again on what it has; its folder goes with its scope. */
export interface JavaServer extends AsyncDisposable {
  /** Its folder; the log is in it. */
  dir: string;
  readonly pid: number;
  /** SIGKILL, as in a crash; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM, as an operator ends it; resolves when the process is gone. */
  stop(): Promise<void>;
  /** After `kill` or `stop`, on the same data and ports. Resolves when it is ready. */
  startAgain(): Promise<void>;
}

/**
 * Starts `program` and disposes of `temp` when that fails or at the end.
 * @param isReady gets what the process has written since its start
 */
export async function startJavaServer(
  temp: TempDir,
  program: JavaProgram,
  isReady: (output: () => string) => boolean | Promise<boolean>,
): Promise<JavaServer> {
  let running: JavaProcess;
  const start = async () => {
    running = startJava(program);
    await running.becomesReady(() => isReady(running.output));
  };
  const dispose = async () => {
    await running.end();
    temp[Symbol.dispose]();
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    dir: temp.path,
    get pid() {
      return running.pid;
    },
    kill: () => running.kill(),
    stop: () => running.stop(),
    startAgain: start,
    [Symbol.asyncDispose]: dispose,
  };
}
