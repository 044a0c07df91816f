import type { Config } from '../config.ts';
import { diagnose } from '../service/doctor.ts';
import type { Finding } from '../service/doctor-findings.ts';
import { leaveOnStop } from './leave-on-stop.ts';

export interface DoctorOptions {
  /** Leaves out what reads every row. */
  fast: boolean;
  json: boolean;
}

/** Exit code 3 when `run` could not work as it is configured. */
export async function doctor(config: Config, options: DoctorOptions, stop: AbortSignal): Promise<number> {
  leaveOnStop(stop);
  const { fast, json } = options;
  const showsProgress = process.stderr.isTTY === true && !json;
  const findings = await diagnose({
    config,
    fast,
    onFinding: finding => {
      if (showsProgress) process.stderr.write('\r\x1b[K');
      if (!json) process.stdout.write(`${formatFinding(finding)}\n`);
    },
    onScan: table => {
      if (showsProgress) process.stderr.write(`reading the rows of ${table} (--fast leaves this out) …`);
    },
  });
  const failures = findings.filter(finding => finding.level === 'fail').length;
  if (json) process.stdout.write(`${JSON.stringify({ ok: failures === 0, findings })}\n`);
  else process.stdout.write(`\n${summary(findings, failures)}\n`);
  return failures > 0 ? 3 : 0;
}

const labels = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' };

/** One line: `FAIL  public.t: what is. What to do. [CODE]` */
function formatFinding({ level, subject, message, hint, code }: Finding): string {
  return [
    `${labels[level]}  ${subject}: ${message}`,
    ...(hint ? [`. ${hint}`] : []),
    ...(code ? [` [${code}]`] : []),
  ]
    .join('')
    .replaceAll(/\s*\n\s*/g, ' ');
}

function summary(findings: readonly Finding[], failures: number): string {
  const warnings = findings.filter(finding => finding.level === 'warn').length;
  const counts = `${findings.length} checks: ${failures} failed, ${warnings} with a warning.`;
  return failures > 0
    ? `${counts} Not everything would run as configured; see the lines that begin with FAIL.`
    : `${counts} run can work.`;
}
