import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { withLifeline } from '../lifeline.ts';
import { waitFor } from '../wait-for.ts';

const javaVersion = spawnSync('java', ['-version'], { encoding: 'utf8' }).stderr ?? '';
const hasMaven = spawnSync('/bin/sh', ['-c', 'command -v mvn']).status === 0;

/** For `test(name, { skip: withoutKafka }, …)`: false, or why Kafka cannot run here. */
export const withoutKafka: string | false = (() => {
  const major = /version "(\d+)/.exec(javaVersion)?.[1];
  if (major === undefined) return 'no Java in PATH, Kafka needs 17 or later';
  if (Number(major) < 17) return `Java ${major} in PATH, Kafka needs 17 or later`;
  return !hasMaven && 'no Maven (mvn) in PATH, which brings the jars';
})();

export interface JavaProgram {
  /** Absolute: its jars. Takes the archive of its classes beside them. */
  jarFolder: string;
  /** Names the archive. */
  name: string;
  /** Between `java` and the program, as in `-Xmx1g`. */
  jvm: readonly string[];
  /** The class and its arguments, or `-jar` and so on. */
  command: readonly string[];
  cwd: string;
  /** Takes all output, after what it has. */
  logFile: string;
}

/** A Java process that is killed when this process dies, however that happens. It does not see the terminal's Ctrl-C. */
export interface JavaProcess {
  pid: number;
  /** Resolves once it is gone, with its exit code; null after a signal. */
  exited: Promise<number | null>;
  /**
   * Resolves when `condition` holds.
   * @throws Error with the last lines of its log when it ends before, or after two minutes
   */
  becomesReady(condition: () => boolean | Promise<boolean>): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL after 30 s; resolves when it is gone. */
  stop(): Promise<void>;
  /** For what has nothing to lose: `kill`, or `stop` while there is no archive of its classes. */
  end(): Promise<void>;
  /** What it has written since this start. */
  output(): string;
}

const startTimeoutMs = 120_000;
const stopTimeoutMs = 30_000;

/**
 * Starts a program. Its classes come from an archive (JEP 350), which more than halves the start; the first process that is
 * stopped rather than killed writes it.
 */
export function startJava({ jarFolder, name, jvm, command, cwd, logFile }: JavaProgram): JavaProcess {
  const archive = join(jarFolder, `${name}-${createHash('md5').update(javaVersion).digest('hex')}.jsa`);
  const newArchive = `${archive}.${randomUUID()}`;
  const hasArchive = existsSync(archive);
  const flags = [
    hasArchive ? `-XX:SharedArchiveFile=${archive}` : `-XX:ArchiveClassesAtExit=${newArchive}`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
  ];
  const log = openSync(logFile, 'a');
  const start = existsSync(logFile) ? readFileSync(logFile).length : 0;
  const child = spawn('/bin/sh', ['-c', withLifeline, 'sh', 'java', ...flags, ...jvm, ...command], {
    cwd,
    stdio: ['ignore', log, log, 'pipe'],
    detached: true,
  });
  closeSync(log);
  const lifeline = child.stdio[3] as Socket;
  lifeline.on('error', () => {});
  let hasExited = false;
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      hasExited = true;
      lifeline.end('\n');
      if (!hasArchive && existsSync(newArchive)) {
        if (signal === null) renameSync(newArchive, archive);
        else rmSync(newArchive);
      }
      resolve(code);
    });
  });
  const output = () => readFileSync(logFile).subarray(start).toString();
  const lastLines = () => output().trimEnd().split('\n').slice(-60).join('\n');

  async function kill(): Promise<void> {
    child.kill('SIGKILL');
    await exited;
  }

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await exited;
    clearTimeout(force);
  }

  return {
    pid: child.pid!,
    exited,
    output,
    async becomesReady(condition) {
      const isReady = async () => hasExited || (await condition());
      try {
        await waitFor(isReady, { what: 'it', timeoutMs: startTimeoutMs });
        if (hasExited) throw new Error('It ended.');
      } catch (cause) {
        await kill();
        throw new Error(`${name} did not become ready:\n${lastLines()}`, { cause });
      }
    },
    kill,
    stop,
    end: hasArchive ? kill : stop,
  };
}
