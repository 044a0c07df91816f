import type { CdcError, ErrorCode } from '../core/errors.ts';

/** `fail`: `run` could not work, or would leave out the table that is named. */
export type FindingLevel = 'ok' | 'warn' | 'fail';

export interface Finding {
  level: FindingLevel;
  /** What was looked at: a part of a server, a setting, a table. */
  subject: string;
  message: string;
  /** What to change; absent when nothing needs to. */
  hint?: string;
  code?: ErrorCode;
}

/** Takes findings, in the order in which they come up. */
export class Findings {
  readonly all: Finding[] = [];
  readonly #report: (finding: Finding) => void;

  constructor(report: (finding: Finding) => void) {
    this.#report = report;
  }

  ok(subject: string, message: string): void {
    this.#add({ level: 'ok', subject, message });
  }

  warn(subject: string, message: string, hint: string): void {
    this.#add({ level: 'warn', subject, message, hint });
  }

  fail(subject: string, { code, message, hint }: CdcError): void {
    this.#add({ level: 'fail', subject, message, hint, code });
  }

  #add(finding: Finding): void {
    this.all.push(finding);
    this.#report(finding);
  }
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** The first few of a list of names. */
export function shorten(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
