import { readFileSync } from 'node:fs';

/** What a process has used: `undefined` where there is no /proc (other than Linux). */
export interface ProcessUsage {
  cpuUs: number;
  peakBytes: number;
}

const ticksPerSecond = 100;
const pageBytes = 4096;

/** CPU time and resident memory as proc(5) has them; `undefined` when the process is gone. */
function readStat(pid: number): { cpuUs: number; rssBytes: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; field 3 follows it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[14 - 3]) + Number(fields[15 - 3]);
    return { cpuUs: (ticks * 1e6) / ticksPerSecond, rssBytes: Number(fields[24 - 3]) * pageBytes };
  } catch {
    return undefined;
  }
}

/** Watches a process that may end by itself: its use from now until it ended or `stop`, read every 20 ms. */
export class UsageWatch {
  readonly #pid: number;
  readonly #first: { cpuUs: number } | undefined;
  readonly #timer: NodeJS.Timeout;
  #cpuUs = 0;
  #peakBytes = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#first = readStat(pid);
    this.#timer = setInterval(() => this.#read(), 20);
  }

  stop(): ProcessUsage | undefined {
    this.#read();
    clearInterval(this.#timer);
    return this.#first && { cpuUs: this.#cpuUs, peakBytes: this.#peakBytes };
  }

  #read(): void {
    const now = readStat(this.#pid);
    if (!now || !this.#first || now.cpuUs < this.#first.cpuUs) return;
    this.#cpuUs = now.cpuUs - this.#first.cpuUs;
    this.#peakBytes = Math.max(this.#peakBytes, now.rssBytes);
  }
}
