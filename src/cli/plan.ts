import type { Config } from '../config.ts';
import { planTopics } from '../service/cdc-plan.ts';
import { type Plan, type PlanStep, planPipeline } from '../service/plan.ts';
import { planSynthetic } from '../service/synthetic-plan.ts';
import { leaveOnStop } from './leave-on-stop.ts';

export interface PlanOptions {
  json: boolean;
}

/** Exit code 3 when something that exists does not fit. */
export async function plan(config: Config, { json }: PlanOptions, stop: AbortSignal): Promise<number> {
  leaveOnStop(stop);
  const plans = { wal: planPipeline, cdc: planTopics, synthetic: planSynthetic };
  const made = await plans[config.mode](config);
  process.stdout.write(json ? `${JSON.stringify(made)}\n` : `${formatPlan(made)}\n`);
  return made.steps.some(step => step.status === 'problem') ? 3 : 0;
}

/** SQL, with what needs no statement in comments. */
function formatPlan({ steps, sawClickHouse }: Plan): string {
  const heads: Record<PlanStep['server'], string> = {
    PostgreSQL: '-- PostgreSQL',
    ClickHouse: sawClickHouse
      ? '-- ClickHouse'
      : '-- ClickHouse (embedded and not running: as if it were empty)',
  };
  return (['PostgreSQL', 'ClickHouse'] as const)
    .filter(server => steps.some(step => step.server === server))
    .map(server =>
      [heads[server], ...steps.filter(step => step.server === server).map(formatStep)].join('\n\n'),
    )
    .join('\n\n');
}

function formatStep({ object, status, sql, note, problem }: PlanStep): string {
  const comment = (text: string) => text.replaceAll(/^/gm, '-- ');
  if (problem)
    return [
      comment(`DOES NOT FIT: ${object}\n${problem.message} (${problem.code})\n${problem.hint}`),
      ...(sql ? [comment(`What fits:\n${sql};`)] : []),
    ].join('\n');
  if (status === 'exists' || status === 'unknown') return comment(`${object}: ${note ?? 'exists'}`);
  return `${comment(note ? `${object}: ${note}` : object)}\n${sql};`;
}
